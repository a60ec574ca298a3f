package console_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"nabat/console"
	"nabat/dispatch"
)

// screen is a console at the other end of a socket.
type screen struct {
	t  *testing.T
	ws *websocket.Conn
}

// frame is any frame of the server.
type frame struct {
	T        string          `json:"t"`
	Epoch    string          `json:"epoch"`
	Prev     int64           `json:"prev"`
	Seq      int64           `json:"seq"`
	Me       console.Me      `json:"me"`
	ID       string          `json:"id"`
	OK       bool            `json:"ok"`
	Stale    bool            `json:"stale"`
	Error    *console.Fault  `json:"error"`
	Incident json.RawMessage `json:"incident"`
	Events   []console.Event `json:"events"`

	Incidents []console.Incident `json:"incidents"`
	raw       string
}

func (r *room) dial(h header) (*screen, *http.Response, error) {
	r.t.Helper()
	hh := http.Header{}
	for k, v := range h {
		hh.Set(k, v)
	}
	ws, res, err := websocket.DefaultDialer.DialContext(r.t.Context(), "ws"+strings.TrimPrefix(r.http.URL, "http")+"/ws", hh)
	if err != nil {
		return nil, res, err
	}
	r.t.Cleanup(func() { ws.Close() })
	return &screen{r.t, ws}, res, nil
}

func (r *room) screen(h header) *screen {
	r.t.Helper()
	s, res, err := r.dial(h)
	require.NoError(r.t, err)
	res.Body.Close()
	return s
}

// next is the next frame that is no beat.
func (s *screen) next() frame {
	s.t.Helper()
	for {
		if f := s.any(); f.T != "beat" {
			return f
		}
	}
}

