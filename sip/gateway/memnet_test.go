package gateway

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// memNet is a network of datagrams without a kernel: a reader waits on a channel,
// so virtual time runs past it.
type memNet struct {
	mu    sync.Mutex
	conns map[string]*memConn
	next  int
	lose  func(from, to string, b []byte) bool // guarded by mu
}

func newMemNet() *memNet { return &memNet{conns: map[string]*memConn{}, next: 30000} }

type datagram struct {
	b    []byte
	from net.Addr
}

type memConn struct {
	net  *memNet
	addr *net.UDPAddr
	in   chan datagram
	done chan struct{}
	once sync.Once
}

// listen is net.ListenPacket in this network.
func (n *memNet) listen(_, address string) (net.PacketConn, error) {
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
		return nil, fmt.Errorf("address %s in use", a)
	}
	c := &memConn{net: n, addr: a, in: make(chan datagram, 1024), done: make(chan struct{})}
	n.conns[a.String()] = c
	return c, nil
}

func (c *memConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-c.in:
		return copy(b, d.b), d.from, nil
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

func (c *memConn) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-c.done:
		return 0, net.ErrClosed
	default:
	}
	c.net.mu.Lock()
	peer := c.net.conns[to.String()]
	lost := c.net.lose != nil && c.net.lose(c.addr.String(), to.String(), b)
	c.net.mu.Unlock()
	if peer != nil && !lost {
		select {
		case peer.in <- datagram{append([]byte(nil), b...), c.addr}:
		default: // a full socket buffer drops, as the kernel's does
		}
	}
	return len(b), nil
}

func (c *memConn) Close() error {
	c.once.Do(func() {
		close(c.done)
		c.net.mu.Lock()
		delete(c.net.conns, c.addr.String())
		c.net.mu.Unlock()
	})
	return nil
}

func (c *memConn) LocalAddr() net.Addr              { return c.addr }
func (c *memConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *memConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *memConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
