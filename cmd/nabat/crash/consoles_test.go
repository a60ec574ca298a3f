package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"nabat/dispatch"
)

// seat is a person at a console, who came in by a bearer token.
type seat struct {
	name, role string
	service    dispatch.Service // of a duty officer
	// share and shares say which cards are this person's among those of the role.
	share, shares uint32
	token         string
}

func (s *seat) actor() string {
	role := s.role
	if s.service != "" {
		role = "duty"
	}
	return role + ":token:" + s.name
}

// staff are the people at the consoles of a house.
func staff() []*seat {
	var out []*seat
	for i := range uint32(2) {
		out = append(out,
			&seat{name: fmt.Sprintf("taker%d", i), role: "operator", share: i, shares: 2},
			&seat{name: fmt.Sprintf("shift%d", i), role: "supervisor", share: i, shares: 2})
	}
	for _, s := range []dispatch.Service{dispatch.Police, dispatch.Fire, dispatch.Gas, dispatch.Medical} {
		out = append(out, &seat{name: "duty-" + string(s), role: "duty:" + string(s), service: s, shares: 1})
	}
	return out
}

// order is one command of a person.
type order struct {
	seat               *seat
	id, kind, incident string
	// mark is text of its own that the effect leaves in the journal.
	mark     string
	text     []byte // as it is sent, the same each time
	tries    int
	life     int
	answered bool
	code     string // what was refused; empty: done
	again    int    // how often it was sent once more after its answer
}

func (r *order) String() string {
	return fmt.Sprintf("%s %s of %s on card %s (tries %d, answered %v %q by life %d, again %d)",
		r.kind, r.id, r.seat.name, r.incident, r.tries, r.answered, r.code, r.life, r.again)
}

// card is what a person looks at.
type card struct {
	ID          string `json:"id"`
	State       string `json:"state"`
	Origin      string `json:"origin"`
	Caller      string `json:"caller"`
	Description string `json:"description"`
	Contacts    []struct {
		State string `json:"state"`
	} `json:"contacts"`
	Assignments []struct {
		Service dispatch.Service         `json:"service"`
		State   dispatch.AssignmentState `json:"state"`
	} `json:"assignments"`
}

func (c *card) over() bool { return c.State == "closed" || c.State == "cancelled" }

// draw gives a number that depends on the card alone, so that it is the same
// before and after a restart, and for everybody who asks.
func draw(id, what string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(what + " " + id))
	return h.Sum32()
}

// Who speaks for a service in an incident: its own system on Kafka, its duty
// officer at the console, or first the one and then the other.
func systemAccepts(s dispatch.Service, incident string) bool {
	return draw(incident, string(s))%8 != 7
}
func systemCompletes(s dispatch.Service, incident string) bool {
	n := draw(incident, string(s)) % 8
	return n >= 3 && n <= 5
}

// frame is whatever a server says.
type frame struct {
	T         string `json:"t"`
	Epoch     string `json:"epoch"`
	Prev      int64  `json:"prev"`
	Seq       int64  `json:"seq"`
	Incidents []card `json:"incidents"`
	ID        string `json:"id"`
	OK        bool   `json:"ok"`
	Error     *struct {
		Code string `json:"code"`
		EN   string `json:"en"`
	} `json:"error"`
}

// desk is a person at work. All but what mu guards belongs to work's goroutine.
type desk struct {
	o    *outside
	seat *seat
	rng  *rand.Rand

	conn    *websocket.Conn
	to      int // the life that conn goes to
	reader  sync.WaitGroup
	results chan frame
	gone    chan struct{} // closed when conn has ended
	board   chan struct{} // closed when conn has shown its first board

	steps map[string]int // what was done with a card
	told  []*order       // that were answered
	check int            // how many of them to send again in this life

	mu    sync.Mutex
	epoch string
	seq   int64
	cards map[string]card
}

func newDesk(o *outside, seed uint64, i int, s *seat) *desk {
	return &desk{o: o, seat: s, rng: rand.New(rand.NewPCG(seed, 3000+uint64(i))), to: -1, steps: map[string]int{}}
}

// work goes on until ctx ends.
func (d *desk) work(ctx context.Context) {
	defer d.leave()
	for {
		pause := 40*time.Millisecond + time.Duration(d.rng.IntN(60))*time.Millisecond
		if d.o.pace.Load() == 0 {
			pause = 10 * time.Millisecond // a console may not pour out more
		}
		if !wait(ctx, pause) {
			return
		}
		d.o.gate.RLock()
		d.one(ctx)
		d.o.gate.RUnlock()
	}
}

// one gives one command and returns when it was answered.
func (d *desk) one(ctx context.Context) {
	l := d.o.living(ctx, -1)
	if l == nil || !d.sit(l) {
		return
	}
	if d.check > 0 && len(d.told) > 0 {
		d.check--
		d.repeat(l, d.told[max(0, len(d.told)-1-d.rng.IntN(20))])
		return
	}
	if r := d.choose(); r != nil {
		d.give(ctx, r)
	}
}