func (s *screen) any() frame {
	s.t.Helper()
	require.NoError(s.t, s.ws.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, b, err := s.ws.ReadMessage()
	require.NoError(s.t, err)
	f := frame{raw: string(b)}
	require.NoError(s.t, json.Unmarshal(b, &f), "%s", b)
	return f
}

// until is the next frame of that kind.
func (s *screen) until(kind string) frame {
	s.t.Helper()
	for {
		if f := s.any(); f.T == kind {
			return f
		}
	}
}

// closed is the code with which the server ended the connection.
func (s *screen) closed() int {
	s.t.Helper()
	require.NoError(s.t, s.ws.SetReadDeadline(time.Now().Add(20*time.Second)))
	for {
		if _, _, err := s.ws.ReadMessage(); err != nil {
			var c *websocket.CloseError
			require.ErrorAs(s.t, err, &c)
			return c.Code
		}
	}
}

func (s *screen) say(v any) {
	s.t.Helper()
	require.NoError(s.t, s.ws.WriteJSON(v))
}

type spoken struct {
	T string `json:"t"`
	console.Command
}

func (s *screen) cmd(c console.Command) frame {
	s.t.Helper()
	s.say(spoken{"cmd", c})
	for {
		if f := s.until("result"); f.ID == c.ID {
			return f
		}
	}
}

// board is what a client keeps: rows by id, as long as the numbers fit.
type board struct {
	t     *testing.T
	epoch string
	seq   int64
	rows  map[dispatch.IncidentID]console.Incident
}

func (b *board) take(f frame) {
	b.t.Helper()
	switch f.T {
	case "hello":
		b.epoch = f.Epoch
	case "snapshot":
		b.rows, b.seq = map[dispatch.IncidentID]console.Incident{}, f.Seq
		for _, in := range f.Incidents {
			require.True(b.t, in.State.Open())
			b.rows[in.ID] = in
		}
	case "delta":
		require.Equal(b.t, b.epoch, f.Epoch)
		require.Equal(b.t, b.seq, f.Prev, "no gap")
		require.Greater(b.t, f.Seq, f.Prev)
		b.seq = f.Seq
		for _, in := range f.Incidents {
			if in.State.Open() {
				b.rows[in.ID] = in
			} else {
				delete(b.rows, in.ID)
			}
		}
	case "beat":
		require.Equal(b.t, b.seq, f.Seq)
	}
}

// reach reads frames until the board stands at least where the journal does now.
func (b *board) reach(r *room, s *screen) {
	b.t.Helper()
	last, err := r.house.LastSeq(b.t.Context())
	require.NoError(b.t, err)
	for b.rows == nil || b.seq < last {
		b.take(s.any())
	}
}

func TestBoardFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	r := open(t)
	old := r.draft()
	_, err := r.house.Change(t.Context(), r.draft(), dispatch.CloseWithoutResponse(dispatch.NoResponseTest, "operator:x", r.clock.now()), nil)
	require.NoError(t, err)
	s := r.screen(bearer(r.token("operator")))
	b := &board{t: t}
	hello := s.any()
	require.Equal(t, "hello", hello.T)
	require.Equal(t, console.Operator, hello.Me.Role)
	require.NoError(t, uuid.Validate(hello.Epoch))
	b.take(hello)
	b.reach(r, s)
	require.Len(t, b.rows, 1)
	require.Contains(t, b.rows, old)
	require.Len(t, b.rows[old].Contacts, 1)

	// A storm of changes; a snapshot in the middle of it; at the end both agree.
	fresh := r.draft()
	for range 20 {
		r.sent(dispatch.TypeExplosion)
	}
	s.say(map[string]string{"t": "resync"})
	send := command(console.KindSend, fresh)
	send.Form = &console.Form{Type: new(dispatch.TypeFire), Place: new("там")}
	s.say(spoken{"cmd", send})
	cancel := command(console.KindCancel, old)
	cancel.Reason = "проверка"
	require.True(t, r.do(r.token("supervisor"), cancel).OK)
	last, err := r.house.LastSeq(t.Context())
	require.NoError(t, err)
	results, snapshots := 0, 0
	for b.seq < last || results == 0 || snapshots == 0 {
		f := s.any()
		b.take(f)
		switch f.T {
		case "result":
			results++
			require.True(t, f.OK)
			last, err = r.house.LastSeq(t.Context())
			require.NoError(t, err)
		case "snapshot":
			snapshots++
		}
	}
	cards, seq, err := r.house.OpenCards(t.Context())
	require.NoError(t, err)
	require.Equal(t, seq, b.seq)
	require.Len(t, b.rows, len(cards))
	for _, c := range cards {
		require.Equal(t, c.State, b.rows[c.ID].State)
		require.Equal(t, c.Version, b.rows[c.ID].Version)
		require.Len(t, b.rows[c.ID].Assignments, len(c.Assignments))
	}
	require.NotContains(t, b.rows, old)
}

// A new life of the server is a new epoch: a client that kept its numbers sees
// that they mean nothing any more.
func TestEachLifeHasItsEpoch(t *testing.T) {
	t.Parallel()
	r := open(t)
	token := r.token("operator")
	first := r.screen(bearer(token)).any()
	again := r.screen(bearer(token)).any()
	require.Equal(t, first.Epoch, again.Epoch)
	reborn := open(t)
	require.NotEqual(t, first.Epoch, reborn.screen(bearer(reborn.token("operator"))).any().Epoch)
}

