package alarms

import (
	"sync"
	"time"

	"nabat/dispatch"
)

// seen gathers when panels were last heard, between two flushes. It holds
// registered panels only, so it cannot outgrow the registry.
type seen struct {
	mu sync.Mutex
	at map[dispatch.PanelID]time.Time
}

func (s *seen) touch(id dispatch.PanelID, at time.Time) {
	s.mu.Lock()
	if at.After(s.at[id]) {
		s.at[id] = at
	}
	s.mu.Unlock()
}

// drain hands over what gathered.
func (s *seen) drain() map[dispatch.PanelID]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.at) == 0 {
		return nil
	}
	out := s.at
	s.at = make(map[dispatch.PanelID]time.Time, len(out))
	return out
}

// putBack keeps what could not be flushed; later times win.
func (s *seen) putBack(old map[dispatch.PanelID]time.Time) {
	for id, at := range old {
		s.touch(id, at)
	}
}
