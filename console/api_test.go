package console_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"nabat/console"
	"nabat/dispatch"
)

func TestUnknownParametersAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	r := open(t)
	h := bearer(r.token("auditor"))
	id := r.draft().String()
	for _, path := range []string{
		"/api/v1/incidents", "/api/v1/incidents/" + id, "/api/v1/incidents/" + id + "/events", "/api/v1/contacts",
		"/api/v1/notifications", "/api/v1/facilities", "/api/v1/panels", "/api/v1/me", "/api/v1/classifier",
	} {
		require.Equal(t, http.StatusOK, r.ask(http.MethodGet, path, h, nil, nil).StatusCode, path)
		for _, bad := range []string{"statuss=open", "Limit=1", "%zz=1", "a;b=1", "status=", "limit=5&limit=6", "nope"} {
			var p console.Problem
			res := r.ask(http.MethodGet, path+"?"+bad, h, nil, &p)
			require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode, "%s?%s", path, bad)
			require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
			require.Equal(t, "invalid", p.Code)
			require.NotEmpty(t, p.RU)
			require.NotEmpty(t, p.EN)
		}
	}
	var p console.Problem
	r.ask(http.MethodGet, "/api/v1/incidents?statuss=open", h, nil, &p)
	require.Equal(t, "statuss", p.Field)
	for _, bad := range []string{"status=open2", "limit=0", "limit=501", "limit=x", "from=yesterday", "cursor=AAAA", "service=FIRE"} {
		require.Equal(t, http.StatusUnprocessableEntity, r.ask(http.MethodGet, "/api/v1/incidents?"+bad, h, nil, nil).StatusCode, bad)
	}
}

// PostgreSQL holds neither NUL nor broken UTF-8: such text is the asker's mistake
// and not our failure.
func TestTextThatIsNoTextIsRefused(t *testing.T) {
	t.Parallel()
	r := open(t)
	h := bearer(r.token("auditor"))
	for path, field := range map[string]string{
		"/api/v1/incidents?facility=%00":        "facility",
		"/api/v1/incidents?facility=%FF%FE":     "facility",
		"/api/v1/notifications?account=%00":     "account",
		"/api/v1/notifications?facility=a%00b":  "facility",
		"/api/v1/panels?account=%C3":            "account",
		"/api/v1/panels?facility=%ED%A0%80":     "facility",
		"/api/v1/contacts?cursor=%00":           "cursor",
		"/api/v1/facilities?%FF%00=1":           "\ufffd\ufffd",
		"/api/v1/incidents?cursor=%00&status=x": "",
	} {
		var p console.Problem
		res := r.ask(http.MethodGet, path, h, nil, &p)
		require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode, path)
		require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
		require.Equal(t, "invalid", p.Code)
		if field != "" {
			require.Equal(t, field, p.Field, path)
		}
	}
	for _, login := range []string{"a\x00b", "\x00"} {
		var p console.Problem
		res := r.ask(http.MethodPost, "/api/v1/login", nil, map[string]string{"login": login, "password": password}, &p)
		require.Equal(t, http.StatusUnauthorized, res.StatusCode)
		require.Equal(t, "denied", p.Code)
	}
}

func TestNobodyComesInWithoutACredential(t *testing.T) {
	t.Parallel()
	r := open(t)
	for _, h := range []header{nil, {"Authorization": "Bearer nabat_" + strings.Repeat("a", 43)}, {"Authorization": "Basic eA=="}, {"Cookie": console.CookieName + "=" + strings.Repeat("a", 43)}} {
		for _, path := range []string{"/api/v1/me", "/api/v1/incidents", "/api/v1/notifications", "/api/v1/classifier"} {
			var p console.Problem
			res := r.ask(http.MethodGet, path, h, nil, &p)
			require.Equal(t, http.StatusUnauthorized, res.StatusCode)
			require.Equal(t, "denied", p.Code)
			require.Equal(t, "Bearer", res.Header.Get("WWW-Authenticate"))
		}
	}
	// A session's secret is no bearer token and a token no cookie.
	r.account("ivanova", "operator")
	c := strings.TrimPrefix(r.login("ivanova"), console.CookieName+"=")
	require.Equal(t, http.StatusUnauthorized, r.ask(http.MethodGet, "/api/v1/me", bearer(c), nil, nil).StatusCode)
	require.Equal(t, http.StatusUnauthorized, r.ask(http.MethodGet, "/api/v1/me", header{"Cookie": console.CookieName + "=" + r.token("admin")}, nil, nil).StatusCode)
}

