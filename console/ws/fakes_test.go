package ws_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"nabat/console"
	"nabat/dispatch"
)

var errAway = errors.New("the database is away")

// world is the house and the store in memory. away makes every read fail, hang
// makes it wait for its context.
type world struct {
	console.Registry
	console.Lists

	mu       sync.Mutex
	away     bool
	hang     bool
	cards    map[dispatch.IncidentID]dispatch.Card
	events   []dispatch.Event
	outcomes map[uuid.UUID][]byte
	people   map[console.Sum]console.Person
	wake     chan struct{}
}

func newWorld() *world {
	return &world{
		cards: map[dispatch.IncidentID]dispatch.Card{}, outcomes: map[uuid.UUID][]byte{},
		people: map[console.Sum]console.Person{}, wake: make(chan struct{}),
	}
}

func (w *world) set(away, hang bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away, w.hang = away, hang
}

func (w *world) ready(ctx context.Context) error {
	w.mu.Lock()
	away, hang := w.away, w.hang
	w.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if away {
		return errAway
	}
	return nil
}

func (w *world) C() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wake
}

// change applies a decision at once, as the writer would, and wakes the hub.
func (w *world) change(id dispatch.IncidentID, d dispatch.Decide) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.cards[id]
	if !ok {
		c.ID, c.Number = id, int64(len(w.cards)+1)
	}
	after, events, err := d(c)
	if err != nil {
		return err
	}
	for _, e := range events {
		e = e.Seal(after.Version+1, after.Head)
		after.Version, after.Head = e.Version, e.Hash
		e.Seq = int64(len(w.events) + 1)
		w.events = append(w.events, e)
	}
	w.cards[id] = after
	close(w.wake)
	w.wake = make(chan struct{})
	return nil
}

func (w *world) draft() dispatch.IncidentID {
	id := dispatch.NewIncidentID()
	if err := w.change(id, dispatch.OpenFromContact(dispatch.Contact{
		Kind: dispatch.ContactCall, Caller: "+7921", ReceivedAt: time.Now(),
	})); err != nil {
		panic(err)
	}
	return id
}

func (w *world) OpenCards(ctx context.Context) ([]dispatch.Card, int64, error) {
	if err := w.ready(ctx); err != nil {
		return nil, 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []dispatch.Card
	for _, c := range w.cards {
		if c.State.Open() {
			out = append(out, c)
		}
	}
	return out, int64(len(w.events)), nil
}

func (w *world) Events(ctx context.Context, after int64, limit int) ([]dispatch.Event, error) {
	if err := w.ready(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.events[after:]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

func (w *world) Cards(ctx context.Context, ids []dispatch.IncidentID) ([]dispatch.Card, error) {
	if err := w.ready(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []dispatch.Card
	for _, id := range ids {
		if c, ok := w.cards[id]; ok {
			out = append(out, c)
		}
	}
	return out, nil
}

func (w *world) IncidentEvents(ctx context.Context, id dispatch.IncidentID) ([]dispatch.Event, error) {
	if err := w.ready(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []dispatch.Event
	for _, e := range w.events {
		if e.Incident == id {
			out = append(out, e)
		}
	}
	return out, nil
}

func (w *world) IncidentContacts(ctx context.Context, _ []dispatch.IncidentID) ([]dispatch.Contact, error) {
	return nil, w.ready(ctx)
}

func (w *world) AddSession(context.Context, console.Session) error { return nil }
func (w *world) EndSession(context.Context, console.Sum) error     { return nil }
func (w *world) Forget(context.Context, time.Time, time.Time) error {
	return nil
}

func (w *world) Find(ctx context.Context, sums []console.Sum, now time.Time) ([]console.Person, error) {
	if err := w.ready(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []console.Person
	for _, s := range sums {
		if p, ok := w.people[s]; ok && (p.Expires.IsZero() || now.Before(p.Expires)) {
			out = append(out, p)
		}
	}
	return out, nil
}

func (w *world) Outcome(ctx context.Context, _ string, id uuid.UUID) ([]byte, error) {
	if err := w.ready(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if b, ok := w.outcomes[id]; ok {
		return b, nil
	}
	return nil, dispatch.ErrNotFound
}

func (w *world) Apply(ctx context.Context, _ string, id uuid.UUID, _ time.Time, incident dispatch.IncidentID,
	d dispatch.Decide, record func() []byte,
) ([]byte, error) {
	if err := w.ready(ctx); err != nil {
		return nil, err
	}
	if err := w.change(incident, d); err != nil && !errors.Is(err, dispatch.ErrUnchanged) {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes[id] = record()
	return w.outcomes[id], nil
}

func (w *world) Decide(dispatch.Facts) dispatch.Decision {
	return dispatch.Decision{Choices: []dispatch.Choice{{Service: dispatch.Fire, Rule: "r", Why: "w"}}}
}

// wire is a listener in memory, so that time may be virtual.
type wire struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newWire() *wire { return &wire{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *wire) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *wire) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *wire) Addr() net.Addr { return &net.UnixAddr{Name: "wire", Net: "pipe"} }

func (l *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
