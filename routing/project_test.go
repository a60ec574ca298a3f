package routing

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"nabat/dispatch"
)

type to []dispatch.Service

func (r to) Decide(dispatch.Facts) dispatch.Decision {
	d := dispatch.Decision{Ruleset: 3}
	for _, s := range r {
		d.Choices = append(d.Choices, dispatch.Choice{Service: s, Rule: "test", Why: "проверка"})
	}
	return d
}

// Laws of the projection over random lives of a card: a service first hears of
// an incident by its own «assigned», once; it hears nothing of an incident that
// it does not have; no record holds another service's comment or order number,
// or the name of an operator or a panel's account.
func TestProjectionLaws(t *testing.T) {
	t.Parallel()
	services := []dispatch.Service{dispatch.Police, dispatch.Fire, dispatch.Gas, dispatch.Medical}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		some := func(label string) to {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(services), 0, 3, rapid.ID).Draw(t, label)
		}
		var card dispatch.Card
		card.ID, card.Number = dispatch.NewIncidentID(), 7
		var events []dispatch.Event
		apply := func(d dispatch.Decide) {
			at = at.Add(time.Second)
			after, more, err := d(card)
			if err != nil {
				return // this move is not possible now; another will be
			}
			card = after
			events = append(events, more...)
		}
		form := func() dispatch.Form {
			return dispatch.Form{
				Type: new(dispatch.TypeFire), Place: new(rapid.SampledFrom([]string{"тут", "там"}).Draw(t, "place")),
				Description: new(rapid.SampledFrom([]string{"", "дым"}).Draw(t, "description")),
			}
		}
		if rapid.Bool().Draw(t, "alarm") {
			apply(dispatch.OpenFromAlarm(dispatch.Signal{Account: "ACC-SECRET", Class: "fire", At: at}, dispatch.TypeFire,
				"пожар", dispatch.Site{Facility: dispatch.NewFacilityID(), Name: "Школа"}, some("by rule")))
		} else {
			apply(dispatch.OpenFromContact(dispatch.Contact{Kind: dispatch.ContactCall, ReceivedAt: at}))
		}
		t.Repeat(map[string]func(*rapid.T){
			"form":  func(*rapid.T) { apply(dispatch.SendForm(form(), some("form"), "operator:OP-SECRET", at)) },
			"draft": func(*rapid.T) { apply(dispatch.SaveDraft(form(), "operator:OP-SECRET", at)) },
			"signal": func(*rapid.T) {
				apply(dispatch.AddSignal(dispatch.Signal{Account: "ACC-SECRET", Class: "fire", Zone: "3", At: at}))
			},
			"reply": func(t *rapid.T) {
				s := rapid.SampledFrom(services).Draw(t, "service")
				apply(dispatch.TakeReply(dispatch.Reply{
					Service: s, To: rapid.SampledFrom(replyStatuses).Draw(t, "status"),
					Comment: "WORD-SECRET-" + string(s), OrderNumber: "ORDER-SECRET", By: dispatch.Actor("service:" + s), At: at,
				}))
			},
			"published": func(t *rapid.T) {
				apply(dispatch.MarkPublished(rapid.SampledFrom(services).Draw(t, "service"), at))
			},
			"cancel": func(*rapid.T) { apply(dispatch.Cancel("отбой", "operator:OP-SECRET", at)) },
			"close":  func(*rapid.T) { apply(dispatch.Close("отработано", "operator:OP-SECRET", at)) },
		})
		for _, s := range services {
			assigned := 0
			for _, e := range events {
				p, hears, err := Project(e, s)
				require.NoError(t, err)
				if !hears {
					continue
				}
				require.Equal(t, s, p.Service)
				require.Contains(t, p.Card.Services, s)
				require.Equal(t, e.Kind == dispatch.EventAssigned, p.Assignment != nil)
				if p.Assignment != nil {
					assigned++
				}
				require.Equal(t, 1, assigned, "%s hears of %s before its «assigned», or of two", s, e.Kind)
				text, err := json.Marshal(p)
				require.NoError(t, err)
				require.NotContains(t, string(text), "SECRET")
			}
			if a, has := card.Assignment(s); has {
				require.Equal(t, 1, assigned, "%s was assigned by %s and never heard", s, a.AddedBy)
			} else {
				require.Zero(t, assigned)
			}
		}
	})
}

// An event whose data was erased tells nobody anything; one whose data cannot
// be read is an error, not silence.
func TestProjectErasedAndBroken(t *testing.T) {
	t.Parallel()
	e := dispatch.Event{ID: dispatch.NewEventID(), Incident: dispatch.NewIncidentID(), Kind: dispatch.EventAssigned}
	_, hears, err := Project(e, dispatch.Fire)
	require.NoError(t, err)
	require.False(t, hears)
	e.Data = []byte("{")
	_, _, err = Project(e, dispatch.Fire)
	require.ErrorContains(t, err, e.ID.String())
	e.Kind = dispatch.EventStatus
	_, hears, err = Project(e, dispatch.Fire)
	require.NoError(t, err)
	require.False(t, hears, "what no service hears of need not be readable")
}

func TestWavesKeepIncidentsApartAndInOrder(t *testing.T) {
	t.Parallel()
	ids := []dispatch.IncidentID{dispatch.NewIncidentID(), dispatch.NewIncidentID(), dispatch.NewIncidentID()}
	rapid.Check(t, func(t *rapid.T) {
		var records []outgoing
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 2), 0, 30).Draw(t, "incidents") {
			records = append(records, outgoing{event: dispatch.Event{Incident: ids[n], Seq: int64(i)}})
		}
		last := map[dispatch.IncidentID]int64{}
		total := 0
		for _, wave := range waves(records) {
			require.NotEmpty(t, wave)
			seen := map[dispatch.IncidentID]bool{}
			for _, r := range wave {
				require.False(t, seen[r.event.Incident])
				seen[r.event.Incident] = true
				before, seenBefore := last[r.event.Incident]
				require.True(t, !seenBefore || before < r.event.Seq)
				last[r.event.Incident] = r.event.Seq
				total++
			}
		}
		require.Equal(t, len(records), total)
	})
}

// Whatever the bytes, ParseReply gives a reply within its bounds or a reason.
func FuzzParseReply(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/dds","type":"city.nabat.reply.v1","subject":"01890a5d-ac96-774b-bcce-b302099a8057","data":{"status":"accepted"}}`))
	f.Add([]byte(`{"data":{"status":"refused","comment":" "}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := ParseReply(value)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NotEmpty(t, r.ID)
		require.LessOrEqual(t, len([]rune(r.ID)), MaxReplyID)
		require.False(t, r.Incident.IsZero())
		require.Contains(t, replyStatuses, r.Status)
		require.NotContains(t, r.ID+r.OrderNumber+r.Comment, "\x00")
		if r.Status == dispatch.Refused || r.Status == dispatch.WorkRefused {
			require.NotEmpty(t, strings.TrimSpace(r.Comment))
		}
	})
}
