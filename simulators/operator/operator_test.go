package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a console server in memory: it holds cards, tells them, and takes
// commands. broken lets a test misbehave.
type desk struct {
	t     *testing.T
	mu    sync.Mutex
	epoch string
	seq   int64
	cards map[string]map[string]any
	conns map[*websocket.Conn]*sync.Mutex
	// Of every command id that was carried out, how often it came.
	commands map[string]int
	done     []command
	logins   int
	answer   func(n int, c command) (ok bool, code string, say bool) // n-th command, from 1
	dropAt   int                                                     // closes the connection instead of answering the n-th
	closeAs  int
	count    int
	changed  chan struct{}
}

func newDesk(t *testing.T) (*desk, string) {
	d := &desk{
		t: t, epoch: "e1", cards: map[string]map[string]any{}, conns: map[*websocket.Conn]*sync.Mutex{},
		commands: map[string]int{}, changed: make(chan struct{}, 1000),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/login", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Login, Password string }
		json.NewDecoder(r.Body).Decode(&in)
		d.mu.Lock()
		d.logins++
		d.mu.Unlock()
		if in.Password != "right" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: "secret", Path: "/", Secure: true, HttpOnly: true})
		fmt.Fprint(w, `{}`)
	})
	up := websocket.Upgrader{}
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie(cookieName); err != nil || c.Value != "secret" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		conn, err := up.Upgrade(w, r, nil) // checks the Origin against the Host
		if err != nil {
			return
		}
		d.serve(conn)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return d, s.URL
}

func (d *desk) serve(conn *websocket.Conn) {
	defer conn.Close()
	d.mu.Lock()
	d.conns[conn] = &sync.Mutex{}
	d.write(conn, map[string]any{"t": "hello", "epoch": d.epoch})
	d.snapshot(conn)
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.conns, conn)
		d.mu.Unlock()
	}()
	for {
		var c command
		if err := conn.ReadJSON(&c); err != nil {
			return
		}
		d.mu.Lock()
		switch c.T {
		case "resync":
			d.snapshot(conn)
		case "cmd":
			d.count++
			ok, code, say := true, "", true
			if d.answer != nil {
				ok, code, say = d.answer(d.count, c)
			}
			if d.commands[c.ID]++; d.commands[c.ID] == 1 && ok {
				d.done = append(d.done, c)
				state := map[string]string{"send": "dispatched", "closeWithoutResponse": "closed", "close": "closed"}[c.Kind]
				d.change(c.Incident, map[string]any{"state": state})
			}
			if d.count == d.dropAt {
				d.mu.Unlock()
				if d.closeAs != 0 {
					conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(d.closeAs, ""), time.Now().Add(time.Second))
				}
				return
			}
			if say {
				res := map[string]any{"t": "result", "id": c.ID, "ok": ok}
				if !ok {
					res["error"] = map[string]string{"code": code, "en": code}
				}
				d.write(conn, res)
			}
		}
		d.mu.Unlock()
		d.changed <- struct{}{}
	}
}

func (d *desk) write(conn *websocket.Conn, v any) { conn.WriteJSON(v) }

func (d *desk) snapshot(conn *websocket.Conn) {
	list := []any{}
	for _, c := range d.cards {
		if c["state"] != "closed" {
			list = append(list, c)
		}
	}
	d.write(conn, map[string]any{"t": "snapshot", "epoch": d.epoch, "seq": d.seq, "incidents": list})
}

// change alters a card and tells everybody; with d.mu held.
func (d *desk) change(id string, fields map[string]any) {
	c := d.cards[id]
	if c == nil {
		c = map[string]any{"id": id, "number": len(d.cards) + 1}
		d.cards[id] = c
	}
	maps.Copy(c, fields)
	prev := d.seq
	d.seq += 3
	for conn := range d.conns {
		d.write(conn, map[string]any{"t": "delta", "epoch": d.epoch, "prev": prev, "seq": d.seq, "incidents": []any{c}})
	}
}

func (d *desk) put(fields map[string]any) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := uuid.NewString()
	d.change(id, fields)
	return id
}

// until waits for the desk to satisfy a condition.
func (d *desk) until(cond func() bool) {
	d.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		d.mu.Lock()
		ok := cond()
		d.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-d.changed:
		case <-deadline:
			d.t.Fatal("it did not happen")
		}
	}
}

