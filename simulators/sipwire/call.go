package sipwire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Timers of RFC 3261 §17.1.1.1. A simulator may be more hurried than the book.
type Timers struct {
	T1 time.Duration // first retransmission after this; 0: 500 ms
	T2 time.Duration // most between retransmissions of anything but INVITE; 0: 4 s
	B  time.Duration // give up after this without any answer; 0: 64 × T1
	C  time.Duration // give up on a ringing INVITE; 0: 3 min
}

func (t Timers) orDefault() Timers {
	if t.T1 <= 0 {
		t.T1 = 500 * time.Millisecond
	}
	if t.T2 <= 0 {
		t.T2 = 4 * time.Second
	}
	if t.B <= 0 {
		t.B = 64 * t.T1
	}
	if t.C <= 0 {
		t.C = 3 * time.Minute
	}
	return t
}

// Why a transaction ended without a final answer.
var (
	ErrTimeout = errors.New("no answer from the SIP peer")
	ErrClosed  = errors.New("the SIP transport has ended")
)

// Call is one Call-ID: a dialog with its requests, or a single MESSAGE.
type Call struct {
	e      *Endpoint
	timers Timers
	inbox  chan *Message

	ID       string
	From, To string // header values; To gains its tag with the dialog
	Target   string // where the next request goes: the peer's Contact
	Routes   []string
	cseq     int
	branches int
	tag      string

	// Retransmitted counts requests that were sent again.
	Retransmitted int
	invite        *Message // the last one, for its CANCEL
}

// Open begins a call. id must be unique; from and to are header values without tags.
func (e *Endpoint) Open(id, tag, from, to, target string, t Timers) (*Call, error) {
	c := &Call{
		e: e, timers: t.orDefault(), inbox: make(chan *Message, inboxSize),
		ID: id, From: from + ";tag=" + tag, To: to, Target: target, tag: tag,
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return nil, ErrClosed
	}
	if e.calls[id] != nil {
		return nil, fmt.Errorf("a call %q is open already", id)
	}
	e.calls[id] = c
	return c, nil
}

// Close forgets the call; what comes for it later is answered 481.
func (c *Call) Close() {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if c.e.calls[c.ID] == c {
		delete(c.e.calls, c.ID)
	}
}

// Inbox is where everything for this call arrives while no Do is waiting. It is
// closed when the transport ends.
func (c *Call) Inbox() <-chan *Message { return c.inbox }

// Request makes the next request of the call, with a branch of its own.
func (c *Call) Request(method string) *Message {
	c.cseq++
	m := c.bare(method, c.cseq)
	if method == "INVITE" {
		c.invite = m
	}
	return m
}

func (c *Call) bare(method string, cseq int) *Message {
	c.branches++
	m := &Message{Method: method, URI: c.Target}
	m.Add("Via", fmt.Sprintf("SIP/2.0/%s %s;rport;branch=z9hG4bK%s%d", transport(c.e.network), c.e.local, c.tag, c.branches))
	m.Add("Max-Forwards", "70")
	for _, r := range c.Routes {
		m.Add("Route", r)
	}
	m.Add("From", c.From)
	m.Add("To", c.To)
	m.Add("Call-ID", c.ID)
	m.Add("CSeq", fmt.Sprintf("%d %s", cseq, method))
	return m
}

func transport(network string) string {
	if network == "tcp" {
		return "TCP"
	}
	return "UDP"
}

// Send writes a message outside any transaction: a response, a repeated request.
func (c *Call) Send(m *Message) error { return c.e.Send(m) }

// Handler sees what arrives while Do waits: provisional answers of its own
// transaction, requests of the peer and answers to other requests. It may send.
// An error ends the waiting.
type Handler func(m *Message) error

