package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/cmd/nabat/datadir"
	"nabat/dispatch"
	"nabat/simulators/sipwire"
)

// life is one engine as the outside sees it, from its listeners to its end.
type life struct {
	n     int
	run   datadir.Run
	ctx   context.Context //nolint:containedctx // it is the engine's life: over when it was killed
	over  context.CancelFunc
	sip   *sipwire.Endpoint
	acks  atomic.Int64
	heard atomic.Int64 // records that services read for the first time
	done  atomic.Int64 // commands of people
	first chan struct{}
	parts sync.WaitGroup
}

// acknowledged counts one thing that this engine has promised.
func (l *life) acknowledged() {
	if l.acks.Add(1) == 1 {
		close(l.first)
	}
}

// outside is everybody who works with the engine: it outlives every engine and
// remembers what each has promised.
type outside struct {
	t      *testing.T
	ledger *ledger
	duty   *duty
	sink   net.PacketConn // where callers say they want to hear; nobody listens

	mu      sync.Mutex
	now     *life
	changed chan struct{} // closed when there is another life

	// gate is held for reading by whoever has something unfinished, and for
	// writing to let everybody finish and begin nothing.
	gate  sync.RWMutex
	pace  atomic.Int64 // pause of a panel between two signals, ns
	crowd sync.WaitGroup
	stop  context.CancelFunc
}

// crew says how many of each work at once.
type crew struct {
	panels, strangers, phones, gateways int
	seats                               []*seat
}

// accounts is how many panels' accounts each worker goes round.
const accounts = 15

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{t: t, ledger: newLedger(), changed: make(chan struct{})}
	o.duty = newDuty(o.ledger)
	var err error
	o.sink, err = net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	return o
}

// begin sets everybody to work until end.
func (o *outside) begin(seed uint64, c crew) {
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	for i := range c.panels + c.strangers {
		network := [2]string{"tcp", "udp"}[i%2]
		p := newPanels(o, seed, i, network, i >= c.panels)
		o.crowd.Go(func() { p.work(ctx) })
	}
	for i := range c.phones {
		o.crowd.Go(func() { o.phone(ctx, seed, i) })
	}
	for i := range c.gateways {
		o.crowd.Go(func() { o.smsGateway(ctx, seed, i) })
	}
	for i, s := range c.seats {
		d := newDesk(o, seed, i, s)
		o.crowd.Go(func() { d.work(ctx) })
	}
}

func (o *outside) end() {
	o.bury()
	if o.stop != nil {
		o.stop()
	}
	o.crowd.Wait()
	o.sink.Close()
}

// meet makes an engine known to everybody.
func (o *outside) meet(e *engine) (*life, error) {
	l := &life{run: e.run, first: make(chan struct{})}
	l.ctx, l.over = context.WithCancel(context.Background())
	var err error
	if l.sip, err = sipwire.Dial(l.ctx, "udp", e.run.Listen["sip_udp"]); err != nil {
		l.over()
		return nil, fmt.Errorf("telephone: %w", err)
	}
	l.parts.Go(func() { _ = l.sip.Run(l.ctx) })
	l.parts.Go(func() { o.duty.work(l) })
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.now != nil {
		l.n = o.now.n + 1
	}
	o.now = l
	close(o.changed)
	o.changed = make(chan struct{})
	return l, nil
}

// bury ends what hung on the engine that was killed. Panels notice by
// themselves.
func (o *outside) bury() {
	o.mu.Lock()
	l := o.now
	o.mu.Unlock()
	if l == nil {
		return
	}
	l.over()
	l.parts.Wait()
}