func TestCursorWalkIsCompleteUnderInserts(t *testing.T) {
	t.Parallel()
	r := open(t)
	h := bearer(r.token("auditor"))
	start := r.clock.now().Add(-time.Hour)
	want := map[string]bool{}
	for i := range 40 {
		// Threes share their time: the id decides among them.
		want[r.call(start.Add(time.Duration(i/3)*time.Second)).Incident.String()] = true
	}
	stop := make(chan struct{})
	var noise sync.WaitGroup
	noise.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				r.call(start.Add(time.Duration(i) * time.Minute))
			}
		}
	})
	for _, list := range []string{"incidents", "contacts"} {
		seen := map[string]bool{}
		var last time.Time
		cursor := ""
		for pages := 0; ; pages++ {
			require.Less(t, pages, 10_000)
			q := url.Values{"limit": {"7"}}
			if cursor != "" {
				q.Set("cursor", cursor)
			}
			var page console.List[struct {
				ID         string    `json:"id"`
				IncidentID string    `json:"incidentId"`
				OpenedAt   time.Time `json:"openedAt"`
				ReceivedAt time.Time `json:"receivedAt"`
			}]
			require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/"+list+"?"+q.Encode(), h, nil, &page).StatusCode)
			for _, it := range page.Items {
				id, at := it.ID, it.OpenedAt
				if list == "contacts" {
					id, at = it.IncidentID, it.ReceivedAt
				}
				require.False(t, seen[id], "%s came twice", id)
				seen[id] = true
				require.False(t, !last.IsZero() && at.After(last), "newest first")
				last = at
			}
			if page.Next == "" {
				break
			}
			cursor = page.Next
		}
		for id := range want {
			require.True(t, seen[id], "%s was left out of %s", id, list)
		}
	}
	close(stop)
	noise.Wait()
}

func TestZeroTimeIsRefused(t *testing.T) {
	t.Parallel()
	r := open(t)
	h := bearer(r.token("auditor"))
	r.draft()
	for _, list := range []string{"incidents", "contacts", "notifications", "facilities", "panels"} {
		for _, bad := range []string{"to=0001-01-01T00:00:00Z", "from=0001-01-01T00:00:00Z", "to=0001-01-01T03:00:00%2B03:00", "to=0001-01-01T00:00:00.000Z"} {
			var p console.Problem
			res := r.ask(http.MethodGet, "/api/v1/"+list+"?"+bad, h, nil, &p)
			require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode, "%s?%s", list, bad)
			require.Equal(t, strings.Split(bad, "=")[0], p.Field)
		}
	}
	var l console.List[console.Incident]
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/incidents?to=0001-01-01T00:00:01Z", h, nil, &l).StatusCode)
	require.Empty(t, l.Items)
}

func TestWrongMethodSaysWhichIsRight(t *testing.T) {
	t.Parallel()
	r := open(t)
	for _, c := range []struct{ method, path, allow string }{
		{http.MethodDelete, "/api/v1/incidents", "GET, HEAD"},
		{http.MethodPost, "/api/v1/incidents/" + uuid.NewString(), "GET, HEAD"},
		{http.MethodGet, "/api/v1/login", "POST"},
		{http.MethodPut, "/api/v1/commands", "POST"},
		{http.MethodPost, "/api/openapi.json", "GET, HEAD"},
	} {
		var p console.Problem
		res := r.ask(c.method, c.path, nil, nil, &p)
		require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode, "%s %s", c.method, c.path)
		require.Equal(t, c.allow, res.Header.Get("Allow"))
		require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
		require.Equal(t, http.StatusMethodNotAllowed, p.Status)
	}
	res := r.ask(http.MethodDelete, "/api/v1/nope", nil, nil, nil)
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	require.Empty(t, res.Header.Get("Allow"))
}