func hire(t *testing.T, o Options) (*Person, func()) {
	t.Helper()
	o.Password, o.Speed = "right", 1e4
	if o.Login == "" {
		o.Login = "someone"
	}
	p, err := New(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return p, stop
}

func draft(origin string) map[string]any {
	return map[string]any{"state": "draft", "origin": origin}
}

// Two call-takers share the drafts out: each card is dealt with once, cards that
// are not theirs are left alone.
func TestCallTakersShareTheDrafts(t *testing.T) {
	t.Parallel()
	d, url := newDesk(t)
	first := d.put(draft("call"))
	a, stopA := hire(t, Options{URL: url, Role: CallTaker, Seat: 0, Seats: 2, Login: "a"})
	b, stopB := hire(t, Options{URL: url, Role: CallTaker, Seat: 1, Seats: 2, Login: "b"})
	mine := map[string]bool{first: true}
	for i := range 30 {
		mine[d.put(draft([]string{"call", "sms"}[i%2]))] = true
	}
	d.put(draft("alarm")) // an unknown panel: for a real person
	d.put(map[string]any{"state": "draft", "origin": "call", "type": "fire"})
	d.put(map[string]any{"state": "worked", "origin": "call"})
	d.until(func() bool { return len(d.done) >= 31 })
	stopA()
	stopB()
	seen := map[string]bool{}
	for _, c := range d.done {
		require.True(t, mine[c.Incident])
		require.False(t, seen[c.Incident], "twice")
		seen[c.Incident] = true
		switch c.Kind {
		case "send":
			require.NotEmpty(t, c.Form.Type)
			require.NotEmpty(t, c.Form.Place)
		case "closeWithoutResponse":
			require.NotEmpty(t, c.Reason)
		default:
			t.Error(c.Kind)
		}
	}
	ra, rb := a.Report(), b.Report()
	require.Positive(t, ra.Acknowledged)
	require.Positive(t, rb.Acknowledged)
	require.Zero(t, ra.Refused+rb.Refused)
}

func TestSMSIsRead(t *testing.T) {
	t.Parallel()
	d, url := newDesk(t)
	hire(t, Options{URL: url, Role: CallTaker})
	d.put(map[string]any{"state": "draft", "origin": "sms", "description": "ул. Труда, д. 5. Дым из окна"})
	d.until(func() bool { return len(d.done) == 1 })
	require.Equal(t, words{"fire", "ул. Труда, д. 5", "ул. Труда, д. 5. Дым из окна"}, d.done[0].Form.words)
}

func TestSupervisorClosesWhatIsWorked(t *testing.T) {
	t.Parallel()
	d, url := newDesk(t)
	_, stop := hire(t, Options{URL: url, Role: Supervisor})
	d.put(draft("call"))
	id := d.put(map[string]any{"state": "under_way", "origin": "call"})
	d.mu.Lock()
	d.change(id, map[string]any{"state": "worked"})
	d.mu.Unlock()
	d.until(func() bool { return len(d.done) == 1 })
	refused := d.put(map[string]any{"state": "dispatched", "origin": "call", "assignments": []any{map[string]string{"state": "refused"}}})
	d.put(map[string]any{"state": "dispatched", "origin": "call", "assignments": []any{
		map[string]string{"state": "refused"}, map[string]string{"state": "received"},
	}})
	d.until(func() bool { return len(d.done) == 2 })
	stop()
	require.Equal(t, refused, d.done[1].Incident)
	require.Contains(t, d.done[1].Reason, "отказались")
	require.Equal(t, "close", d.done[0].Kind)
	require.Equal(t, id, d.done[0].Incident)
	require.NotEmpty(t, d.done[0].Reason)
}

// Hundreds of cards are due at once: they are dealt with a few at a time.
func TestHandsAreFew(t *testing.T) {
	t.Parallel()
	d, url := newDesk(t)
	for range 200 {
		d.put(map[string]any{"state": "worked", "origin": "alarm"})
	}
	d.answer = func(n int, _ command) (bool, string, bool) { return true, "", n > hands }
	p, stop := hire(t, Options{URL: url, Role: Supervisor})
	d.until(func() bool { return d.count == hands })
	// None of them was answered: nothing further is sent before one is.
	require.Never(t, func() bool { d.mu.Lock(); defer d.mu.Unlock(); return d.count > hands }, 100*time.Millisecond, 10*time.Millisecond)
	d.until(func() bool { return len(d.done) == 200 })
	stop()
	require.Zero(t, p.Report().Lost)
}

// A caller who gave up before anybody answered needs nobody.
func TestUnheardCallsAreDropped(t *testing.T) {
	t.Parallel()
	d, url := newDesk(t)
	hire(t, Options{URL: url, Role: CallTaker})
	c := draft("call")
	c["contacts"] = []any{map[string]any{"state": "ended"}}
	d.put(c)
	d.until(func() bool { return len(d.done) == 1 })
	require.Equal(t, "closeWithoutResponse", d.done[0].Kind)
	require.Equal(t, "dropped", d.done[0].Reason)
}

// The connection breaks after the command was carried out and before its result:
// it is sent again with its id, and a session that ended is begun anew.
func TestResultsAreInsistedOn(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, closeSession} {
		d, url := newDesk(t)
		d.dropAt, d.closeAs = 1, code
		p, stop := hire(t, Options{URL: url, Role: CallTaker})
		d.put(draft("call"))
		d.until(func() bool {
			for _, n := range d.commands {
				return n == 2
			}
			return false
		})
		require.Eventually(t, func() bool { return p.Report().Acknowledged == 1 }, 10*time.Second, time.Millisecond)
		stop()
		require.Len(t, d.done, 1)
		require.Equal(t, map[bool]int{false: 1, true: 2}[code != 0], d.logins)
	}
}

