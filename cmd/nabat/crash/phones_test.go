package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"nabat/simulators/sipwire"
	"nabat/simulators/sms"
)

// number is a caller's number that nobody else has: each call is told from every
// other by who calls.
func number(kind, worker, n int) string { return fmt.Sprintf("+7000%d%02d%05d", kind, worker, n) }

// phone makes one call after the other until ctx ends.
func (o *outside) phone(ctx context.Context, seed uint64, worker int) {
	rng := rand.New(rand.NewPCG(seed, 1000+uint64(worker)))
	for n := 0; wait(ctx, time.Duration(100+rng.IntN(400))*time.Millisecond); n++ {
		o.gate.RLock()
		o.call(ctx, rng, number(1, worker, n))
		o.gate.RUnlock()
	}
}

// call is one caller with one need. An INVITE that was never acknowledged comes
// again, the same one, through whatever engine is there; so do some of those
// that rang when the engine died, as a trunk in front of us would send them.
// Other callers whose line went are waiting to be called back.
func (o *outside) call(ctx context.Context, rng *rand.Rand, caller string) {
	a := &approach{name: caller}
	o.ledger.note(func() { o.ledger.calls[caller] = a })
	c := &callLeg{o: o, a: a, rng: rng, id: "call-" + caller[1:] + "@crash", tag: "t" + caller[1:], caller: caller}
	c.hold = time.Duration(rng.IntN(900)) * time.Millisecond
	c.cancels = rng.IntN(8) == 0
	insists := rng.IntN(2) == 0
	for n := -1; ; {
		l := o.living(ctx, n)
		if l == nil {
			return
		}
		n = l.n
		o.ledger.note(func() { a.tries++ })
		outcome := c.try(l)
		switch {
		case outcome == ended || ctx.Err() != nil:
			o.ledger.note(func() { a.done = true })
			return
		case outcome == again, outcome == ringingGone && (insists || a.acked == ""):
			// The same INVITE once more, after the pause of a peer that is not in a hurry.
			if !wait(ctx, againAfter) {
				return
			}
		case outcome == byeGone:
			o.ledger.note(func() { a.done = true })
			return
		default:
			o.ledger.note(func() { a.lost, a.done = true, true })
			c.late(ctx, n)
			return
		}
	}
}

type outcome int

const (
	ended       outcome = iota // in good order, and the caller knows
	again                      // refused for now
	lineGone                   // the engine went in the middle of the conversation
	ringingGone                // the engine went before it answered
	byeGone                    // the engine went while the caller was hanging up
)

type callLeg struct {
	o       *outside
	a       *approach
	rng     *rand.Rand
	id, tag string
	caller  string
	hold    time.Duration
	cancels bool
	bye     *sipwire.Message // for late
}

func (c *callLeg) heard(l *life, what string) {
	c.o.ledger.note(func() {
		if c.a.acked == "" {
			c.a.acked, c.a.life = what, l.n
		}
	})
	l.acknowledged()
}

func (c *callLeg) open(l *life) (*sipwire.Call, error) {
	host := l.run.Listen["sip_udp"]
	return l.sip.Open(c.id, c.tag, fmt.Sprintf("<sip:%s@%s>", c.caller, l.sip.Local()), "<sip:112@"+host+">", "sip:112@"+host, sipwire.Timers{})
}

// try makes the call through one engine.
func (c *callLeg) try(l *life) outcome {
	call, err := c.open(l)
	if err != nil {
		return ringingGone
	}
	defer call.Close()
	inv := call.Request("INVITE")
	inv.Renew(c.a.tries)
	inv.Add("Contact", fmt.Sprintf("<sip:%s@%s>", c.caller, l.sip.Local()))
	inv.Add("P-Asserted-Identity", fmt.Sprintf("<tel:%s>", c.caller))
	inv.Add("Content-Type", "application/sdp")
	inv.Body = fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 8\r\n",
		c.o.sink.LocalAddr().(*net.UDPAddr).Port)
	cancelled := false
	answer, err := call.Do(l.ctx, inv, func(m *sipwire.Message) error {
		if _, method := m.CSeq(); method != "INVITE" || m.Status != 180 {
			return nil
		}
		c.heard(l, "180")
		if c.cancels && !cancelled {
			cancelled = true
			return call.Send(call.CancelRequest())
		}
		return nil
	})
	switch {
	case err != nil && l.ctx.Err() == nil:
		c.o.t.Errorf("call of %s: %v", c.caller, err)
		return ended
	case err != nil && cancelled:
		return byeGone // whether the CANCEL arrived nobody knows
	case err != nil:
		return ringingGone
	case answer.Status == 487 && cancelled:
		return ended
	case answer.Status == 503 || answer.Status == 480:
		return again
	case answer.Status != 200:
		c.o.t.Errorf("call of %s was refused: %d %s", c.caller, answer.Status, answer.Reason)
		return ended
	}
	c.heard(l, "200")
	if err := call.Establish(answer); err != nil {
		return lineGone
	}
	return c.talk(l, call)
}

