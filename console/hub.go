package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
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

// row is an open card, with its JSON for each audience that asked.
type row struct {
	card     dispatch.Card
	contacts []dispatch.Contact
	json     map[audience]json.RawMessage
}

func (r *row) encode(a audience) json.RawMessage {
	if b, ok := r.json[a]; ok {
		return b
	}
	b := mustJSON(a.incident(r.card, r.contacts))
	r.json[a] = b
	return b
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("console: encode frame: " + err.Error()) // our own structs of strings, numbers and times
	}
	return b
}

type helloFrame struct {
	T      string    `json:"t"`
	Epoch  string    `json:"epoch"`
	Server time.Time `json:"server"`
	Me     Me        `json:"me"`
}

type boardFrame struct {
	T         string            `json:"t"`
	Epoch     string            `json:"epoch"`
	Prev      *int64            `json:"prev,omitempty"`
	Seq       int64             `json:"seq"`
	Incidents []json.RawMessage `json:"incidents"`
}

type beatFrame struct {
	T     string    `json:"t"`
	Epoch string    `json:"epoch"`
	Seq   int64     `json:"seq"`
	At    time.Time `json:"at"`
	Stale bool      `json:"stale,omitempty"`
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

// tellDeltas sends the new rows to whoever may see them. A console that sees
// none of them hears nothing, so «prev» is what this very console last heard.
func (h *Hub) tellDeltas(rows []*row) {
	type key struct {
		audience audience
		prev     int64
	}
	items := map[audience][]json.RawMessage{}
	frames := map[key][]byte{}
	for s := range h.seats {
		a := s.person.audience()
		list, ok := items[a]
		if !ok {
			for _, r := range rows {
				if a.sees(r.card) {
					list = append(list, r.encode(a))
				}
			}
			items[a] = list
		}
		if len(list) == 0 {
			continue
		}
		prev := s.seq
		frame, ok := frames[key{a, prev}]
		if !ok {
			frame = mustJSON(boardFrame{T: "delta", Epoch: h.epoch, Prev: &prev, Seq: h.seq, Incidents: list})
			frames[key{a, prev}] = frame
		}
		s.seq = h.seq
		h.send(s, "delta", frame)
	}
}

// sendSnapshot tells a console everything open that it may see.
func (h *Hub) sendSnapshot(s *Seat) {
	a := s.person.audience()
	frame, ok := h.snapshots[a]
	if !ok {
		var rows []*row
		for _, r := range h.rows {
			if a.sees(r.card) {
				rows = append(rows, r)
			}
		}
		slices.SortFunc(rows, func(x, y *row) int {
			return cmp.Or(x.card.OpenedAt.Compare(y.card.OpenedAt), cmp.Compare(x.card.Number, y.card.Number))
		})
		items := make([]json.RawMessage, 0, len(rows))
		for _, r := range rows {
			items = append(items, r.encode(a))
		}
		frame = mustJSON(boardFrame{T: "snapshot", Epoch: h.epoch, Seq: h.seq, Incidents: items})
		h.snapshots[a] = frame
	}
	s.seq = h.seq
	h.send(s, "snapshot", frame)
}

func (h *Hub) send(s *Seat, kind string, frame []byte) {
	h.metrics.frames.WithLabelValues(kind).Inc()
	s.screen.Send(frame)
}

func (h *Hub) beats(ctx context.Context) {
	look := time.NewTicker(beatLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			h.beat(time.Now())
		}
	}
}

// beat tells every console that we live, and whether what it shows may be old.
func (h *Hub) beat(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	stale := !h.loaded || now.Sub(h.fresh) > staleAfter
	if stale == h.saidStale && now.Sub(h.lastBeat) < beatEvery {
		return
	}
	h.saidStale, h.lastBeat = stale, now
	if h.metrics.stale.Set(0); stale {
		h.metrics.stale.Set(1)
	}
	frames := map[int64][]byte{}
	for s := range h.seats {
		if s.person.expired(now) {
			h.end(s, EndSession)
			continue
		}
		frame, ok := frames[s.seq]
		if !ok {
			frame = mustJSON(beatFrame{T: "beat", Epoch: h.epoch, Seq: s.seq, At: utc(now), Stale: stale})
			frames[s.seq] = frame
		}
		h.send(s, "beat", frame)
	}
}

func (h *Hub) end(s *Seat, why End) {
	if s.ended {
		return
	}
	s.ended = true
	h.metrics.ended.WithLabelValues(string(why)).Inc()
	s.screen.End(why)
}

func (h *Hub) endAll(why End) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.seats {
		h.end(s, why)
	}
}

// evict ends every console that came in by this credential.
func (h *Hub) evict(k Sum) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.seats {
		if s.person.Key == k {
			h.end(s, EndSession)
		}
	}
}

// sweep ends consoles whose credential is no longer good, or whose role changed.
func (h *Hub) sweep(ctx context.Context, now time.Time, c Credentials) error {
	h.mu.Lock()
	seen := map[Sum]bool{}
	var keys []Sum
	for s := range h.seats {
		if !seen[s.person.Key] {
			seen[s.person.Key] = true
			keys = append(keys, s.person.Key)
		}
	}
	h.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	people, err := c.Find(ctx, keys, now)
	if err != nil {
		return err
	}
	good := make(map[Sum]Person, len(people))
	for _, p := range people {
		good[p.Key] = p
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.seats {
		if !seen[s.person.Key] {
			continue // came in since
		}
		if p, ok := good[s.person.Key]; !ok || !p.same(s.person) {
			h.end(s, EndSession)
		}
	}
	return nil
}

var errNoSeat = errors.New("the console has left")
