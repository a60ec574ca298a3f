package alarms

import (
	"sync"
	"time"

	"nabat/dispatch"
)

// JoinWithin is how long after a card's last signal a further alarm of the same
// facility and class still belongs to it.
const JoinWithin = 10 * time.Minute

// maxSlots is how many cards are remembered before those of unknown accounts are
// looked through. Facilities and classes bound the others.
const maxSlots = 100_000

// siteKey names a card's place and matter: a facility, or an account that nobody
// registered, and a class.
type siteKey struct {
	facility dispatch.FacilityID
	account  string // only without a facility
	class    Class
}

// OpenCard is a card of an alarm that is still open.
type OpenCard struct {
	Incident   dispatch.IncidentID
	Facility   dispatch.FacilityID
	Account    string
	Class      Class
	LastSignal time.Time
	Draft      bool // nobody has made anything of it yet
}

// cards knows which card takes a further signal. The card itself decides whether
// it is still open: it refuses the signal when it is not.
type cards struct {
	mu    sync.Mutex
	open  map[siteKey]*slot
	swept time.Time
}

type slot struct {
	incident dispatch.IncidentID
	last     time.Time
	opening  chan struct{} // not nil while the card is on its way to the database
}

// turn is what a signal is to do. At most one of wait and incident is set; with
// neither there is no card and none to open.
type turn struct {
	incident dispatch.IncidentID
	opens    bool            // make it; report with opened
	wait     <-chan struct{} // another signal is making it: ask again after this
}

// next says what a signal at a place is to do. opens tells that it is an alarm
// which makes a card when there is none.
func (c *cards) next(k siteKey, at time.Time, opens bool) turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.open[k]
	if s != nil && s.opening != nil {
		return turn{wait: s.opening}
	}
	if s != nil && (!opens || k == everybody || at.Sub(s.last) <= JoinWithin) {
		return turn{incident: s.incident}
	}
	if !opens {
		return turn{}
	}
	c.sweep(at)
	s = &slot{incident: dispatch.NewIncidentID(), last: at, opening: make(chan struct{})}
	c.open[k] = s
	return turn{incident: s.incident, opens: true}
}

// sweep forgets the cards of unknown accounts that no alarm would join any more,
// when strangers have made too many: at most their restores go unnoted.
func (c *cards) sweep(now time.Time) {
	if len(c.open) < maxSlots || now.Sub(c.swept) < time.Minute {
		return
	}
	c.swept = now
	for k, s := range c.open {
		if k.account != "" && s.opening == nil && now.Sub(s.last) > JoinWithin {
			delete(c.open, k)
		}
	}
}

// opened ends the making of a card. One whose commit we could not learn of stays
// a candidate: the next signal finds out whether it is there.
func (c *cards) opened(k siteKey, id dispatch.IncidentID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.open[k]; s != nil && s.incident == id && s.opening != nil {
		close(s.opening)
		s.opening = nil
	}
}

// forgo ends the making of a card that is not to be made after all.
func (c *cards) forgo(k siteKey, id dispatch.IncidentID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.open[k]; s != nil && s.incident == id && s.opening != nil {
		close(s.opening)
		delete(c.open, k)
	}
}

// joined moves the card's last signal.
func (c *cards) joined(k siteKey, id dispatch.IncidentID, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.open[k]; s != nil && s.incident == id && at.After(s.last) {
		s.last = at
	}
}

// refused forgets a card that takes no more signals.
func (c *cards) refused(k siteKey, id dispatch.IncidentID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.open[k]; s != nil && s.incident == id {
		delete(c.open, k)
	}
}

func (c *cards) restore(o OpenCard) {
	k := siteKey{facility: o.Facility, class: o.Class}
	if o.Facility.IsZero() {
		k.account = o.Account
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.open[k]; s == nil || s.last.Before(o.LastSignal) {
		c.open[k] = &slot{incident: o.Incident, last: o.LastSignal}
	}
}
