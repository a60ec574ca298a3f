package caller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"nabat/simulators/sipwire"
	"nabat/simulators/tally"
)

// Options say what a load of calls does.
type Options struct {
	Network string // udp or tcp
	Peer    string // the engine's SIP address
	Count   int    // calls in all; 0: only Duration bounds them
	// Duration bounds the time in which calls begin; 0: only Count.
	Duration time.Duration
	Rate     float64 // calls a second; 0: as many at once as Most allows
	Most     int     // calls at once; 0: 500
	// Endpoints is how many transports share the calls; 0: 1. Each is a source
	// address of its own, as trunks have.
	Endpoints int
	Seed      uint64
	Plan      Plan // From empty: a made-up number for each call
	// CancelShare of the calls give up while it rings, after Plan.Cancel (or 1 s).
	CancelShare float64
	// WantSound makes a call in which nothing but silence was heard a failure.
	WantSound bool
	Timers    sipwire.Timers
	Done      func(Result)
}

// TooLate is the note of calls that were answered before they could be cancelled.
const TooLate = "answered before the cancel"

// Load makes many calls.
type Load struct {
	o     Options
	tally *tally.Tally
}

// NewLoad checks the options; nothing is opened yet.
func NewLoad(o Options, t *tally.Tally) (*Load, error) {
	if o.Count <= 0 && o.Duration <= 0 {
		return nil, errors.New("a load needs a bound: a count or a duration")
	}
	if o.Most <= 0 {
		o.Most = 500
	}
	if o.Endpoints <= 0 {
		o.Endpoints = 1
	}
	return &Load{o: o, tally: t}, nil
}

// Run makes the calls and returns when the last has ended, or when ctx ends and
// every call has been cancelled or hung up.
func (l *Load) Run(ctx context.Context) error {
	// The transports outlive ctx by the time that the farewells take.
	wire, unplug := context.WithCancel(context.WithoutCancel(ctx))
	var readers sync.WaitGroup
	defer readers.Wait()
	defer unplug()
	callers := make([]*Caller, l.o.Endpoints)
	for i := range callers {
		e, err := sipwire.Dial(ctx, l.o.Network, l.o.Peer)
		if err != nil {
			return err
		}
		readers.Go(func() { _ = e.Run(wire) })
		callers[i] = New(e, l.o.Peer, l.o.Timers)
	}

	rng := rand.New(rand.NewPCG(l.o.Seed, 0x63616c6c))
	run := fmt.Sprintf("%x", time.Now().UnixNano()) // two runs with one seed are different calls
	slots := make(chan struct{}, l.o.Most)
	var calls sync.WaitGroup
	defer calls.Wait()
	start := time.Now()
	for n := 0; l.o.Count <= 0 || n < l.o.Count; n++ {
		if l.o.Rate > 0 && !sleepUntil(ctx, start.Add(time.Duration(float64(n)/l.o.Rate*float64(time.Second)))) {
			return nil
		}
		if l.o.Duration > 0 && time.Since(start) >= l.o.Duration {
			return nil
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		p := l.plan(rng)
		id := fmt.Sprintf("%s-%d@sim", run, n)
		tag := fmt.Sprintf("t%s%d", run, n)
		calls.Go(func() {
			defer func() { <-slots }()
			l.one(ctx, callers[n%len(callers)], id, tag, p)
		})
	}
	return nil
}

func (l *Load) plan(rng *rand.Rand) Plan {
	p := l.o.Plan
	if p.From == "" {
		p.From = fmt.Sprintf("+7000%07d", rng.IntN(10_000_000))
	}
	if rng.Float64() < l.o.CancelShare {
		if p.Cancel <= 0 {
			p.Cancel = time.Second
		}
	} else if l.o.CancelShare > 0 {
		p.Cancel = 0
	}
	return p
}

// one makes a call and counts it: acknowledged when it went as planned, with the
// time until it was answered.
func (l *Load) one(ctx context.Context, c *Caller, id, tag string, p Plan) {
	l.tally.Sent()
	r := c.Ring(ctx, id, tag, p)
	for range r.Repeats - p.Repeats {
		l.tally.Retried()
	}
	l.tally.Note("RTP heard", r.Heard.Packets)
	l.tally.Note("RTP missing", r.Heard.Missing)
	listened := r.EndedBy != ByCancel && !p.NoSound && r.Status/100 == 2
	if listened && r.Heard.Silent() {
		l.tally.Note("silent calls", 1)
		if l.o.WantSound && r.Err == "" {
			r.Err = fmt.Sprintf("nothing but silence was heard in %d packets", r.Heard.Packets)
		}
	}
	if r.EndedBy == ByCancel {
		l.tally.Note("cancelled", 1)
	}
	if r.TooLate {
		l.tally.Note(TooLate, 1)
	}
	switch {
	case r.Good():
		l.tally.Acknowledged(firstOf(r.Answered, r.Ringing, r.Trying))
	case ctx.Err() != nil && r.Status == 0:
		l.tally.Withdrawn()
	case r.Status >= 300 || r.Status == 0 && r.Trying > 0:
		l.tally.Refused(r.Err)
	default:
		l.tally.Lost(r.Err)
	}
	if l.o.Done != nil {
		l.o.Done(r)
	}
}

func firstOf(ds ...time.Duration) time.Duration {
	for _, d := range ds {
		if d > 0 {
			return d
		}
	}
	return 0
}

func sleepUntil(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err() == nil
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
