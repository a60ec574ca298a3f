package console

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"nabat/dispatch"
)

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
