package panel

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Shared are TCP connections which panels share, as a monitoring station's
// receiver passes many panels on: a frame is sent without waiting for the answers
// to those before it, and an answer finds its panel by account and sequence
// number. A connection is made when it is first needed and again after a failure.
type Shared struct {
	conns   []*sharedConn
	readers sync.WaitGroup
}

type sharedConn struct {
	owner *Shared
	addr  string

	mu      sync.Mutex
	conn    net.Conn
	closed  bool
	waiting map[waiter]chan Reply // closed without a reply when the connection ends
	stray   int64
}

// NewShared makes n connections that are not open yet.
func NewShared(addr string, n int) *Shared {
	s := &Shared{}
	for range max(n, 1) {
		s.conns = append(s.conns, &sharedConn{owner: s, addr: addr, waiting: map[waiter]chan Reply{}})
	}
	return s
}

// Link is the i-th panel's way through these connections.
func (s *Shared) Link(i int) Link { return sharedLink{s.conns[i%len(s.conns)]} }

// Close ends the connections and returns when nobody reads from them any more.
func (s *Shared) Close() error {
	for _, c := range s.conns {
		c.mu.Lock()
		c.closed = true
		if c.conn != nil {
			c.conn.Close()
		}
		c.mu.Unlock()
	}
	s.readers.Wait()
	return nil
}

// Stray counts answers that nobody waited for: late ones, second ones, NAKs.
func (s *Shared) Stray() int64 {
	var n int64
	for _, c := range s.conns {
		c.mu.Lock()
		n += c.stray
		c.mu.Unlock()
	}
	return n
}

// send writes a frame and says where its answer will come.
func (c *sharedConn) send(ctx context.Context, frame []byte, w waiter, end time.Time) (chan Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if c.conn == nil {
		d := net.Dialer{Deadline: end}
		conn, err := d.DialContext(ctx, "tcp", c.addr)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		c.conn = conn
		c.owner.readers.Go(func() { c.read(conn) })
	}
	out := make(chan Reply, 1)
	c.waiting[w] = out
	if err := c.conn.SetWriteDeadline(end); err != nil {
		return out, err
	}
	if _, err := c.conn.Write(frame); err != nil {
		c.conn.Close() // its reader tells the others
		return out, fmt.Errorf("send: %w", err)
	}
	return out, nil
}

// read hands answers out until the connection ends, which it tells those who
// still wait.
func (c *sharedConn) read(conn net.Conn) {
	in := bufio.NewReaderSize(conn, maxReply)
	for {
		raw, err := readFrame(in)
		var r Reply
		if err == nil {
			r, err = ParseReply(raw)
		}
		c.mu.Lock()
		if err != nil {
			conn.Close()
			c.conn = nil
			for w, out := range c.waiting {
				delete(c.waiting, w)
				close(out)
			}
			c.mu.Unlock()
			return
		}
		w := waiter{r.Account, r.Seq}
		if out, ok := c.waiting[w]; ok {
			delete(c.waiting, w)
			out <- r // capacity 1, and only whoever deletes the key sends
		} else {
			c.stray++
		}
		c.mu.Unlock()
	}
}

type sharedLink struct{ c *sharedConn }

// Exchange is Link's.
func (l sharedLink) Exchange(ctx context.Context, frame []byte, account string, seq int, wait time.Duration) (Reply, error) {
	w := waiter{account, seq}
	end := time.Now().Add(wait)
	out, err := l.c.send(ctx, frame, w, end)
	defer func() {
		l.c.mu.Lock()
		if out != nil && l.c.waiting[w] == out {
			delete(l.c.waiting, w)
		}
		l.c.mu.Unlock()
	}()
	if err != nil {
		return Reply{}, err
	}
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case r, ok := <-out:
		if !ok {
			return Reply{}, fmt.Errorf("read the answer: %w", net.ErrClosed)
		}
		return r, nil
	case <-timer.C:
		return Reply{}, ErrSilent
	case <-ctx.Done():
		return Reply{}, ctx.Err()
	}
}

// Close is Link's; the connections are shared and stay open.
func (l sharedLink) Close() error { return nil }