// sit connects to an engine and waits for its board.
func (d *desk) sit(l *life) bool {
	if d.conn != nil && d.to == l.n {
		select {
		case <-d.gone:
		default:
			return true
		}
	}
	d.leave()
	ctx, cancel := context.WithTimeout(l.ctx, answerWithin)
	defer cancel()
	conn, res, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+l.run.Listen["console"]+"/ws",
		http.Header{"Authorization": {"Bearer " + d.seat.token}})
	if res != nil && res.Body != nil {
		res.Body.Close()
	}
	if err != nil {
		if res != nil && res.StatusCode == http.StatusUnauthorized {
			d.o.t.Errorf("%s is not let in: %s", d.seat.name, res.Status)
		}
		return false
	}
	if d.to != l.n {
		d.check = 3
	}
	d.conn, d.to = conn, l.n
	d.results, d.gone, d.board = make(chan frame, 16), make(chan struct{}), make(chan struct{})
	d.reader.Go(func() {
		defer close(d.gone)
		defer context.AfterFunc(l.ctx, func() { conn.Close() })()
		d.read(l, conn)
	})
	select {
	case <-d.board:
		return true
	case <-d.gone:
	case <-time.After(startLimit):
		d.o.t.Errorf("%s was shown no board", d.seat.name)
	case <-l.ctx.Done():
	}
	return false
}

func (d *desk) leave() {
	if d.conn != nil {
		d.conn.Close()
		d.reader.Wait()
		d.conn = nil
	}
}

func (d *desk) read(l *life, conn *websocket.Conn) {
	first := true
	for {
		var f frame
		if err := conn.ReadJSON(&f); err != nil {
			return
		}
		switch f.T {
		case "result":
			select {
			case d.results <- f:
			default: // nobody waits for it
			}
		case "snapshot", "delta":
			d.look(f)
			if first {
				first = false
				close(d.board)
			}
		}
		if l.ctx.Err() != nil {
			return
		}
	}
}

// look keeps the board.
func (d *desk) look(f frame) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.T == "snapshot" {
		d.epoch, d.cards = f.Epoch, make(map[string]card, len(f.Incidents))
	} else if f.Epoch != d.epoch || f.Prev != d.seq {
		d.o.t.Errorf("%s held %s/%d and was sent a delta on %s/%d", d.seat.name, d.epoch, d.seq, f.Epoch, f.Prev)
	}
	d.seq = f.Seq
	for _, c := range f.Incidents {
		if d.seat.service != "" && c.part(d.seat.service) == "" {
			d.o.t.Errorf("%s sees the card %s, which is not their service's", d.seat.name, c.ID)
		}
		if c.over() {
			delete(d.cards, c.ID)
		} else {
			d.cards[c.ID] = c
		}
	}
}

func (c *card) part(s dispatch.Service) dispatch.AssignmentState {
	for _, a := range c.Assignments {
		if a.Service == s {
			return a.State
		}
	}
	return ""
}

// quiet tells that nobody is or will be on a card's lines: a card that is closed
// during a call ends the call.
func (d *desk) quiet(c *card) bool {
	for _, k := range c.Contacts {
		if k.State != string(dispatch.ContactEnded) {
			return false
		}
	}
	if c.Origin != string(dispatch.OriginCall) {
		return true
	}
	done := false
	d.o.ledger.note(func() {
		if a := d.o.ledger.calls[c.Caller]; a != nil {
			done = a.done
		}
	})
	return done
}

// choose finds something to do.
func (d *desk) choose() *order {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, c := range d.cards {
		if draw(id, d.seat.role)%d.seat.shares != d.seat.share || !d.quiet(&c) {
			continue
		}
		if r := d.decide(&c); r != nil {
			d.steps[id]++
			return r
		}
	}
	return nil
}

type form struct {
	Type        dispatch.Type `json:"type"`
	Place       string        `json:"place"`
	Description string        `json:"description"`
}

type command struct {
	T           string                   `json:"t"`
	ID          string                   `json:"id"`
	Kind        string                   `json:"kind"`
	Incident    string                   `json:"incident"`
	Form        *form                    `json:"form,omitempty"`
	Reason      string                   `json:"reason,omitempty"`
	Status      dispatch.AssignmentState `json:"status,omitempty"`
	OrderNumber string                   `json:"orderNumber,omitempty"`
	Comment     string                   `json:"comment,omitempty"`
}

// needs are the types that call-takers give; each has its services.
var needs = []dispatch.Type{
	dispatch.TypeFire, dispatch.TypeGas, dispatch.TypeMedical, dispatch.TypeCrime, dispatch.TypeRoadAccident,
}

