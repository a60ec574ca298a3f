package panel

import (
	"context"
	"fmt"
	"net"
	"time"

	"nabat/simulators/tally"
)

// Patience is how long a panel waits for an answer, and how often it sends.
type Patience struct {
	Wait  time.Duration // for each answer; 0: 5 s
	Tries int           // sendings in all; 0: 6
}

func (p Patience) orDefault() Patience {
	if p.Wait <= 0 {
		p.Wait = 5 * time.Second
	}
	if p.Tries <= 0 {
		p.Tries = 6
	}
	return p
}

// Outcome is what became of one signal.
type Outcome struct {
	Account  string        `json:"account"`
	Event    Event         `json:"-"`
	Frame    string        `json:"frame"` // the octets as sent
	Seq      int           `json:"seq"`
	SentAt   time.Time     `json:"sentAt"`
	Took     time.Duration `json:"tookNs"`
	Tries    int           `json:"tries"`
	Answer   string        `json:"answer"` // ACK, NAK, DUH; empty: lost
	Withdraw bool          `json:"withdrawn,omitempty"`
	Err      string        `json:"error,omitempty"`
}

// Panel is one device. It is used by one goroutine at a time.
type Panel struct {
	Account  string
	Protocol string
	Line     string // echoed exactly by the receiver; empty: 0
	Receiver string

	link     Link
	patience Patience
	tally    *tally.Tally
	seq      int
}

// New makes a panel that sends through link and counts in t.
func New(account, protocol string, link Link, patience Patience, t *tally.Tally) *Panel {
	return &Panel{Account: account, Protocol: protocol, link: link, patience: patience.orDefault(), tally: t}
}

// Send tells one event and returns when it was answered, given up or ctx ended.
func (p *Panel) Send(ctx context.Context, e Event) Outcome {
	if e.Kind != Heartbeat {
		p.seq = p.seq%9999 + 1
	}
	f := e.Frame(p.Protocol, p.Account, p.seq)
	f.Receiver = p.Receiver
	if p.Line != "" {
		f.Line = p.Line
	}
	raw := f.Bytes()
	o := Outcome{Account: p.Account, Event: e, Frame: string(raw), Seq: f.Seq, SentAt: time.Now()}
	p.tally.Sent()
	var err error
	for o.Tries = 1; o.Tries <= p.patience.Tries; o.Tries++ {
		if o.Tries > 1 {
			p.tally.Retried()
		}
		tried := time.Now()
		var r Reply
		if r, err = p.link.Exchange(ctx, raw, p.Account, f.Seq, p.patience.Wait); err == nil {
			o.Took = time.Since(o.SentAt)
			p.judge(&o, f, r)
			return o
		}
		// A refused connection fails at once: wait out the rest, as a panel does.
		rest := p.patience.Wait - time.Since(tried)
		if o.Tries == p.patience.Tries {
			rest = 0
		}
		if !pause(ctx, rest) {
			p.tally.Withdrawn()
			o.Withdraw, o.Err = true, ctx.Err().Error()
			return o
		}
	}
	o.Tries = p.patience.Tries
	o.Err = err.Error()
	p.tally.Lost(fmt.Sprintf("%s: %v (%d tries)", p.Account, err, o.Tries))
	return o
}

// judge decides what an answer is worth. An ACK that echoes the header wrongly
// is refused by real panels, so it is by this one.
func (p *Panel) judge(o *Outcome, f Frame, r Reply) {
	o.Answer = r.Token
	switch {
	case r.Token == tokenACK && (r.Account != f.Account || r.Receiver != f.Receiver || r.Line != f.Line):
		o.Err = fmt.Sprintf("ACK echoes R%q L%q #%q", r.Receiver, r.Line, r.Account)
	case r.Token == tokenACK:
		p.tally.Acknowledged(o.Took)
		return
	case r.Token == tokenDUH:
		o.Err = "DUH: the receiver does not handle this"
	case r.Token == tokenNAK:
		o.Err = "NAK: the receiver's time is " + r.Time
	default:
		o.Err = "answered by " + r.Token
	}
	p.tally.Refused(p.Account + ": " + o.Err)
}

// Close ends the panel's connection.
func (p *Panel) Close() error { return p.link.Close() }

// pause waits; false when ctx ended first or has ended already.
func pause(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Loopback tells whether an address stays on this machine. The simulators speak
// to nobody else unless they are told to: a made-up alarm at a real receiver
// sends real people out.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
