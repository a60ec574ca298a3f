package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	// acceptPause is the longest wait after Accept failed for want of resources.
	acceptPause = time.Second
	// firstRequest is how long a connection may take to bring its first request.
	firstRequest = time.Minute
	// idleTrunk is how long a connection may say nothing after that: a trunk may
	// have a quiet night, and a call on it may be long.
	idleTrunk = 24 * time.Hour
)

// limited is a listener with at most a number of connections, and at most a
// quarter of them from one source. One too many is closed at once, so that the
// peer learns it and tries elsewhere. One that brings no request is closed soon:
// those who only connect cannot shut the others out for long.
type limited struct {
	net.Listener
	most    int
	known   func(net.Addr) bool // nil: everybody is
	dropped *prometheus.CounterVec
	log     *zap.Logger
	closed  chan struct{}
	once    sync.Once

	mu      sync.Mutex
	conns   map[*counted]struct{} // guarded by mu, as the next two
	peers   map[string]*counted   // the newest of each address and port
	sources map[netip.Prefix]int
}

func limit(l net.Listener, n int, dropped *prometheus.CounterVec, log *zap.Logger) *limited {
	return &limited{
		Listener: l, most: n, dropped: dropped, log: log, closed: make(chan struct{}),
		conns: map[*counted]struct{}{}, peers: map[string]*counted{}, sources: map[netip.Prefix]int{},
	}
}

// Accept ends only with a closed listener: sipgo stops serving at the first
// error, and a process out of files for a moment must not lose its line.
func (l *limited) Accept() (net.Conn, error) {
	for pause := time.Duration(0); ; {
		raw, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			l.dropped.WithLabelValues("accept failed").Inc()
			if pause == 0 { // once for the whole burst
				l.log.Warn("accept failed, trying again", zap.Error(err))
			}
			pause = min(max(2*pause, 10*time.Millisecond), acceptPause)
			if !l.sleep(pause) {
				return nil, net.ErrClosed
			}
			continue
		}
		pause = 0
		c := &counted{Conn: raw, of: l, peer: raw.RemoteAddr().String(), source: sourceOf(addressOf(raw.RemoteAddr())), gone: make(chan struct{})}
		why := l.add(c)
		if why == "" {
			return c, nil
		}
		l.dropped.WithLabelValues(why).Inc()
		raw.Close()
	}
}

func (l *limited) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.closed:
		return false
	}
}

// Close also wakes an Accept that waits before it tries again.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// add says why c is refused, or nothing.
func (l *limited) add(c *counted) (why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.known != nil && !l.known(c.RemoteAddr()):
		return "stranger"
	case len(l.conns) >= l.most:
		return "too many connections"
	case l.sources[c.source] >= max(l.most/4, 1):
		return "too many connections of one source"
	case c.SetReadDeadline(time.Now().Add(firstRequest)) != nil:
		return "connection gone"
	}
	l.conns[c] = struct{}{}
	l.peers[c.peer] = c
	l.sources[c.source]++
	return ""
}

// heard is told that a request has come from peer: its connection is in use.
func (l *limited) heard(peer string) {
	l.mu.Lock()
	c := l.peers[peer]
	l.mu.Unlock()
	if c != nil && c.used.CompareAndSwap(false, true) {
		c.SetReadDeadline(time.Now().Add(idleTrunk)) //nolint:errcheck // a connection that is gone has no reader
	}
}

// gone is closed when the connection from peer is; nil when there is none of
// that name, such as one that we made.
func (l *limited) gone(peer string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.peers[peer]; c != nil {
		return c.gone
	}
	return nil
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

func addressOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr()
	}
	return netip.Addr{}
}

// sourceOf is who a connection or a call counts for: an IPv4 address, or an IPv6 network
// of the size that one customer gets.
func sourceOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // fails for the zero Addr alone, which is a source too
	return p
}

type counted struct {
	net.Conn
	of     *limited
	peer   string
	source netip.Prefix
	used   atomic.Bool   // a request has come
	gone   chan struct{} // closed with it
}

// Read ends an idle connection as its peer's hanging up would.
func (c *counted) Read(b []byte) (int, error) {
	if c.used.Load() {
		if err := c.SetReadDeadline(time.Now().Add(idleTrunk)); err != nil {
			return 0, fmt.Errorf("%w: %w", io.EOF, err)
		}
	}
	n, err := c.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.of.dropped.WithLabelValues("idle connection").Inc()
		err = io.EOF
	}
	return n, err
}

func (c *counted) Close() error {
	l := c.of
	l.mu.Lock()
	if _, open := l.conns[c]; open {
		delete(l.conns, c)
		close(c.gone)
		if l.peers[c.peer] == c {
			delete(l.peers, c.peer)
		}
		if l.sources[c.source]--; l.sources[c.source] == 0 {
			delete(l.sources, c.source)
		}
	}
	l.mu.Unlock()
	return c.Conn.Close()
}