func TestDutyOfficerSeesOwnIncidentsOnTheBoard(t *testing.T) {
	t.Parallel()
	r := open(t)
	fire, crime := r.sent(dispatch.TypeFire), r.sent(dispatch.TypeCrime)
	s := r.screen(bearer(r.token("duty:fire")))
	b := &board{t: t}
	for len(b.rows) == 0 || len(b.rows[fire].Assignments) == 0 {
		b.take(s.any())
	}
	require.Len(t, b.rows, 1)

	// Another service's card and a draft pass by unseen; the numbers still fit.
	r.draft()
	_, err := r.house.Change(t.Context(), crime, dispatch.TakeReply(dispatch.Reply{Service: dispatch.Police, To: dispatch.Accepted, By: "x", At: r.clock.now()}), nil)
	require.NoError(t, err)
	both := r.sent(dispatch.TypeExplosion)
	_, err = r.house.Change(t.Context(), both, dispatch.TakeReply(dispatch.Reply{
		Service: dispatch.Police, To: dispatch.Refused, Comment: "тайна", By: "duty:petrov", At: r.clock.now(),
	}), nil)
	require.NoError(t, err)
	for b.rows[both].Version < len(r.events(both)) {
		f := s.any()
		require.NotContains(t, f.raw, "тайна")
		require.NotContains(t, f.raw, crime.String())
		b.take(f)
	}
	require.Len(t, b.rows, 2)

	s.say(map[string]string{"t": "watch", "incident": crime.String()})
	s.say(map[string]string{"t": "watch", "incident": both.String()})
	f := s.until("events")
	require.JSONEq(t, `"`+both.String()+`"`, string(f.Incident), "another's card has no journal here")
	require.NotContains(t, f.raw, "тайна")
	require.NotContains(t, f.raw, "petrov")
	require.Len(t, f.Events, len(r.events(both)))

	reply := command(console.KindReply, crime)
	reply.Status = dispatch.Accepted
	require.Equal(t, "not_found", s.cmd(reply).Error.Code)
	reply = command(console.KindReply, fire)
	reply.Status = dispatch.Accepted
	require.True(t, s.cmd(reply).OK)
}

// What becomes of the call is on the card at once, the callback that is due too.
func TestBoardShowsTheCall(t *testing.T) {
	t.Parallel()
	r := open(t)
	c := r.call(r.clock.now())
	s := r.screen(bearer(r.token("operator")))
	b := &board{t: t}
	b.reach(r, s)
	require.Equal(t, dispatch.ContactRinging, b.rows[c.Incident].Contacts[0].State)
	for _, p := range []dispatch.Progress{
		{State: dispatch.ContactAnswered},
		{State: dispatch.ContactEnded, Reason: dispatch.EndLineLost, CallbackDue: true},
	} {
		p.ID, p.Incident, p.At = c.ID, c.Incident, r.clock.now()
		require.NoError(t, r.house.Progress(t.Context(), p, dispatch.System))
		b.reach(r, s)
		got := b.rows[c.Incident].Contacts[0]
		require.Equal(t, p.State, got.State)
		require.Equal(t, p.CallbackDue, got.CallbackDue)
		require.Equal(t, p.Reason, got.EndReason)
	}
}

func TestWatchedCardShowsItsJournal(t *testing.T) {
	t.Parallel()
	r := open(t)
	id := r.sent(dispatch.TypeFire)
	s := r.screen(bearer(r.token("operator")))
	s.say(map[string]string{"t": "watch", "incident": id.String()})
	var seqs []int64
	take := func(f frame) {
		for _, e := range f.Events {
			require.Equal(t, id, e.Incident)
			if len(seqs) > 0 {
				require.Greater(t, e.Seq, seqs[len(seqs)-1])
			}
			seqs = append(seqs, e.Seq)
		}
	}
	take(s.until("events"))
	require.Len(t, seqs, len(r.events(id)))
	for _, st := range []dispatch.AssignmentState{dispatch.Received, dispatch.Accepted, dispatch.EnRoute, dispatch.Arrived} {
		_, err := r.house.Change(t.Context(), id, dispatch.TakeReply(dispatch.Reply{Service: dispatch.Fire, To: st, By: "service:fire", At: r.clock.now()}), nil)
		require.NoError(t, err)
	}
	for len(seqs) < len(r.events(id)) {
		take(s.until("events"))
	}
	s.say(map[string]string{"t": "unwatch", "incident": id.String()})
	// The command that follows on the same socket is read after the unwatch.
	hang := command(console.KindHangUp, id)
	require.True(t, s.cmd(hang).OK)
	_, err := r.house.Change(t.Context(), id, dispatch.TakeReply(dispatch.Reply{Service: dispatch.Fire, To: dispatch.Working, By: "service:fire", At: r.clock.now()}), nil)
	require.NoError(t, err)
	f := s.next()
	for f.T == "delta" && f.Incidents[0].Assignments[0].State != dispatch.Working {
		f = s.next()
	}
	require.Equal(t, "delta", f.T, "no more events of a card that is closed: %s", f.raw)
}