// What a panel's message does not say is null, and not left out.
func TestNotificationShowsWhatIsUnknown(t *testing.T) {
	t.Parallel()
	r := open(t)
	incident := r.draft()
	for i, known := range []bool{false, true} {
		var id *dispatch.IncidentID
		var at *time.Time
		if known {
			now := r.clock.now()
			id, at = &incident, &now
		}
		_, err := r.pool.Exec(t.Context(), `INSERT INTO notifications (seq, dedup_key, id, received_at, occurred_at, account, protocol, class, condition,
			code, area, zone, user_no, text, raw, peer, duplicate, incident_id, why) VALUES
			('0001', '', $1, now() - make_interval(secs => $2), $3, '1234', 'dc09', 'fire', 'alarm', '', '', '', '', '', '\x00ff', '', false, $4, '')`,
			dispatch.NewNotificationID(), i, at, id)
		require.NoError(t, err)
	}
	h := bearer(r.token("auditor"))
	var l console.List[map[string]any]
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/notifications", h, nil, &l).StatusCode)
	require.Len(t, l.Items, 2)
	for _, n := range l.Items {
		for field := range strings.FieldsSeq("account protocol class condition code area zone text raw occurredAt receivedAt peer duplicate incidentId") {
			require.Contains(t, n, field)
		}
	}
	require.Nil(t, l.Items[0]["occurredAt"])
	require.Nil(t, l.Items[0]["incidentId"])
	require.NotNil(t, l.Items[1]["occurredAt"])
	require.Equal(t, incident.String(), l.Items[1]["incidentId"])

	var doc, list any
	r.ask(http.MethodGet, "/api/openapi.json", nil, nil, &doc)
	r.ask(http.MethodGet, "/api/v1/notifications", h, nil, &list)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	require.NoError(t, c.AddResource("openapi.json", doc))
	sch, err := c.Compile("openapi.json#/components/schemas/ListNotification")
	require.NoError(t, err)
	require.NoError(t, sch.Validate(list), "%v", list)
}

