package caller

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"nabat/simulators/sipwire"
)

// Plan is what one call does.
type Plan struct {
	From string // telephone number of the caller
	To   string // number called; empty: 112
	// Hold is how long the caller stays on the line after the answer.
	Hold time.Duration
	// Cancel gives up so long after the first sign of life (100 Trying) instead of
	// waiting for the answer; 0: waits. A call that was answered before goes on as
	// if it had waited, and says so (Result.TooLate).
	Cancel time.Duration
	// Repeats sends the INVITE so many more times at once, as a bad network does.
	Repeats int
	// WaitForBye stays until the other side hangs up; Hold is then the most.
	WaitForBye bool
	// NoSound leaves out the sending and hearing: signalling only, SDP and all.
	NoSound bool
	// AnswerWithin is the most the caller rings; 0: 3 minutes.
	AnswerWithin time.Duration
}

// Result is what became of one call. Times count from the first INVITE.
type Result struct {
	Call      string        `json:"call"` // Call-ID
	From      string        `json:"from"`
	StartedAt time.Time     `json:"startedAt"`
	Trying    time.Duration `json:"tryingNs"` // first provisional answer
	Ringing   time.Duration `json:"ringingNs"`
	Answered  time.Duration `json:"answeredNs"`
	Ended     time.Duration `json:"endedNs"`
	Status    int           `json:"status"` // final answer to the INVITE
	EndedBy   string        `json:"endedBy,omitempty"`
	TooLate   bool          `json:"tooLate,omitempty"` // it was answered before it could be cancelled
	Repeats   int           `json:"repeats"`           // requests sent again, by timer or on purpose
	Heard     Heard         `json:"heard"`
	Err       string        `json:"error,omitempty"`
}

// Who ended a call.
const (
	ByCaller = "caller"
	ByPeer   = "peer"
	ByCancel = "cancel"
)

// Good tells that the call went as planned: answered and ended, or cancelled.
func (r Result) Good() bool { return r.Err == "" && (r.Status/100 == 2 || r.EndedBy == ByCancel) }

// Caller rings through one SIP transport.
type Caller struct {
	e      *sipwire.Endpoint
	host   string // of the URIs
	timers sipwire.Timers
}

// New makes a caller on a transport whose Run somebody else runs. host is what
// stands behind the @ of the number called: the engine's address.
func New(e *sipwire.Endpoint, host string, t sipwire.Timers) *Caller {
	return &Caller{e: e, host: host, timers: t}
}

// errGaveUp: the caller stopped before anybody had heard of the call.
var errGaveUp = errors.New("the caller gave up")

// Ring makes one call; id and tag must be unique. When ctx ends the call is
// cancelled or hung up before Ring returns, with a short bound of its own.
func (c *Caller) Ring(ctx context.Context, id, tag string, p Plan) Result {
	if p.To == "" {
		p.To = "112"
	}
	t := c.timers
	if p.AnswerWithin > 0 {
		t.C = p.AnswerWithin
	}
	r := &ring{c: c, p: p, res: Result{Call: id, From: p.From, StartedAt: time.Now()}}
	if err := r.run(ctx, id, tag, t); err != nil && r.res.Err == "" {
		r.res.Err = err.Error()
	}
	r.res.Ended = time.Since(r.res.StartedAt)
	return r.res
}

// ring is one call under way.
type ring struct {
	c         *Caller
	p         Plan
	res       Result
	call      *sipwire.Call
	invite    *sipwire.Message
	sound     *sound
	cancelled bool
	bye       bool // the peer said BYE
}

func (r *ring) run(ctx context.Context, id, tag string, t sipwire.Timers) (err error) {
	from := fmt.Sprintf("<sip:%s@%s>", r.p.From, r.c.e.Local())
	to := fmt.Sprintf("<sip:%s@%s>", r.p.To, r.c.host)
	r.call, err = r.c.e.Open(id, tag, from, to, "sip:"+r.p.To+"@"+r.c.host, t)
	if err != nil {
		return err
	}
	defer r.call.Close()
	if r.sound, err = openSound(r.c.e.Local()); err != nil {
		return err
	}
	defer func() { r.res.Heard = r.sound.close() }()
	defer func() { r.res.Repeats += r.call.Retransmitted }()

	ok, err := r.ask(ctx)
	if err != nil {
		return err
	}
	r.res.Status = ok.Status
	switch {
	case ok.Status == 487 && r.cancelled:
		r.res.EndedBy = ByCancel
		return ctx.Err()
	case ok.Status >= 300:
		return fmt.Errorf("refused: %d %s", ok.Status, ok.Reason)
	}
	r.res.Answered = time.Since(r.res.StartedAt)
	r.res.TooLate = r.p.Cancel > 0 && !r.cancelled
	if err := r.call.Establish(ok); err != nil {
		return fmt.Errorf("ACK: %w", err)
	}
	if r.cancelled {
		// The answer and the CANCEL crossed: the call stands, so hang it up.
		r.res.EndedBy = ByCancel
		return r.hangUp(ctx)
	}
	return r.talk(ctx, ok)
}