// Do runs a client transaction: it sends req, repeats it over UDP as the timers
// say, and returns the final answer. An error answer to an INVITE is
// acknowledged here (§17.1.1.3), a good one by the caller, with Establish.
func (c *Call) Do(ctx context.Context, req *Message, other Handler) (*Message, error) {
	if err := c.e.Send(req); err != nil {
		return nil, fmt.Errorf("send %s: %w", req.Method, err)
	}
	return c.Await(ctx, req, other)
}

// Await is Do for a request that has been sent.
func (c *Call) Await(ctx context.Context, req *Message, other Handler) (*Message, error) {
	invite := req.Method == "INVITE"
	gap := c.timers.T1
	again := time.NewTimer(gap)
	defer again.Stop()
	if c.e.network == "tcp" {
		again.Stop()
	}
	giveUp := time.NewTimer(c.timers.B)
	defer giveUp.Stop()
	branch, ringing := req.Branch(), false
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-giveUp.C:
			return nil, fmt.Errorf("%s: %w", req.Method, ErrTimeout)
		case <-again.C:
			if invite && ringing {
				continue
			}
			if err := c.e.Send(req); err != nil {
				return nil, fmt.Errorf("repeat %s: %w", req.Method, err)
			}
			c.Retransmitted++
			gap *= 2
			if !invite {
				gap = min(gap, c.timers.T2)
			}
			again.Reset(gap)
		case m, ok := <-c.inbox:
			if !ok {
				return nil, ErrClosed
			}
			_, method := m.CSeq()
			mine := m.Status > 0 && m.Branch() == branch && method == req.Method
			if mine && m.Status >= 200 {
				if invite && m.Status >= 300 {
					return m, c.ackError(req, m)
				}
				return m, nil
			}
			if mine && invite && !ringing {
				// A provisional answer: no more repeats, and a longer patience.
				ringing = true
				giveUp.Reset(c.timers.C)
			}
			if other != nil {
				if err := other(m); err != nil {
					return nil, err
				}
			}
		}
	}
}

// Refuse acknowledges an error answer that arrived outside Do; a good answer it
// leaves to Establish.
func (c *Call) Refuse(invite, m *Message) error {
	if m.Status < 300 {
		return nil
	}
	return c.ackError(invite, m)
}

// ackError acknowledges a refusal within the INVITE's transaction: same branch,
// same CSeq number, the To of the answer.
func (c *Call) ackError(invite, m *Message) error {
	ack := &Message{Method: "ACK", URI: invite.URI}
	for _, h := range invite.Headers {
		switch canonical(h.Name) {
		case "via", "max-forwards", "from", "call-id", "route":
			ack.Headers = append(ack.Headers, h)
		}
	}
	ack.Add("To", m.Get("To"))
	n, _ := invite.CSeq()
	ack.Add("CSeq", fmt.Sprintf("%d ACK", n))
	return c.e.ack(c.ID, ack)
}

// Establish takes the dialog from a 2xx (To tag, target, routes in reverse) and
// acknowledges it. Called again for a repeated 2xx it only sends the ACK again.
func (c *Call) Establish(ok *Message) error {
	c.To = ok.Get("To")
	if uri := AddressURI(ok.Get("Contact")); uri != "" {
		c.Target = uri
	}
	c.Routes = ok.All("Record-Route")
	slices.Reverse(c.Routes)
	n, _ := ok.CSeq()
	return c.e.ack(c.ID, c.bare("ACK", n))
}

// CancelRequest makes the CANCEL of the pending INVITE: its branch, its number,
// its To without a tag (§9.1).
func (c *Call) CancelRequest() *Message {
	m := &Message{Method: "CANCEL", URI: c.invite.URI}
	for _, h := range c.invite.Headers {
		switch canonical(h.Name) {
		case "via", "max-forwards", "from", "to", "call-id", "route":
			m.Headers = append(m.Headers, h)
		}
	}
	n, _ := c.invite.CSeq()
	m.Add("CSeq", fmt.Sprintf("%d CANCEL", n))
	return m
}
