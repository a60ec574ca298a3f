package alarms

import (
	"hash/maphash"
	"sync"
	"time"

	"nabat/dispatch"
)

// Window is how long after its original a message counts as a repeat.
const Window = 60 * time.Second

const (
	windowShards = 64
	// shardClaims bounds the memory of one shard; about a million in all.
	shardClaims = 16384
)

// topic is one thing of one account that can be so or not so: the key of a
// repeat without the condition. A sequence number is no part of it: panels renew
// it on a repeat, keep it, or start over.
type topic struct {
	account, protocol, thing, area, zone, user string
	// vouched is whether a registered panel stands behind the message. One that
	// nobody vouches for gets a draft and is never routed; it must not make the
	// real panel's alarm a repeat.
	vouched bool
}

// topicOf takes a Contact ID code without its qualifier, and of a SIA code its
// class: FA and FH of one zone are the same thing.
func topicOf(n *Notification) topic {
	t := topic{
		account: n.Account, protocol: n.Protocol, area: n.Area, zone: n.Zone, user: n.User,
		vouched: !n.Panel.IsZero(),
	}
	switch {
	case n.Code == "":
		t.thing = n.Text // unreadable: the whole content
	case n.Class == ClassUnknown:
		t.thing = n.Code
	case n.Protocol == ProtocolContactID && len(n.Code) == 4:
		t.thing = n.Code[1:]
	default:
		t.thing = string(n.Class)
	}
	return t
}

// dedupKey is the same as text, for people and for the table.
func dedupKey(n *Notification) string {
	code := n.Code
	if code == "" {
		code = n.Text
	}
	return n.Protocol + "|" + code + "|" + n.Area + "|" + n.Zone + "|" + n.User
}

type claimState uint8

const (
	claimPending   claimState = iota // its original is on the way to the database
	claimCommitted                   // its original is there
	claimUnsure                      // its original may be there: the next repeat takes its place
)

// claim says that a message is the original of its content for a window.
type claim struct {
	topic     topic
	code      string
	condition Condition
	at        time.Time // of the row
	heard     time.Time // when the message that may make the row came; later after a take-over
	id        dispatch.NotificationID
	incident  dispatch.IncidentID
	state     claimState
	owner     *take
	settled   chan struct{} // made by the first that waits
	gone      bool          // not in topics any more
}

// window remembers the originals of the last minute.
type window struct {
	seed   maphash.Seed
	shards [windowShards]windowShard
}

type windowShard struct {
	mu     sync.Mutex
	topics map[topic][]*claim
	queue  []*claim // by time of arrival; the head is dropped as it ages
	early  int      // claims that had to go before their time
}

func newWindow() *window {
	w := &window{seed: maphash.MakeSeed()}
	for i := range w.shards {
		w.shards[i].topics = map[topic][]*claim{}
	}
	return w
}

func (w *window) shard(account string) *windowShard {
	return &w.shards[maphash.String(w.seed, account)%windowShards]
}

// claimed is what a message learns about itself. Exactly one field is set.
type claimed struct {
	own    *claim          // it is the original, or takes the place of a lost one
	repeat *claim          // of this committed original
	wait   <-chan struct{} // its original is on the way: ask again after this
}

// claim decides what n is. An original that this claim gives to the caller must
// be settled. A taken-over claim keeps its id and time: see claimUnsure.
func (w *window) claim(n *Notification, by *take) claimed {
	t := topicOf(n)
	s := w.shard(n.Account)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age(n.ReceivedAt)
	for _, c := range s.topics[t] {
		if c.code != n.Code || c.condition != n.Condition {
			continue
		}
		switch c.state {
		case claimCommitted:
			return claimed{repeat: c}
		case claimUnsure:
			c.state, c.owner, c.heard = claimPending, by, n.ReceivedAt
			return claimed{own: c}
		case claimPending:
			if c.owner == by { // the same event twice in one message
				return claimed{repeat: c}
			}
			if c.settled == nil {
				c.settled = make(chan struct{})
			}
			return claimed{wait: c.settled}
		}
	}
	c := &claim{topic: t, code: n.Code, condition: n.Condition, at: n.ReceivedAt, heard: n.ReceivedAt, id: n.ID, owner: by}
	s.add(c)
	return claimed{own: c}
}

// settle tells what became of an original: committed, on which card if any, or
// not known. A committed one ends the window of its opposites.
func (w *window) settle(c *claim, committed bool, incident dispatch.IncidentID) {
	s := w.shard(c.topic.account)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.state, c.owner = claimUnsure, nil
	if committed {
		c.state, c.incident = claimCommitted, incident
		s.clearOpposites(c)
	}
	if c.settled != nil {
		close(c.settled)
		c.settled = nil
	}
}

// restore puts in an original that the database holds.
func (w *window) restore(n *Notification) {
	s := w.shard(n.Account)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &claim{
		topic: topicOf(n), code: n.Code, condition: n.Condition, at: n.ReceivedAt, heard: n.ReceivedAt, id: n.ID,
		incident: n.Incident, state: claimCommitted,
	}
	s.add(c)
	s.clearOpposites(c)
}

// early counts the claims that had to go before their time.
func (w *window) early() (n int) {
	for i := range w.shards {
		s := &w.shards[i]
		s.mu.Lock()
		n += s.early
		s.mu.Unlock()
	}
	return n
}

func (s *windowShard) add(c *claim) {
	s.topics[c.topic] = append(s.topics[c.topic], c)
	s.queue = append(s.queue, c)
}

// age drops what is older than the window, and the oldest beyond the bound. What
// is on its way to the database stays.
func (s *windowShard) age(now time.Time) {
	for len(s.queue) > 0 {
		c := s.queue[0]
		switch {
		case c.gone:
		case c.state == claimPending:
			return
		case now.Sub(c.at) > Window:
			s.drop(c)
		case len(s.queue) >= shardClaims:
			s.early++
			s.drop(c)
		default:
			return
		}
		s.queue[0] = nil
		s.queue = s.queue[1:]
	}
}

// clearOpposites ends the window of whatever a committed original undoes, and
// its own if it was itself undone while it was on the way. An original that may
// or may not be there is undone too: after a restore an alarm is news.
func (s *windowShard) clearOpposites(by *claim) {
	for _, c := range append([]*claim(nil), s.topics[by.topic]...) {
		switch {
		case c == by, c.state == claimPending, !opposed(c.condition, by.condition):
		case c.heard.After(by.heard):
			if c.state == claimCommitted && !by.gone {
				s.drop(by)
			}
		default:
			s.drop(c)
		}
	}
}

func (s *windowShard) drop(c *claim) {
	c.gone = true
	list := s.topics[c.topic]
	for i := range list {
		if list[i] == c {
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(s.topics, c.topic)
		return
	}
	s.topics[c.topic] = list
}
