package listen

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// standing is what a connection has shown of itself. The lower goes first when a
// place is needed.
type standing uint8

const (
	silent   standing = iota // no frame yet
	stranger                 // good frames, of accounts that nobody registered
	known                    // a frame of a registered panel
	standings
)

func (s standing) String() string { return [...]string{"silent", "unknown", "known"}[s] }

// settled is how long a registered panel's connection must have been idle before
// it may be closed for another.
const settled = 30 * time.Second

// place is one connection's. Fields below source belong to places.
type place struct {
	conn     net.Conn
	source   netip.Prefix
	standing standing
	idle     time.Time // since when
	busy     bool      // a frame is being answered: in no list
	gone     bool
	prev     *place
	next     *place
}

// places are the connections of a listener: how many in all, how many from each
// source, and who has been idle for longest in each standing.
type places struct {
	most, each int

	mu      sync.Mutex
	count   int
	sources map[netip.Prefix]int
	idlers  [standings]place // heads of rings, the longest idle first
}

func newPlaces(most, each int) *places {
	p := &places{most: most, each: each, sources: map[netip.Prefix]int{}}
	for i := range p.idlers {
		p.idlers[i].prev, p.idlers[i].next = &p.idlers[i], &p.idlers[i]
	}
	return p
}

// Why a connection gets no place; the texts label a counter.
const (
	fullSource = "source"
	fullAll    = "connections"
)

// take gives a connection a place, or says which bound forbids it. out is the
// connection that lost its place for it: the caller closes that.
func (p *places) take(conn net.Conn, now time.Time) (mine, out *place, full string) {
	source := sourceOf(conn.RemoteAddr())
	p.mu.Lock()
	defer p.mu.Unlock()
	if source.IsValid() && p.sources[source] >= p.each {
		return nil, nil, fullSource
	}
	if p.count >= p.most {
		if out = p.weakest(now); out == nil {
			return nil, nil, fullAll
		}
		p.remove(out)
	}
	mine = &place{conn: conn, source: source, idle: now}
	p.count++
	if source.IsValid() {
		p.sources[source]++
	}
	p.link(mine)
	return mine, out, ""
}

// weakest is the connection that a new one is worth more than: one without a
// frame before a stranger, a stranger before a panel, and of each the one that
// has been idle for longest.
func (p *places) weakest(now time.Time) *place {
	for s := range p.idlers {
		c := p.idlers[s].next
		if c == &p.idlers[s] || standing(s) == known && now.Sub(c.idle) < settled {
			continue
		}
		return c
	}
	return nil
}

// begin says that frames of c are being answered, during which it keeps its
// place; false when it has lost it.
func (p *places) begin(c *place) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.gone {
		return false
	}
	c.unlink()
	c.busy = true
	return true
}

// end says that they were answered, and what c has shown itself to be.
func (p *places) end(c *place, s standing, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.busy, c.standing, c.idle = false, max(c.standing, s), now
	p.link(c)
}

// leave gives the place back.
func (p *places) leave(c *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.gone {
		p.remove(c)
	}
}

func (p *places) remove(c *place) {
	if !c.busy {
		c.unlink()
	}
	c.gone = true
	p.count--
	if !c.source.IsValid() {
		return
	}
	if p.sources[c.source]--; p.sources[c.source] == 0 {
		delete(p.sources, c.source)
	}
}

func (p *places) link(c *place) {
	head := &p.idlers[c.standing]
	c.prev, c.next = head.prev, head
	c.prev.next, head.prev = c, c
}

func (c *place) unlink() {
	c.prev.next, c.next.prev = c.next, c.prev
	c.prev, c.next = nil, nil
}

// sourceOf is whom a connection counts for: an IPv4 address, or an IPv6 network
// of 64 bits, all of which one subscriber has. The zero prefix is no source.
func sourceOf(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := tcp.AddrPort().Addr().Unmap()
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	source, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return source
}