// ask sends the INVITE and waits for its final answer.
func (r *ring) ask(ctx context.Context) (*sipwire.Message, error) {
	m := r.call.Request("INVITE")
	m.Add("Contact", fmt.Sprintf("<sip:%s@%s>", r.p.From, r.c.e.Local()))
	m.Add("P-Asserted-Identity", fmt.Sprintf("<tel:%s>", r.p.From))
	m.Add("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS")
	m.Add("Content-Type", "application/sdp")
	m.Body = r.sound.offer(uint64(r.res.StartedAt.UnixMicro()))
	r.invite = m
	if err := r.call.Send(m); err != nil {
		return nil, fmt.Errorf("INVITE: %w", err)
	}
	for range r.p.Repeats {
		if err := r.call.Send(m); err != nil {
			return nil, fmt.Errorf("INVITE: %w", err)
		}
		r.res.Repeats++
	}
	// The wait is cut in two where the caller gives up: its own patience, or ctx.
	wait, stop := context.WithCancel(ctx)
	defer stop()
	var timer *time.Timer
	ok, err := r.call.Await(wait, m, func(m *sipwire.Message) error {
		r.note(m)
		if r.p.Cancel > 0 && timer == nil && m.Status > 0 && m.Status < 200 {
			timer = time.AfterFunc(r.p.Cancel, stop)
		}
		return nil
	})
	if timer != nil {
		defer timer.Stop()
	}
	if err == nil || !errors.Is(err, context.Canceled) {
		return ok, err
	}
	return r.cancel(ctx)
}

// cancel withdraws the INVITE. Its final answer still comes: 487, or a 200 that
// was under way. Before the first sign of life there is nothing to cancel
// (RFC 3261 §9.1), so that is waited for a while.
func (r *ring) cancel(ctx context.Context) (*sipwire.Message, error) {
	r.cancelled = true
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
	defer stop()
	var request *sipwire.Message
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		if request == nil && r.res.Trying > 0 {
			request = r.call.CancelRequest()
			if err := r.call.Send(request); err != nil {
				return nil, fmt.Errorf("CANCEL: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			if request == nil {
				return nil, errGaveUp
			}
			return nil, fmt.Errorf("CANCEL: %w", sipwire.ErrTimeout)
		case <-again.C:
			// The INVITE is repeated until somebody has heard of it, then its
			// CANCEL until an answer comes.
			repeat := request
			if repeat == nil {
				repeat = r.invite
			}
			if err := r.call.Send(repeat); err != nil {
				return nil, fmt.Errorf("CANCEL: %w", err)
			}
			r.res.Repeats++
		case m, open := <-r.call.Inbox():
			if !open {
				return nil, sipwire.ErrClosed
			}
			if _, method := m.CSeq(); method == "INVITE" && m.Status >= 200 {
				return m, r.call.Refuse(r.invite, m)
			}
			r.note(m)
		}
	}
}

// note sees what arrives beside the answer that is waited for.
func (r *ring) note(m *sipwire.Message) {
	since := time.Since(r.res.StartedAt)
	_, method := m.CSeq()
	switch {
	case m.Status > 0 && method == "INVITE" && m.Status < 200:
		if r.res.Trying == 0 {
			r.res.Trying = since
		}
		if m.Status == 180 && r.res.Ringing == 0 {
			r.res.Ringing = since
		}
	case m.Status/100 == 2 && method == "INVITE":
		// A repeated answer: our ACK was lost.
		_ = r.call.Establish(m)
	case m.Method == "BYE":
		r.bye = true
		_ = r.call.Send(sipwire.Answer(m, 200, "OK"))
	case m.Method == "OPTIONS": //nolint:usestdlibvars // SIP's method, not HTTP's
		_ = r.call.Send(sipwire.Answer(m, 200, "OK"))
	case m.Method == "INVITE", m.Method == "UPDATE":
		_ = r.call.Send(sipwire.Answer(m, 488, "Not Acceptable Here"))
	case m.Method != "" && m.Method != "ACK":
		_ = r.call.Send(sipwire.Answer(m, 405, "Method Not Allowed"))
	}
}

// talk stays on the line, then hangs up.
func (r *ring) talk(ctx context.Context, ok *sipwire.Message) error {
	to, payload, err := parseAnswer(ok.Body)
	if err != nil {
		return errors.Join(err, r.hangUp(ctx))
	}
	if !r.p.NoSound {
		r.sound.start(ctx, to, payload)
	}
	hold := time.NewTimer(r.p.Hold)
	defer hold.Stop()
	for !r.bye {
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), r.hangUp(ctx))
		case <-hold.C:
			err := r.hangUp(ctx)
			if r.p.WaitForBye && !r.bye {
				err = errors.Join(errors.New("nobody hung up"), err)
			}
			return err
		case m, open := <-r.call.Inbox():
			if !open {
				return sipwire.ErrClosed
			}
			r.note(m)
		}
	}
	r.res.EndedBy = ByPeer
	return nil
}

// partingTime bounds the farewell of a call that is being stopped.
const partingTime = 2 * time.Second

func (r *ring) hangUp(ctx context.Context) error {
	if r.res.EndedBy == "" {
		r.res.EndedBy = ByCaller
	}
	if ctx.Err() != nil {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(context.WithoutCancel(ctx), partingTime)
		defer stop()
	}
	answer, err := r.call.Do(ctx, r.call.Request("BYE"), func(m *sipwire.Message) error {
		r.note(m)
		return nil
	})
	switch {
	case err != nil:
		return err
	case answer.Status/100 != 2 && !r.bye: // both hung up at once: 481 is fine
		return fmt.Errorf("BYE answered by %s", strconv.Itoa(answer.Status))
	}
	return nil
}
