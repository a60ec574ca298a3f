package alarms

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"nabat/dispatch"
)

// MaxStrangers is how many accounts that nobody registered may have an open draft
// of their own. Further alarms of such accounts gather in one draft.
const MaxStrangers = 20

// crowdEvery is how often the store may be asked whether drafts are still drafts.
const crowdEvery = time.Second

// everybody is where the strangers beyond the bound gather: no facility, no
// account, no class.
var everybody = siteKey{}

// crowd counts the open drafts of unknown facilities. It knows who came in; who
// left, because a person took or closed the draft, it asks when it is full.
type crowd struct {
	mu    sync.Mutex
	open  map[dispatch.IncidentID]bool // whether it has been saved, for all we know
	asked time.Time
}

// enter takes a place for a draft that is about to be saved.
func (c *crowd) enter(id dispatch.IncidentID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= MaxStrangers {
		return false
	}
	c.open[id] = false
	return true
}

// saved says that the saving of a draft has ended, however.
func (c *crowd) saved(id dispatch.IncidentID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, in := c.open[id]; in {
		c.open[id] = true
	}
}

// restore takes over a draft of an earlier run.
func (c *crowd) restore(id dispatch.IncidentID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[id] = true
}

// doubtful lists the drafts to ask about, unless that was done just now.
func (c *crowd) doubtful(now time.Time) []dispatch.IncidentID {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := now.Sub(c.asked); since >= 0 && since < crowdEvery {
		return nil
	}
	c.asked = now
	var ids []dispatch.IncidentID
	for id, saved := range c.open {
		if saved {
			ids = append(ids, id)
		}
	}
	return ids
}

// keep forgets those of the asked that are drafts no more.
func (c *crowd) keep(asked, drafts []dispatch.IncidentID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range asked {
		delete(c.open, id)
	}
	for _, id := range drafts {
		c.open[id] = true
	}
}

// room takes a place for a stranger's draft, if there is one.
func (r *Receiver) room(ctx context.Context, id dispatch.IncidentID, now time.Time) bool {
	if r.crowd.enter(id) {
		return true
	}
	ids := r.crowd.doubtful(now)
	if len(ids) == 0 {
		return false
	}
	drafts, err := r.store.Drafts(ctx, ids)
	if err != nil {
		r.log.Warn("cannot ask which strangers' drafts are open; the next ones gather", zap.Error(err))
		return false
	}
	r.crowd.keep(ids, drafts)
	return r.crowd.enter(id)
}