func TestBusyIsTriedAgainAndConflictIsNoFailure(t *testing.T) {
	t.Parallel()
	d, url := newDesk(t)
	d.answer = func(n int, _ command) (bool, string, bool) {
		switch n {
		case 1:
			return false, busy, true
		case 2:
			return false, "conflict", true
		}
		return false, "invalid", true
	}
	p, stop := hire(t, Options{URL: url, Role: CallTaker})
	d.put(draft("call"))
	d.until(func() bool { return d.count == 2 })
	d.put(draft("call"))
	d.until(func() bool { return d.count == 3 })
	require.Eventually(t, func() bool { r := p.Report(); return r.Acknowledged+r.Refused == 2 }, 10*time.Second, time.Millisecond)
	stop()
	r := p.Report()
	require.EqualValues(t, 1, r.Notes["somebody was faster"])
	require.EqualValues(t, 1, r.Refused)
	require.Len(t, d.commands, 2, "the busy one came again with its id")
}

func TestGapsAskForASnapshot(t *testing.T) {
	t.Parallel()
	var b board
	_, resync := b.take(frame{T: "delta", Epoch: "e", Prev: 1, Seq: 2})
	require.True(t, resync, "a delta before any snapshot")
	changed, resync := b.take(frame{T: "snapshot", Epoch: "e", Seq: 5, Incidents: []Card{{ID: "a", State: "draft"}}})
	require.Len(t, changed, 1)
	require.False(t, resync)
	_, resync = b.take(frame{T: "delta", Epoch: "e", Prev: 5, Seq: 9, Incidents: []Card{{ID: "a", State: "closed"}}})
	require.False(t, resync)
	require.Empty(t, b.cards)
	_, resync = b.take(frame{T: "delta", Epoch: "e", Prev: 8, Seq: 10})
	require.True(t, resync, "a gap")
	_, resync = b.take(frame{T: "delta", Epoch: "other", Prev: 9, Seq: 10})
	require.True(t, resync, "another life of the server")
	_, resync = b.take(frame{T: "beat", Epoch: "e", Seq: 50})
	require.False(t, resync)
	_, resync = b.take(frame{T: "beat", Epoch: "other", Seq: 9})
	require.True(t, resync)
}

func TestWrongPasswordEnds(t *testing.T) {
	t.Parallel()
	_, url := newDesk(t)
	p, err := New(Options{URL: url, Login: "x", Password: "wrong", Role: CallTaker})
	require.NoError(t, err)
	require.ErrorIs(t, p.Run(t.Context()), errLogin)
	for _, o := range []Options{{URL: "ftp://x", Role: CallTaker}, {URL: url, Role: "auditor"}} {
		_, err := New(o)
		require.Error(t, err)
	}
}

// Nobody there yet: it comes up later.
func TestWaitsForTheServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	p, err := New(Options{URL: "http://127.0.0.1:1", Login: "x", Password: "y", Role: CallTaker})
	require.NoError(t, err)
	require.NoError(t, p.Run(ctx))
}
