package panel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"nabat/simulators/tally"
)

// Device is one panel of a load.
type Device struct{ Account, Protocol string }

// Options say what a load does. At least one of Count, Each and Duration bounds it.
type Options struct {
	Network string // tcp or udp
	Addr    string
	OneShot bool // TCP: a connection for each signal
	Shared  int  // TCP: connections that the panels share; 0: each has its own
	Sockets int  // UDP sockets that the panels share; 0: 8
	Devices []Device
	Mix     Mix
	Seed    uint64
	// First is the number of each panel's first event (see Mix.Draw): a second run
	// within the receiver's window for repeats needs another one.
	First int
	Patience

	Count    int           // signals in all; 0: no bound
	Each     int           // signals of each panel; 0: no bound
	Duration time.Duration // no signal begins later; 0: no bound
	Rate     float64       // signals a second in all; 0: each panel as fast as it is answered
	// Spread lets the panels begin at random moments within it, instead of all
	// at once.
	Spread time.Duration
	// Done, if set, hears of every outcome. It is called from the panels'
	// goroutines and must not block for long.
	Done func(Outcome)
}

// Load is many panels at once, each with one signal in flight.
type Load struct {
	o       Options
	tally   *tally.Tally
	started atomic.Int64
}

// NewLoad checks the options. Nothing is opened yet.
func NewLoad(o Options, t *tally.Tally) (*Load, error) {
	switch {
	case o.Network != "tcp" && o.Network != "udp":
		return nil, fmt.Errorf("network %q: must be tcp or udp", o.Network)
	case o.Shared > 0 && (o.OneShot || o.Network != "tcp"):
		return nil, errors.New("shared connections are for TCP and stay open")
	case len(o.Devices) == 0:
		return nil, errors.New("no panels")
	case o.Count <= 0 && o.Each <= 0 && o.Duration <= 0:
		return nil, errors.New("a load needs a bound: a count or a duration")
	case len(o.Mix) == 0:
		return nil, errors.New("no mix of events")
	}
	o.Patience = o.orDefault()
	if o.Sockets <= 0 {
		o.Sockets = 8
	}
	return &Load{o: o, tally: t}, nil
}

// Run sends until the bound is reached and every signal has its outcome, or
// until ctx ends.
func (l *Load) Run(ctx context.Context) error {
	var sockets *Sockets
	var readers sync.WaitGroup
	defer readers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if l.o.Network == "udp" {
		var err error
		if sockets, err = NewSockets(l.o.Addr, l.o.Sockets); err != nil {
			return err
		}
		readers.Go(func() { _ = sockets.Run(ctx) })
		defer func() { l.tally.Note("stray answers", sockets.Stray()) }()
	}
	var shared *Shared
	if l.o.Network == "tcp" && l.o.Shared > 0 {
		shared = NewShared(l.o.Addr, l.o.Shared)
		defer func() {
			shared.Close()
			l.tally.Note("stray answers", shared.Stray())
		}()
	}
	// The bound in time only ends beginnings: what is in flight has its tries.
	begin := ctx
	if l.o.Duration > 0 {
		var stop context.CancelFunc
		begin, stop = context.WithTimeout(ctx, l.o.Duration)
		defer stop()
	}
	tokens := l.pace(begin, &readers)
	var panels sync.WaitGroup
	for i, d := range l.o.Devices {
		var link Link
		switch {
		case sockets != nil:
			link = sockets.Link(i)
		case shared != nil:
			link = shared.Link(i)
		default:
			link = NewTCP(l.o.Addr, l.o.OneShot)
		}
		p := New(d.Account, d.Protocol, link, l.o.Patience, l.tally)
		panels.Go(func() {
			defer p.Close()
			l.work(ctx, begin, p, i, tokens)
		})
	}
	panels.Wait()
	return nil
}

// work is one panel's life.
func (l *Load) work(ctx, begin context.Context, p *Panel, i int, tokens <-chan struct{}) {
	rng := rand.New(rand.NewPCG(l.o.Seed, uint64(i)))
	if l.o.Spread > 0 && !pause(begin, time.Duration(rng.Int64N(int64(l.o.Spread)))) {
		return
	}
	for n := 0; l.o.Each == 0 || n < l.o.Each; n++ {
		if tokens != nil {
			select {
			case _, more := <-tokens:
				if !more {
					return
				}
			case <-begin.Done():
				return
			}
		}
		if begin.Err() != nil || (l.o.Count > 0 && l.started.Add(1) > int64(l.o.Count)) {
			return
		}
		o := p.Send(ctx, l.o.Mix.Draw(rng, l.o.First+n))
		if l.o.Done != nil {
			l.o.Done(o)
		}
	}
}

// pace gives leave to send at the rate; nil means that no leave is needed. When
// every panel is busy, leave that could not be given is counted and dropped: the
// receiver was slower than the rate, and the report says so.
func (l *Load) pace(begin context.Context, wg *sync.WaitGroup) <-chan struct{} {
	if l.o.Rate <= 0 {
		return nil
	}
	tokens := make(chan struct{}, 1+len(l.o.Devices))
	wg.Go(func() {
		defer close(tokens)
		const beat = 5 * time.Millisecond
		tick := time.NewTicker(beat)
		defer tick.Stop()
		start := time.Now()
		for given := 0; ; {
			for due := int(time.Since(start).Seconds()*l.o.Rate) + 1; given < due; given++ {
				if l.o.Count > 0 && given >= l.o.Count {
					return
				}
				select {
				case tokens <- struct{}{}:
				default:
					if l.o.Count > 0 {
						// A counted load owes every signal: later, not never.
						due = given
						continue
					}
					l.tally.Note("behind the rate", 1)
				}
			}
			select {
			case <-tick.C:
			case <-begin.Done():
				return
			}
		}
	})
	return tokens
}