// living waits for an engine that is none of those before n; nil when ctx ended.
func (o *outside) living(ctx context.Context, n int) *life {
	for {
		o.mu.Lock()
		l, changed := o.now, o.changed
		o.mu.Unlock()
		if l != nil && l.n >= n && l.ctx.Err() == nil {
			return l
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// unheard loses some of the answers on their way back, and more of them in the
// moments before a kill.
func (o *outside) unheard(rng *rand.Rand) bool {
	if o.pace.Load() == 0 {
		return rng.IntN(4) == 0
	}
	return rng.IntN(40) == 0
}

// calm lets everybody finish what they have begun, calls whatever must be
// checked, and sets them to work again. The engine must be alive; dead tells
// that it is not.
func (o *outside) calm(limit time.Duration, dead <-chan struct{}, do func()) error {
	held := make(chan struct{})
	go func() { o.gate.Lock(); close(held) }()
	var err error
	select {
	case <-held:
		do()
		o.gate.Unlock()
		return nil
	case <-dead:
		err = errors.New("the engine ended by itself")
	case <-time.After(limit):
		err = fmt.Errorf("%w: %s are over", errLate, limit)
	}
	go func() { <-held; o.gate.Unlock() }()
	return fmt.Errorf("somebody was not answered: %w; %s", err, o.ledger.waiting())
}

// ledger is what the outside knows. Everything in it is guarded by mu.
type ledger struct {
	mu      sync.Mutex
	signals map[string]*signal   // by data block: account and event
	calls   map[string]*approach // by caller's number
	texts   map[string]*approach // by text
	replies map[string]*reply    // by service, incident and status
	orders  map[string]*order    // by command id
}

// signal is one event of a panel.
type signal struct {
	block string
	opens bool // belongs to a card
	acked bool
	tries int
	life  int // that acknowledged it
}

// approach is one call or SMS.
type approach struct {
	name  string
	acked string // by what; empty: not
	// lost: the line went with an engine that was killed, and nobody sent it again.
	lost  bool
	tries int
	life  int
	done  bool
}

// reply is a status that a service's own system has sent.
type reply struct {
	service   dispatch.Service
	incident  string
	status    dispatch.AssignmentState
	confirmed int // how often the broker took it
}

func newLedger() *ledger {
	return &ledger{
		signals: map[string]*signal{}, calls: map[string]*approach{}, texts: map[string]*approach{},
		replies: map[string]*reply{}, orders: map[string]*order{},
	}
}

// note changes the ledger.
func (l *ledger) note(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// snapshot is the ledger as it stands; what its entries say may still change.
func (l *ledger) snapshot() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &ledger{
		signals: maps.Clone(l.signals), calls: maps.Clone(l.calls), texts: maps.Clone(l.texts),
		replies: maps.Clone(l.replies), orders: maps.Clone(l.orders),
	}
}

// waiting names a few things that were not acknowledged.
func (l *ledger) waiting() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, s := range l.signals {
		if !s.acked {
			out = append(out, fmt.Sprintf("%s (%d tries)", s.block, s.tries))
		}
	}
	for _, m := range []map[string]*approach{l.calls, l.texts} {
		for _, a := range m {
			if !a.done {
				out = append(out, fmt.Sprintf("%s (%d tries, heard %q)", a.name, a.tries, a.acked))
			}
		}
	}
	for _, r := range l.orders {
		if !r.answered {
			out = append(out, r.String())
		}
	}
	return few(out)
}

// totals counts what was sent and what was acknowledged.
func (l *ledger) totals() (t totals) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.signals {
		t.signals++
		t.repeats += s.tries - 1
		if s.acked {
			t.acked++
		}
	}
	for _, c := range l.calls {
		t.calls++
		t.repeats += max(c.tries-1, 0)
		if c.acked != "" {
			t.acked++
		}
	}
	for _, c := range l.texts {
		t.texts++
		t.repeats += max(c.tries-1, 0)
		if c.acked != "" {
			t.acked++
		}
	}
	for _, r := range l.orders {
		t.orders++
		t.repeats += max(r.tries-1, 0) + r.again
		if r.answered {
			t.acked++
		}
	}
	for _, r := range l.replies {
		t.replies += r.confirmed
	}
	return t
}

type totals struct{ signals, calls, texts, orders, acked, repeats, replies int }

func few(out []string) string {
	const most = 5
	n := len(out)
	s := fmt.Sprintf("%d", n)
	for i, o := range out {
		if i == most {
			return s + " …"
		}
		s += "; " + o
	}
	return s
}
