package gateway

import (
	"context"
	"errors"
	"hash/maphash"
	"net/netip"
	"strconv"
	"sync"

	"nabat/dispatch"
)

var (
	errMerged = errors.New("this INVITE is being handled already")
	errFull   = errors.New("no room for another leg")
	errShare  = errors.New("no room for another leg of this source")
)

// origin is what one source of calls holds.
type origin struct {
	legs   int           // guarded by the table's mu
	places chan struct{} // one token for each answered call
}

// shareOf is what one source may take of n: three quarters, so that there is
// always something left for the others.
func shareOf(n int) int { return (3*n + 3) / 4 }

// table holds the live legs, found by the key of their INVITE, by their dialog,
// and by their contact.
type table struct {
	limit  int
	places int // of one source

	mu       sync.Mutex
	keys     map[string]*call // guarded by mu, as the rest
	dialogs  map[string]*call
	contacts map[dispatch.ContactID]*call
	origins  map[netip.Prefix]*origin
	empty    chan struct{} // set while somebody waits
}

func newTable(limit, places int) *table {
	return &table{
		limit: limit, places: shareOf(places), keys: map[string]*call{}, dialogs: map[string]*call{},
		contacts: map[dispatch.ContactID]*call{}, origins: map[netip.Prefix]*origin{},
	}
}

func (t *table) add(c *call) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys[c.contact.Key] != nil {
		return errMerged
	}
	if len(t.keys) >= t.limit {
		return errFull
	}
	if c.source.IsValid() {
		o := t.origins[c.source]
		if o == nil {
			o = &origin{places: make(chan struct{}, t.places)}
			t.origins[c.source] = o
		}
		if o.legs >= shareOf(t.limit) {
			return errShare
		}
		o.legs++
		c.origin = o
	}
	t.keys[c.contact.Key] = c
	t.dialogs[c.dialog] = c
	return nil
}

// bind makes the call known under its stored contact.
func (t *table) bind(id dispatch.ContactID, c *call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.contacts[id] = c
}

func (t *table) remove(c *call, id dispatch.ContactID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.keys, c.contact.Key)
	delete(t.dialogs, c.dialog)
	if o := c.origin; o != nil {
		if o.legs--; o.legs == 0 {
			delete(t.origins, c.source)
		}
	}
	if t.contacts[id] == c {
		delete(t.contacts, id)
	}
	if len(t.keys) == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// wait returns when the table is empty or ctx ends.
func (t *table) wait(ctx context.Context) {
	t.mu.Lock()
	if len(t.keys) == 0 {
		t.mu.Unlock()
		return
	}
	if t.empty == nil {
		t.empty = make(chan struct{})
	}
	empty := t.empty
	t.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

func (t *table) byDialog(id string) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dialogs[id]
}

func (t *table) byContact(id dispatch.ContactID) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts[id]
}

func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.keys)
}

// dialogID matches by Call-ID and tags, never by addresses: those may be URNs and
// may change within a dialog (RFC 3261 §12).
func dialogID(callID, localTag, remoteTag string) string {
	return callID + "\x00" + localTag + "\x00" + remoteTag
}

// tagHash makes To tags. The same INVITE gets the same tag within a process
// (§8.2.7), nobody outside can guess another call's.
type tagHash struct{ a, b maphash.Seed }

func newTagHash() tagHash { return tagHash{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h tagHash) tag(key string) string {
	return strconv.FormatUint(maphash.String(h.a, key), 36) + strconv.FormatUint(maphash.String(h.b, key), 36)
}
