package engine_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// The sockets of the scenarios: without a kernel, so that virtual time goes on
// while somebody waits on them.

// pipes is a listener of net.Pipe connections.
type pipes struct {
	name  string
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes(name string) *pipes {
	return &pipes{name: name, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: l.name, Net: "pipe"} }

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ether is a network of datagrams.
type ether struct {
	mu    sync.Mutex
	conns map[string]*endpoint // guarded by mu
	next  int                  // guarded by mu
}

func newEther() *ether { return &ether{conns: map[string]*endpoint{}, next: 30000} }

type datagram struct {
	octets []byte
	from   net.Addr
}

type endpoint struct {
	net  *ether
	addr *net.UDPAddr
	in   chan datagram
	done chan struct{}
	once sync.Once
}

// listen is net.ListenPacket in this network.
func (n *ether) listen(_, address string) (net.PacketConn, error) {
	a, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if a.Port == 0 {
		n.next += 2
		a.Port = n.next
	}
	if n.conns[a.String()] != nil {
		return nil, fmt.Errorf("address %s is in use", a)
	}
	c := &endpoint{net: n, addr: a, in: make(chan datagram, 4096), done: make(chan struct{})}
	n.conns[a.String()] = c
	return c, nil
}

func (c *endpoint) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-c.in:
		return copy(b, d.octets), d.from, nil
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

func (c *endpoint) WriteTo(b []byte, to net.Addr) (int, error) {
	c.net.mu.Lock()
	peer := c.net.conns[to.String()]
	c.net.mu.Unlock()
	if peer != nil {
		select {
		case peer.in <- datagram{append([]byte(nil), b...), c.addr}:
		default: // a full buffer drops, as a kernel's does
		}
	}
	return len(b), nil
}

func (c *endpoint) Close() error {
	c.once.Do(func() {
		close(c.done)
		c.net.mu.Lock()
		defer c.net.mu.Unlock()
		delete(c.net.conns, c.addr.String())
	})
	return nil
}

func (c *endpoint) LocalAddr() net.Addr              { return c.addr }
func (c *endpoint) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *endpoint) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *endpoint) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
