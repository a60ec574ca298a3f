package console

import (
	"context"
	"time"
)

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