func TestCursorOfAnotherListIsRefused(t *testing.T) {
	t.Parallel()
	r := open(t)
	h := bearer(r.token("auditor"))
	r.draft()
	r.draft()
	var l console.List[console.Incident]
	r.ask(http.MethodGet, "/api/v1/incidents?limit=1", h, nil, &l)
	require.NotEmpty(t, l.Next)
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/incidents?cursor="+l.Next, h, nil, nil).StatusCode)
	var p console.Problem
	require.Equal(t, http.StatusUnprocessableEntity, r.ask(http.MethodGet, "/api/v1/contacts?cursor="+l.Next, h, nil, &p).StatusCode)
	require.Equal(t, "cursor", p.Field)
	require.Equal(t, "Этот список такого курсора не выдавал", p.RU)
	// Of the right kind, and of a time that no database counts.
	made := base64.RawURLEncoding.EncodeToString(append([]byte{1, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, make([]byte, 16)...))
	require.Equal(t, http.StatusUnprocessableEntity, r.ask(http.MethodGet, "/api/v1/incidents?cursor="+made, h, nil, &p).StatusCode)
}

// movingStore lets something happen between the choice of ids and the reading of
// the cards.
type movingStore struct {
	console.Store
	meanwhile func([]dispatch.IncidentID)
}

func (s *movingStore) IncidentIDs(ctx context.Context, f console.IncidentFilter) ([]dispatch.IncidentID, error) {
	ids, err := s.Store.IncidentIDs(ctx, f)
	if err == nil && s.meanwhile != nil {
		s.meanwhile(ids)
	}
	return ids, err
}

// A card that moves on while the list is read is not shown in a state nobody
// asked for, and the pages behind it are not lost.
func TestCardsThatMoveWhileTheListIsRead(t *testing.T) {
	t.Parallel()
	moving := &movingStore{}
	r := open(t, func(o *console.Options) { moving.Store, o.Store = o.Store, moving })
	h := bearer(r.token("supervisor"))
	start := r.clock.now().Add(-time.Hour)
	var made []dispatch.IncidentID // newest first
	for i := range 5 {
		made = append([]dispatch.IncidentID{r.call(start.Add(time.Duration(i) * time.Second)).Incident}, made...)
	}
	for _, status := range []string{"draft", "open"} {
		closing := made[1] // the second of its first page: the one that the cursor names
		moving.meanwhile = func([]dispatch.IncidentID) {
			moving.meanwhile = nil
			_, err := r.house.Change(t.Context(), closing, dispatch.CloseWithoutResponse(dispatch.NoResponseTest, "operator:x", r.clock.now()), nil)
			require.NoError(t, err)
		}
		var got []dispatch.IncidentID
		pages := 0
		for cursor := ""; pages == 0 || cursor != ""; pages++ {
			var l console.List[console.Incident]
			path := "/api/v1/incidents?limit=2&status=" + status
			if cursor != "" {
				path += "&cursor=" + cursor
			}
			require.Equal(t, http.StatusOK, r.ask(http.MethodGet, path, h, nil, &l).StatusCode)
			require.NotNil(t, l.Items)
			for _, v := range l.Items {
				require.Equal(t, dispatch.Draft, v.State)
				got = append(got, v.ID)
			}
			cursor = l.Next
		}
		made = append(made[:1], made[2:]...)
		require.Equal(t, made, got, status)
	}
}

func TestIncidentFilters(t *testing.T) {
	t.Parallel()
	r := open(t)
	h := bearer(r.token("supervisor"))
	draft, fire, crime := r.draft(), r.sent(dispatch.TypeFire), r.sent(dispatch.TypeCrime)
	closed := r.draft()
	_, err := r.house.Change(t.Context(), closed, dispatch.CloseWithoutResponse(dispatch.NoResponseTest, "operator:x", r.clock.now()), nil)
	require.NoError(t, err)
	facility := dispatch.NewFacilityID()
	_, err = r.pool.Exec(t.Context(), `INSERT INTO facilities (id, code, name, category, address, created_at, updated_at)
		VALUES ($1, 'school-7', 'Школа', 'education', 'ул.', now(), now())`, facility)
	require.NoError(t, err)
	_, err = r.pool.Exec(t.Context(), `UPDATE incidents SET facility_id = $1, facility_code = 'school-7' WHERE id = $2`, facility, crime)
	require.NoError(t, err)

	for query, want := range map[string][]dispatch.IncidentID{
		"":                                  {closed, crime, fire, draft},
		"?status=open":                      {crime, fire, draft},
		"?status=draft":                     {draft},
		"?status=closed":                    {closed},
		"?service=fire":                     {fire},
		"?service=gas":                      {},
		"?facility=school-7":                {crime},
		"?facility=nowhere":                 {},
		"?facility=school-7&service=fire":   {},
		"?from=2100-01-01T00:00:00Z":        {},
		"?to=2100-01-01T00:00:00Z&limit=50": {closed, crime, fire, draft},
	} {
		var l console.List[console.Incident]
		require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/incidents"+query, h, nil, &l).StatusCode, query)
		got := []dispatch.IncidentID{}
		for _, v := range l.Items {
			got = append(got, v.ID)
		}
		require.Equal(t, want, got, query)
	}
	var one console.Incident
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/incidents/"+fire.String(), h, nil, &one).StatusCode)
	require.Equal(t, dispatch.Dispatched, one.State)
	require.Len(t, one.Assignments, 1)
	require.Equal(t, "пожар", one.Assignments[0].Why)
	require.Equal(t, "a fire", one.Assignments[0].WhyEN)
	require.Len(t, one.Contacts, 1)
	require.Equal(t, http.StatusNotFound, r.ask(http.MethodGet, "/api/v1/incidents/"+uuid.NewString(), h, nil, nil).StatusCode)
	require.Equal(t, http.StatusUnprocessableEntity, r.ask(http.MethodGet, "/api/v1/incidents/17", h, nil, nil).StatusCode)

	var ev console.List[console.Event]
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/incidents/"+fire.String()+"/events?limit=2", h, nil, &ev).StatusCode)
	require.Len(t, ev.Items, 2)
	require.Equal(t, dispatch.EventOpened, ev.Items[0].Kind)
	var rest console.List[console.Event]
	r.ask(http.MethodGet, "/api/v1/incidents/"+fire.String()+"/events?limit=500&cursor="+ev.Next, h, nil, &rest)
	require.Len(t, rest.Items, len(r.events(fire))-2)
	require.Equal(t, 3, rest.Items[0].Version)
	require.Len(t, rest.Items[0].Hash, 64)
}

func TestNotificationsShowWhatThePanelSaid(t *testing.T) {
	t.Parallel()
	r := open(t)
	h := bearer(r.token("auditor"))
	at := r.clock.now().UTC().Truncate(time.Microsecond)
	facility, incident := dispatch.NewFacilityID(), dispatch.NewIncidentID()
	_, err := r.pool.Exec(t.Context(), `INSERT INTO facilities (id, code, name, category, address, lat, lon, created_at, updated_at)
		VALUES ($1, 'school-7', 'Школа', 'education', 'ул.', 59.9, 30.3, now(), now())`, facility)
	require.NoError(t, err)
	panel := dispatch.NewPanelID()
	_, err = r.pool.Exec(t.Context(), `INSERT INTO panels (id, facility_id, account, created_at, updated_at) VALUES ($1, $2, 'AB12', now(), now())`, panel, facility)
	require.NoError(t, err)
	_, err = r.pool.Exec(t.Context(), `INSERT INTO zones (id, panel_id, area, number, kind) VALUES (gen_random_uuid(), $1, '01', '007', 'fire')`, panel)
	require.NoError(t, err)
	for i := range 5 {
		_, err := r.pool.Exec(t.Context(), `
			INSERT INTO notifications (id, received_at, occurred_at, account, panel_id, facility_id, protocol, class, condition,
			       code, area, zone, user_no, text, raw, peer, seq, duplicate, dedup_key, incident_id, why)
			VALUES ($1, $2, NULL, $3, $4, $5, 'ADM-CID', 'fire', 'alarm', '1110', '01', '007', '', 'дым', '\x0aff00', '10.0.0.1:5', '0001', $6, '', $7, 'пожар')`,
			dispatch.NewNotificationID(), at.Add(time.Duration(i)*time.Second), []string{"AB12", "CD34"}[i%2], panel, facility, i > 0, incident)
		require.NoError(t, err)
	}
	var l console.List[map[string]any]
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/notifications?account=ab12&facility=school-7", h, nil, &l).StatusCode)
	require.Len(t, l.Items, 3)
	n := l.Items[2]
	for field, want := range map[string]any{
		"account": "AB12", "protocol": "ADM-CID", "class": "fire", "condition": "alarm", "code": "1110", "area": "01", "zone": "007",
		"text": "дым", "raw": "0aff00", "peer": "10.0.0.1:5", "duplicate": false, "incidentId": incident.String(), "facilityId": "school-7", "why": "пожар",
	} {
		require.Equal(t, want, n[field], field)
	}
	require.Contains(t, n, "occurredAt")
	require.Nil(t, n["occurredAt"], "a panel that named no time is not said to have named one")
	received, err := time.Parse(time.RFC3339Nano, n["receivedAt"].(string))
	require.NoError(t, err)
	require.True(t, received.Equal(at))
	q := url.Values{"from": {at.Add(time.Second).Format(time.RFC3339Nano)}, "to": {at.Add(3 * time.Second).Format(time.RFC3339Nano)}}
	l = console.List[map[string]any]{}
	r.ask(http.MethodGet, "/api/v1/notifications?"+q.Encode(), h, nil, &l)
	require.Len(t, l.Items, 2)

	var f console.List[console.Facility]
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/facilities", h, nil, &f).StatusCode)
	require.Len(t, f.Items, 1)
	require.Equal(t, "school-7", f.Items[0].ID)
	var p console.List[console.Panel]
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/panels?account=AB12&facility=school-7", h, nil, &p).StatusCode)
	require.Len(t, p.Items, 1)
	require.Equal(t, "007", p.Items[0].Zones[0].Number)
}

func TestDutyOfficerReadsOwnIncidentsOnly(t *testing.T) {
	t.Parallel()
	r := open(t)
	duty := bearer(r.token("duty:fire"))
	fire, crime, both := r.sent(dispatch.TypeFire), r.sent(dispatch.TypeCrime), r.sent(dispatch.TypeExplosion)
	_, err := r.house.Change(t.Context(), both, dispatch.TakeReply(dispatch.Reply{
		Service: dispatch.Police, To: dispatch.Refused, Comment: "тайна полиции", OrderNumber: "П-1", By: "duty:petrov", At: r.clock.now(),
	}), nil)
	require.NoError(t, err)
	var l console.List[console.Incident]
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/incidents", duty, nil, &l).StatusCode)
	require.Len(t, l.Items, 2)
	require.Equal(t, both, l.Items[0].ID)
	require.Equal(t, fire, l.Items[1].ID)
	l = console.List[console.Incident]{}
	r.ask(http.MethodGet, "/api/v1/incidents?service=police", duty, nil, &l)
	require.Empty(t, l.Items)
	require.Equal(t, http.StatusNotFound, r.ask(http.MethodGet, "/api/v1/incidents/"+crime.String(), duty, nil, nil).StatusCode)
	require.Equal(t, http.StatusNotFound, r.ask(http.MethodGet, "/api/v1/incidents/"+crime.String()+"/events", duty, nil, nil).StatusCode)
	for _, list := range []string{"contacts", "notifications", "panels", "facilities"} {
		require.Equal(t, http.StatusForbidden, r.ask(http.MethodGet, "/api/v1/"+list, duty, nil, nil).StatusCode)
	}
	// The card and its journal show that the police refused, and not why.
	for _, path := range []string{"/api/v1/incidents/" + both.String(), "/api/v1/incidents/" + both.String() + "/events"} {
		var raw json.RawMessage
		r.ask(http.MethodGet, path, duty, nil, &raw)
		require.Contains(t, string(raw), `"refused"`)
		for _, secret := range []string{"тайна", "П-1", "petrov", `"contacts"`} {
			require.NotContains(t, string(raw), secret, path)
		}
		r.ask(http.MethodGet, path, bearer(r.token("supervisor")), nil, &raw)
		require.Contains(t, string(raw), "тайна")
	}
}

func TestOpenAPIIsValidAndComplete(t *testing.T) {
	t.Parallel()
	r := open(t)
	var doc map[string]any
	res := r.ask(http.MethodGet, "/api/openapi.json", nil, nil, &doc)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Regexp(t, `^3\.1\.`, doc["openapi"])
	paths := doc["paths"].(map[string]any)
	for _, p := range []string{
		"/api/v1/login", "/api/v1/logout", "/api/v1/me", "/api/v1/classifier", "/api/v1/commands", "/api/v1/incidents",
		"/api/v1/incidents/{id}", "/api/v1/incidents/{id}/events", "/api/v1/contacts", "/api/v1/notifications",
		"/api/v1/facilities", "/api/v1/panels",
	} {
		require.Contains(t, paths, p)
	}
	// Every schema compiles as JSON Schema 2020-12 (what 3.1 uses), with every
	// reference found, and real answers satisfy theirs.
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	require.NoError(t, c.AddResource("openapi.json", doc))
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	require.NotContains(t, schemas, "ErrorModel")
	raw := schemas["Notification"].(map[string]any)["properties"].(map[string]any)["raw"].(map[string]any)
	require.Equal(t, "^([0-9a-f]{2})*$", raw["pattern"])
	require.NotContains(t, raw, "contentEncoding", "hex, not base64")
	for name := range schemas {
		_, err := c.Compile("openapi.json#/components/schemas/" + name)
		require.NoError(t, err, name)
	}
	id := r.sent(dispatch.TypeFire)
	h := bearer(r.token("supervisor"))
	for path, schema := range map[string]string{
		"/api/v1/incidents":                            "ListIncident",
		"/api/v1/incidents/" + id.String():             "Incident",
		"/api/v1/incidents/" + id.String() + "/events": "ListEvent",
		"/api/v1/contacts":                             "ListContact",
		"/api/v1/me":                                   "Me",
		"/api/v1/classifier":                           "Classifier",
		"/api/v1/incidents?nope=1":                     "Problem",
	} {
		sch, err := c.Compile("openapi.json#/components/schemas/" + schema)
		require.NoError(t, err, "%s; there are %v", schema, schemas)
		var v any
		r.ask(http.MethodGet, path, h, nil, &v)
		require.NoError(t, sch.Validate(v), "%s: %v", path, v)
	}
}

func TestHeadersAndPage(t *testing.T) {
	t.Parallel()
	r := open(t)
	get := func(path string) (answer, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.http.URL+path, nil)
		require.NoError(t, err)
		res, err := r.http.Client().Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return answer{res.StatusCode, res.Header, nil}, string(b)
	}
	for path, cache := range map[string]string{
		"/": "no-cache", "/index.html": "no-cache", "/incidents/7": "no-cache",
		"/assets/a-123.js": "public, max-age=31536000, immutable", "/api/v1/me": "no-store", "/api/nope": "no-store",
	} {
		res, _ := get(path)
		require.Equal(t, cache, res.Header.Get("Cache-Control"), path)
		require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'self'")
		require.Contains(t, res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.NotContains(t, res.Header.Get("Content-Security-Policy"), "unsafe")
		require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-referrer", res.Header.Get("Referrer-Policy"))
	}
	for path, want := range map[string]int{
		"/": 200, "/index.html": 200, "/incidents/7": 200, "/assets/a-123.js": 200, "/assets/none.js": 404, "/.keep": 404,
		"/api/nope": 404, "/api/v1/nope": 404,
	} {
		res, body := get(path)
		require.Equal(t, want, res.StatusCode, path)
		if want == 200 && !strings.HasPrefix(path, "/assets") {
			require.Contains(t, body, "<!doctype html>")
		}
	}
}

func TestUnbuiltPageSaysHowToBuildIt(t *testing.T) {
	t.Parallel()
	r := open(t, func(o *console.Options) { o.Page = fstest.MapFS{".keep": {}} })
	res, err := http.Get(r.http.URL + "/")
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Contains(t, string(b), "make setup build")
	require.Contains(t, string(b), "Соберите")
	require.Contains(t, string(b), "Build it")
}

func TestClassifier(t *testing.T) {
	t.Parallel()
	r := open(t)
	var c console.Classifier
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/classifier", bearer(r.token("operator")), nil, &c).StatusCode)
	require.Equal(t, dispatch.Types(), c.Types)
	require.Len(t, c.NonResponses, len(dispatch.NonResponses()))
	for _, n := range c.NonResponses {
		require.NotEqual(t, string(n.Reason), n.RU, "every reason has a Russian name")
	}
	require.Len(t, c.Services, 4)
}
