package crash

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"nabat/dispatch"
)

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
		l.done.Add(1)
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
