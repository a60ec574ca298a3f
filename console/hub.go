package console

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"nabat/dispatch"
)

const (
	// pollEvery is how often the journal is read when nothing wakes us.
	pollEvery = 400 * time.Millisecond
	// beatEvery is the pulse of every console; beatLook is how often we look
	// whether one is due, so that «stale» is told within a quarter of a second.
	beatEvery = time.Second
	beatLook  = 250 * time.Millisecond
	// staleAfter: nothing of the journal was read to its end for so long.
	staleAfter = time.Second
	// readLimit bounds one read of the database.
	readLimit = 3 * time.Second
	// loadLimit bounds the first read, of everything open: at the worst hour there
	// may be tens of thousands of cards. Consoles hear «stale» until it is done.
	loadLimit = 30 * time.Second
	// gatherFor is the least time between two reads of the journal, so that a storm
	// of commits becomes some tens of deltas a second and not thousands.
	gatherFor = 20 * time.Millisecond
	// batch is how many journal lines are taken at once.
	batch = 1000
)

// Journal is what the hub follows.
type Journal interface {
	// OpenCards is a consistent snapshot and the journal position it holds at.
	OpenCards(ctx context.Context) ([]dispatch.Card, int64, error)
	// Events are the lines after a position, in commit order.
	Events(ctx context.Context, after int64, limit int) ([]dispatch.Event, error)
}

// Wake tells that the journal may have grown: the channel is closed then, and
// replaced.
type Wake interface {
	C() <-chan struct{}
}

// End is why a console's connection is ended by us.
type End string

// Ends.
const (
	EndSession  End = "session"  // expired, revoked, or the role has changed: log in
	EndSlow     End = "slow"     // it does not read; reconnect and get a snapshot
	EndShutdown End = "shutdown" // we stop; reconnect
)

// Screen is one console's connection. Neither method blocks. Send is called in
// the order in which frames must arrive; a screen that cannot take one ends
// itself.
type Screen interface {
	Send(frame []byte)
	End(End)
}

// Hub follows the journal and tells every console what its role may see.
type Hub struct {
	journal  Journal
	cards    Cards
	contacts CardContacts
	wake     Wake // nil: poll only
	log      *zap.Logger
	metrics  *metrics
	epoch    string

	mu     sync.Mutex
	loaded bool
	seq    int64
	// fresh is when the last read began that found the journal's end.
	fresh     time.Time
	saidStale bool
	lastBeat  time.Time
	rows      map[dispatch.IncidentID]*row
	seats     map[*Seat]struct{}
	watched   map[dispatch.IncidentID]map[*Seat]*watching
	snapshots map[audience][]byte // of seq
}

func newHub(j Journal, cards Cards, contacts CardContacts, wake Wake, log *zap.Logger, m *metrics) *Hub {
	return &Hub{
		journal: j, cards: cards, contacts: contacts, wake: wake, log: log, metrics: m,
		epoch: dispatch.NewRunID().String(), saidStale: true,
		rows: map[dispatch.IncidentID]*row{}, seats: map[*Seat]struct{}{},
		watched:   map[dispatch.IncidentID]map[*Seat]*watching{},
		snapshots: map[audience][]byte{},
	}
}

// run follows the journal and beats until ctx ends. The two are apart, so that a
// slow read never holds up a beat.
func (h *Hub) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { h.beats(ctx) })
	h.follow(ctx)
	wg.Wait()
	h.endAll(EndShutdown)
}

func (h *Hub) follow(ctx context.Context) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	failing := false
	for {
		began := time.Now()
		var woken <-chan struct{}
		if h.wake != nil {
			woken = h.wake.C() // before the read: what comes after it wakes us
		}
		more, err := h.step(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			h.metrics.failures.Inc()
			woken = nil // a failing database must not make us spin
		}
		if (err != nil) != failing {
			failing = err != nil
			if failing {
				h.log.Warn("the journal cannot be read; consoles are told so", zap.Error(err))
			} else {
				h.log.Info("the journal is read again")
			}
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-woken:
			wait(ctx, gatherFor-time.Since(began))
		case <-poll.C:
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// step loads the snapshot, or reads what came since. more: there is more to read.
func (h *Hub) step(ctx context.Context) (more bool, err error) {
	began := time.Now()
	h.mu.Lock()
	loaded, seq := h.loaded, h.seq
	h.mu.Unlock()
	limit := readLimit
	if !loaded {
		limit = loadLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if !loaded {
		return true, h.load(ctx)
	}
	events, err := h.journal.Events(ctx, seq, batch)
	if err != nil {
		return false, err
	}
	if len(events) > 0 {
		if err := h.take(ctx, events); err != nil {
			return false, err
		}
	}
	if len(events) == batch {
		return true, nil
	}
	h.mu.Lock()
	h.fresh = began
	h.mu.Unlock()
	return false, nil
}

func (h *Hub) load(ctx context.Context) error {
	cards, seq, err := h.journal.OpenCards(ctx)
	if err != nil {
		return err
	}
	rows, err := h.withContacts(ctx, cards)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rows = map[dispatch.IncidentID]*row{}
	for _, r := range rows {
		h.rows[r.card.ID] = r
	}
	h.seq, h.loaded = seq, true
	for s := range h.seats {
		h.sendSnapshot(s)
	}
	return nil
}

func (h *Hub) withContacts(ctx context.Context, cards []dispatch.Card) ([]*row, error) {
	ids := make([]dispatch.IncidentID, len(cards))
	rows := make([]*row, len(cards))
	byID := make(map[dispatch.IncidentID]*row, len(cards))
	for i, c := range cards {
		ids[i] = c.ID
		rows[i] = &row{card: c, json: map[audience]json.RawMessage{}}
		byID[c.ID] = rows[i]
	}
	contacts, err := h.contacts.IncidentContacts(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, ct := range contacts {
		if r := byID[ct.Incident]; r != nil {
			r.contacts = append(r.contacts, ct)
		}
	}
	return rows, nil
}

// take re-reads the cards that events speak of and tells everybody.
func (h *Hub) take(ctx context.Context, events []dispatch.Event) error {
	var ids []dispatch.IncidentID
	seen := map[dispatch.IncidentID]bool{}
	for _, e := range events {
		if !seen[e.Incident] {
			seen[e.Incident] = true
			ids = append(ids, e.Incident)
		}
	}
	cards, err := h.cards.Cards(ctx, ids)
	if err != nil {
		return err
	}
	rows, err := h.withContacts(ctx, cards)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq = events[len(events)-1].Seq
	clear(h.snapshots)
	for _, r := range rows {
		if r.card.State.Open() {
			h.rows[r.card.ID] = r
		} else {
			delete(h.rows, r.card.ID)
		}
	}
	h.tellDeltas(rows)
	h.tellWatchers(events)
	return nil
}

var errNoSeat = errors.New("the console has left")