// talk holds the line for a while and hangs up.
func (c *callLeg) talk(l *life, call *sipwire.Call) outcome {
	hold := time.NewTimer(c.hold)
	defer hold.Stop()
	for talking := true; talking; {
		select {
		case <-hold.C:
			talking = false
		case m, open := <-call.Inbox():
			if !open {
				return lineGone
			}
			switch _, method := m.CSeq(); {
			case m.Status == 200 && method == "INVITE":
				_ = call.Establish(m) // our ACK was lost
			case m.Method == "BYE":
				c.o.t.Errorf("the engine hung up on %s", c.caller)
				_ = call.Send(sipwire.Answer(m, 200, "OK"))
				return ended
			}
		}
	}
	if l.ctx.Err() != nil {
		return lineGone
	}
	c.bye = call.Request("BYE")
	answer, err := call.Do(l.ctx, c.bye, nil)
	switch {
	case err != nil && l.ctx.Err() == nil:
		c.o.t.Errorf("BYE of %s: %v", c.caller, err)
	case err != nil:
		return byeGone
	case answer.Status != 200:
		c.o.t.Errorf("BYE of %s: %d %s", c.caller, answer.Status, answer.Reason)
	}
	return ended
}

// late hangs up a line that went with its engine: the next engine has no such
// dialog and must say so (RFC 3261 §12.2.2).
func (c *callLeg) late(ctx context.Context, n int) {
	l := c.o.living(ctx, n+1)
	if l == nil {
		return
	}
	call, err := c.open(l)
	if err != nil {
		return
	}
	defer call.Close()
	call.To += ";tag=gone"
	answer, err := call.Do(l.ctx, call.Request("BYE"), nil)
	if err == nil && answer.Status != 481 {
		c.o.t.Errorf("a BYE to a line of an earlier life was answered %d", answer.Status)
	}
}

// smsGateway hands one text over after the other; each is repeated with the same
// Call-ID until it gets its 200.
func (o *outside) smsGateway(ctx context.Context, seed uint64, worker int) {
	rng := rand.New(rand.NewPCG(seed, 2000+uint64(worker)))
	for n := 0; wait(ctx, time.Duration(50+rng.IntN(300))*time.Millisecond); n++ {
		o.gate.RLock()
		o.text(ctx, rng, number(2, worker, n))
		o.gate.RUnlock()
	}
}

func (o *outside) text(ctx context.Context, rng *rand.Rand, from string) {
	t := sms.Text{From: from, Text: "Помогите, дым в подъезде, " + from}
	a := &approach{name: t.Text}
	o.ledger.note(func() { o.ledger.texts[t.Text] = a })
	for {
		l := o.living(ctx, -1)
		if l == nil {
			return
		}
		o.ledger.note(func() { a.tries++ })
		r := sms.Send(l.ctx, l.sip, l.run.Listen["sip_udp"], "sms-"+from[1:]+"@crash", "s"+from[1:], t, 3, sipwire.Timers{})
		if r.Status == 200 && (a.tries > 1 || !o.unheard(rng)) {
			o.ledger.note(func() { a.acked, a.life, a.done = "200", l.n, true })
			l.acknowledged()
			return
		}
		if r.Status != 0 && r.Status != 200 && r.Status != 503 && r.Status != 480 {
			o.t.Errorf("text of %s: %s", from, r.Err)
			return
		}
		if !wait(ctx, againAfter) {
			return
		}
	}
}