// decide makes the next command for a card, if this person has one to give.
func (d *desk) decide(c *card) *order {
	cmd := command{T: "cmd", ID: uuid.NewString(), Incident: c.ID}
	mark := "mark " + cmd.ID
	step, plan := d.steps[c.ID], draw(c.ID, "plan")
	switch {
	case d.seat.service != "":
		state := c.part(d.seat.service)
		switch n := draw(c.ID, string(d.seat.service)) % 8; {
		case n == 7 && step == 0 && (state == dispatch.Published || state == dispatch.Added):
			cmd.Status = dispatch.Accepted
		case n == 6 && step == 0 && state == dispatch.Accepted:
			cmd.Status = dispatch.EnRoute
		case n >= 6 && step == 1 && (state == dispatch.Accepted || state == dispatch.EnRoute):
			cmd.Status = dispatch.Completed
		default:
			return nil
		}
		cmd.Kind, cmd.Comment, cmd.OrderNumber = "reply", mark, "N"+cmd.ID[:8]
	case d.seat.role == "supervisor":
		switch {
		case step > 0:
			return nil
		case c.State == string(dispatch.Worked):
			cmd.Kind, cmd.Reason = "close", mark
		case plan%4 == 0 && (c.State == string(dispatch.Dispatched) || c.State == string(dispatch.UnderWay)):
			cmd.Kind, cmd.Reason = "cancel", mark
		default:
			return nil
		}
	default:
		draft := c.State == string(dispatch.Draft)
		cmd.Form = &form{needs[plan/7%uint32(len(needs))], "Садовая ул., " + cmd.ID[:4], mark}
		switch {
		case draft && step == 0 && plan%5 == 0:
			cmd.Kind, cmd.Form, cmd.Reason = "closeWithoutResponse", nil, string(dispatch.NoResponseDropped)
		case draft && step == 0 && plan%5 == 1:
			cmd.Kind = "save"
		case draft && step < 2:
			cmd.Kind = "send"
		case step > 0 && step < 3 && plan%5 > 2 && (c.State == string(dispatch.Dispatched) || c.State == string(dispatch.UnderWay)):
			cmd.Kind = "send" // once more, with other words
		default:
			return nil
		}
	}
	text, err := json.Marshal(cmd)
	if err != nil {
		panic(err) // strings only
	}
	return &order{seat: d.seat, id: cmd.ID, kind: cmd.Kind, incident: c.ID, mark: mark, text: text}
}

// give sends a command until it is answered, whatever happens to the engine.
func (d *desk) give(ctx context.Context, r *order) {
	d.o.ledger.note(func() { d.o.ledger.orders[r.id] = r })
	for {
		l := d.o.living(ctx, -1)
		if l == nil {
			return
		}
		if d.sit(l) {
			d.o.ledger.note(func() { r.tries++ })
			f, heard := d.exchange(l, r)
			switch {
			case !heard, f.Error != nil && f.Error.Code == "busy":
			case r.tries == 1 && d.o.unheard(d.rng):
				// What is stored, and whose answer was lost.
			default:
				d.heard(l, r, f)
				return
			}
		}
		if !wait(ctx, againAfter) {
			return
		}
	}
}

func (d *desk) heard(l *life, r *order, f frame) {
	code := ""
	if !f.OK {
		code = "no reason"
		if f.Error != nil {
			code = f.Error.Code
		}
	}
	d.o.ledger.note(func() { r.answered, r.code, r.life = true, code, l.n })
	d.told = append(d.told, r)
	switch code {
	case "":
		l.acknowledged()
	case "conflict": // somebody was faster
	default:
		d.o.t.Errorf("%s: %s: %v", r, code, f.Error)
	}
}

// repeat sends a command that was answered, perhaps by an earlier engine: the
// answer is the same.
func (d *desk) repeat(l *life, r *order) {
	f, heard := d.exchange(l, r)
	if !heard || (f.Error != nil && f.Error.Code == "busy") {
		return
	}
	d.o.ledger.note(func() { r.again++ })
	code := ""
	if f.Error != nil {
		code = f.Error.Code
	}
	if f.OK != (r.code == "") || code != r.code {
		d.o.t.Errorf("%s was sent again and answered ok %v %q", r, f.OK, code)
	}
}

// exchange sends once and waits for the result.
func (d *desk) exchange(l *life, r *order) (frame, bool) {
	if d.conn.SetWriteDeadline(time.Now().Add(answerWithin)) != nil || d.conn.WriteMessage(websocket.TextMessage, r.text) != nil {
		d.leave()
		return frame{}, false
	}
	late := time.NewTimer(answerWithin)
	defer late.Stop()
	for {
		select {
		case f := <-d.results:
			if f.ID == r.id {
				return f, true
			}
		case <-d.gone:
			return frame{}, false
		case <-late.C:
			return frame{}, false
		case <-l.ctx.Done():
			return frame{}, false
		}
	}
}