func TestResendOverANewSocketHasOneEffect(t *testing.T) {
	t.Parallel()
	r := open(t)
	token := r.token("operator")
	id := r.draft()
	send := command(console.KindSend, id)
	send.Form = &console.Form{Type: new(dispatch.TypeFire), Place: new("там")}
	s := r.screen(bearer(token))
	s.say(spoken{"cmd", send})
	s.ws.Close() // before the answer
	s = r.screen(bearer(token))
	require.True(t, s.cmd(send).OK)
	n := len(r.events(id))
	require.True(t, s.cmd(send).OK)
	require.Len(t, r.events(id), n)
	require.Equal(t, dispatch.EventAssigned, r.events(id)[n-1].Kind)
}

func TestHandshakeIsGuarded(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.account("ivanova", "operator")
	c := r.login("ivanova")
	token := r.token("operator")
	for _, h := range []header{
		{}, {"Cookie": c}, {"Cookie": c, "Origin": "http://evil.example"}, {"Cookie": c, "Origin": "null"},
		{"Authorization": "Bearer " + token, "Origin": "http://evil.example"}, {"Authorization": "Bearer x"},
		{"Origin": r.http.URL},
	} {
		_, res, err := r.dial(h)
		require.Error(t, err)
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, res.StatusCode)
		require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
		res.Body.Close()
	}
	for _, h := range []header{{"Cookie": c, "Origin": r.http.URL}, bearer(token)} {
		require.Equal(t, "hello", r.screen(h).any().T)
	}
	res := r.ask(http.MethodGet, "/ws", bearer(token), nil, nil)
	require.Equal(t, http.StatusUpgradeRequired, res.StatusCode)
}

func TestEndOfASessionClosesItsSockets(t *testing.T) {
	t.Parallel()
	r := open(t)
	for _, l := range []string{"ivanova", "petrov", "sidorov"} {
		r.account(l, "operator")
	}
	in := func(cookie string) *screen {
		s := r.screen(header{"Cookie": cookie, "Origin": r.http.URL})
		s.until("snapshot")
		return s
	}
	// Logging out here closes at once; another login of the same person stays.
	c := r.login("ivanova")
	gone, stays := in(c), in(r.login("ivanova"))
	require.Equal(t, http.StatusNoContent, r.ask(http.MethodPost, "/api/v1/logout", header{"Cookie": c, "Origin": r.http.URL}, nil, nil).StatusCode)
	require.Equal(t, 4001, gone.closed())
	require.Equal(t, "beat", stays.until("beat").T)

	// Revoked elsewhere: the next command is refused, and the socket closed.
	c = r.login("petrov")
	s := in(c)
	_, err := r.pool.Exec(t.Context(), `DELETE FROM sessions WHERE operator_id = (SELECT id FROM operators WHERE login = 'petrov')`)
	require.NoError(t, err)
	cmd := command(console.KindCloseWithoutResponse, r.draft())
	cmd.Reason = string(dispatch.NoResponseTest)
	require.Equal(t, "denied", s.cmd(cmd).Error.Code)
	require.Equal(t, 4001, s.closed())

	// Somebody whose role changed is asked to log in again, without a word.
	s = in(r.login("sidorov"))
	_, err = r.pool.Exec(t.Context(), `UPDATE operators SET role = 'auditor' WHERE login = 'sidorov'`)
	require.NoError(t, err)
	require.Equal(t, 4001, s.closed())
}

