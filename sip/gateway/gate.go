package gateway

import (
	"context"
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// gate counts who is inside and can be shut. A WaitGroup alone would race: sipgo
// starts handlers whenever packets come.
type gate struct {
	mu     sync.Mutex
	inside int           // guarded by mu, as the rest
	shut   bool          // nobody enters any more
	empty  chan struct{} // set while somebody waits
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

// wait returns when nobody is inside or ctx ends.
func (g *gate) wait(ctx context.Context) {
	g.mu.Lock()
	if g.inside == 0 {
		g.mu.Unlock()
		return
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// limited is a listener with at most a number of connections. One too many is
// closed at once, so that the peer learns it and tries elsewhere.
type limited struct {
	net.Listener
	most    int
	refused prometheus.Counter

	mu    sync.Mutex
	conns map[*counted]struct{} // guarded by mu
}

func limit(l net.Listener, n int, refused prometheus.Counter) *limited {
	return &limited{Listener: l, most: n, refused: refused, conns: map[*counted]struct{}{}}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &counted{Conn: raw, of: l}
		if l.add(c) {
			return c, nil
		}
		l.refused.Inc()
		raw.Close()
	}
}

func (l *limited) add(c *counted) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= l.most {
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

// closeAll closes what is still open; the library's readers end with it.
func (l *limited) closeAll() {
	l.mu.Lock()
	open := make([]*counted, 0, len(l.conns))
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

type counted struct {
	net.Conn
	of *limited
}

func (c *counted) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
