package console

import (
	"context"
	"time"

	"nabat/dispatch"
)

const (
	// maxWatched is how many cards one console may have open.
	maxWatched = 16
	// maxPending is how many further lines may come while a card's journal is
	// being read; more, and the card is read again.
	maxPending = 256
)

// Seat is one console's place at the hub. Its methods may be called from any
// goroutine; after Leave they do nothing.
type Seat struct {
	hub    *Hub
	person Person
	screen Screen

	// Guarded by hub.mu.
	seq   int64 // what this console last heard
	ended bool
	left  bool
	cards map[dispatch.IncidentID]*watching
}

// watching is one open card of one console. Until its journal was read, further
// lines wait in pending.
type watching struct {
	loaded  bool
	pending []dispatch.Event
	// overrun: pending was full, so the journal must be read once more.
	overrun bool
	last    int64
}

type eventsFrame struct {
	T        string              `json:"t"`
	Incident dispatch.IncidentID `json:"incident"`
	Events   []Event             `json:"events"`
}

// Join seats a console: it hears hello, a snapshot as soon as there is one, then
// deltas and beats.
func (h *Hub) Join(p Person, screen Screen) *Seat {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &Seat{hub: h, person: p, screen: screen, cards: map[dispatch.IncidentID]*watching{}}
	h.seats[s] = struct{}{}
	h.metrics.seats.Inc()
	h.send(s, "hello", mustJSON(helloFrame{T: "hello", Epoch: h.epoch, Server: utc(time.Now()), Me: p.me()}))
	if h.loaded {
		h.sendSnapshot(s)
	}
	return s
}

// Leave gives the place up.
func (s *Seat) Leave() {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.left {
		return
	}
	s.left = true
	delete(h.seats, s)
	for id := range s.cards {
		h.unwatch(s, id)
	}
	h.metrics.seats.Dec()
}

// Resync sends the snapshot again.
func (s *Seat) Resync() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if !s.left && s.hub.loaded {
		s.hub.sendSnapshot(s)
	}
}

// Watch sends the card's whole journal, then every further line of it, until
// Unwatch. dispatch.ErrNotFound: no such card, or not this person's to see.
func (s *Seat) Watch(ctx context.Context, id dispatch.IncidentID) error {
	h := s.hub
	w := &watching{}
	h.mu.Lock()
	switch {
	case s.left:
		h.mu.Unlock()
		return errNoSeat
	case s.cards[id] == nil && len(s.cards) >= maxWatched:
		h.mu.Unlock()
		return invalid("incident", "Открыто слишком много карточек", "Too many cards are open")
	}
	s.cards[id] = w
	if h.watched[id] == nil {
		h.watched[id] = map[*Seat]*watching{}
	}
	h.watched[id][s] = w
	h.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	events, err := s.read(ctx, id)

	h.mu.Lock()
	defer h.mu.Unlock()
	for err == nil && w.overrun {
		w.overrun, w.pending = false, nil
		h.mu.Unlock()
		events, err = s.read(ctx, id)
		h.mu.Lock()
	}
	if s.left || s.cards[id] != w {
		return err // unwatched, or watched again, meanwhile
	}
	if err != nil {
		h.unwatch(s, id)
		return err
	}
	if n := len(events); n > 0 {
		w.last = events[n-1].Seq
	}
	for _, e := range w.pending {
		if e.Seq > w.last {
			events = append(events, e)
			w.last = e.Seq
		}
	}
	w.pending, w.loaded = nil, true
	h.sendEvents(s, id, events)
	return nil
}

func (s *Seat) read(ctx context.Context, id dispatch.IncidentID) ([]dispatch.Event, error) {
	cards, err := s.hub.cards.Cards(ctx, []dispatch.IncidentID{id})
	if err != nil {
		return nil, err
	}
	if len(cards) != 1 || !s.person.Sees(cards[0]) {
		return nil, dispatch.ErrNotFound
	}
	return s.hub.cards.IncidentEvents(ctx, id)
}

// Unwatch ends Watch.
func (s *Seat) Unwatch(id dispatch.IncidentID) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.unwatch(s, id)
}

func (h *Hub) unwatch(s *Seat, id dispatch.IncidentID) {
	delete(s.cards, id)
	delete(h.watched[id], s)
	if len(h.watched[id]) == 0 {
		delete(h.watched, id)
	}
}

func (h *Hub) sendEvents(s *Seat, id dispatch.IncidentID, events []dispatch.Event) {
	h.send(s, "events", mustJSON(eventsFrame{T: "events", Incident: id, Events: s.person.audience().events(events)}))
}

// tellWatchers passes the new lines on to whoever has their card open.
func (h *Hub) tellWatchers(events []dispatch.Event) {
	if len(h.watched) == 0 {
		return
	}
	byCard := map[dispatch.IncidentID][]dispatch.Event{}
	for _, e := range events {
		if h.watched[e.Incident] != nil {
			byCard[e.Incident] = append(byCard[e.Incident], e)
		}
	}
	for id, list := range byCard {
		for s, w := range h.watched[id] {
			if !w.loaded {
				if w.pending = append(w.pending, list...); len(w.pending) > maxPending {
					w.pending, w.overrun = nil, true
				}
				continue
			}
			fresh := list
			for len(fresh) > 0 && fresh[0].Seq <= w.last {
				fresh = fresh[1:]
			}
			if len(fresh) == 0 {
				continue
			}
			w.last = fresh[len(fresh)-1].Seq
			h.sendEvents(s, id, fresh)
		}
	}
}