// A command that is too long, but can be read, is answered: its sender must not
// send it again for ever. The longest legal one is carried out.
func TestLongCommands(t *testing.T) {
	t.Parallel()
	r := open(t)
	token := r.token("operator")
	s := r.screen(bearer(token))
	s.until("snapshot")
	id := r.draft()

	longest := command(console.KindSave, id)
	astral := func(n int) *string { return new(strings.Repeat("𝄞", n)) }
	longest.Form = &console.Form{
		Place: astral(dispatch.MaxPlace), Description: astral(dispatch.MaxDescription),
		Base: &console.Base{Place: new(""), Description: new("")},
	}
	require.True(t, s.cmd(longest).OK)
	again := longest
	again.ID = uuid.NewString()
	again.Form = &console.Form{Description: new("коротко"), Place: astral(dispatch.MaxPlace), Base: &console.Base{
		Place: longest.Form.Place, Description: longest.Form.Description,
	}}
	text, err := json.Marshal(spoken{"cmd", again})
	require.NoError(t, err)
	escaped := strings.ReplaceAll(string(text), "𝄞", `\ud834\udd1e`)
	require.Less(t, len(escaped)*4, console.MaxCommand)
	require.NoError(t, s.ws.WriteMessage(websocket.TextMessage, []byte(escaped)))
	require.True(t, s.until("result").OK)

	for _, c := range []struct {
		field  string
		change func(*console.Command)
	}{
		{"description", func(c *console.Command) { c.Form = &console.Form{Description: new(strings.Repeat("ы", 100_000))} }},
		{"place", func(c *console.Command) { c.Form = &console.Form{Place: astral(dispatch.MaxPlace + 1)} }},
		{"reason", func(c *console.Command) { c.Form, c.Reason = &console.Form{}, strings.Repeat("ы", 200_000) }},
	} {
		long := command(console.KindSave, id)
		c.change(&long)
		res := s.cmd(long)
		require.NotNil(t, res.Error)
		require.Equal(t, "invalid", res.Error.Code)
		require.Equal(t, c.field, res.Error.Field)
		long.ID = uuid.NewString()
		require.Equal(t, c.field, r.do(token, long).Error.Field, "by the API as well")
	}
	// Even one of another shape, if only its id can be read.
	require.NoError(t, s.ws.WriteMessage(websocket.TextMessage, []byte(`{"t":"cmd","id":"x","kind":"save","form":{"place":7}}`)))
	f := s.until("result")
	require.Equal(t, "x", f.ID)
	require.Equal(t, "invalid", f.Error.Code)
}

func TestMisbehavingClients(t *testing.T) {
	t.Parallel()
	r := open(t)
	token := r.token("operator")
	for name, c := range map[string]struct {
		kind int
		data string
		code int
	}{
		"too big":       {websocket.TextMessage, `{"t":"` + strings.Repeat("x", console.MaxCommand) + `"}`, websocket.CloseMessageTooBig},
		"much too big":  {websocket.TextMessage, strings.Repeat("x", 8*console.MaxCommand), websocket.CloseMessageTooBig},
		"binary":        {websocket.BinaryMessage, `{"t":"resync"}`, websocket.CloseUnsupportedData},
		"not JSON":      {websocket.TextMessage, `{"t":`, websocket.ClosePolicyViolation},
		"wrong type":    {websocket.TextMessage, `{"t":7}`, websocket.ClosePolicyViolation},
		"unknown words": {websocket.TextMessage, `{"t":"drop tables"}`, websocket.ClosePolicyViolation},
	} {
		s := r.screen(bearer(token))
		s.until("snapshot")
		require.NoError(t, s.ws.WriteMessage(c.kind, []byte(c.data)), name)
		require.Equal(t, c.code, s.closed(), name)
	}
	// Too many messages.
	s := r.screen(bearer(token))
	s.until("snapshot")
	for range 200 {
		if s.ws.WriteJSON(map[string]string{"t": "unwatch", "incident": uuid.NewString()}) != nil {
			break
		}
	}
	require.Equal(t, websocket.ClosePolicyViolation, s.closed())
	// A client that says goodbye is answered.
	s = r.screen(bearer(token))
	require.NoError(t, s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second)))
	require.Equal(t, websocket.CloseNormalClosure, s.closed())
}
