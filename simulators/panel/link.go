package panel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// ErrSilent: no answer came within the time allowed.
var ErrSilent = errors.New("no answer")

// Link is a way to the receiver that one panel uses.
type Link interface {
	// Exchange sends a frame and returns the answer that carries its sequence
	// number, or ErrSilent when the time is over.
	Exchange(ctx context.Context, frame []byte, account string, seq int, wait time.Duration) (Reply, error)
	Close() error
}

// TCP is a connection of one panel's own, made when it is first needed and
// again after any failure.
type TCP struct {
	addr    string
	oneShot bool
	conn    net.Conn
	in      *bufio.Reader
	release func() bool
}

// NewTCP makes a link that is not connected yet. With oneShot every exchange has
// a connection of its own, which this side closes after the answer.
func NewTCP(addr string, oneShot bool) *TCP { return &TCP{addr: addr, oneShot: oneShot} }

// Exchange is Link's.
func (l *TCP) Exchange(ctx context.Context, frame []byte, _ string, seq int, wait time.Duration) (Reply, error) {
	end := time.Now().Add(wait)
	reply, err := l.exchange(ctx, frame, seq, end)
	if err != nil || l.oneShot {
		// After a failure nobody knows what is still under way in the old
		// connection: a panel dials again.
		l.Close()
	}
	if ctx.Err() != nil && err != nil {
		return Reply{}, ctx.Err()
	}
	if err != nil && (errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(end)) {
		return Reply{}, ErrSilent
	}
	return reply, err
}

func (l *TCP) exchange(ctx context.Context, frame []byte, seq int, end time.Time) (Reply, error) {
	if l.conn == nil {
		d := net.Dialer{Deadline: end}
		conn, err := d.DialContext(ctx, "tcp", l.addr)
		if err != nil {
			return Reply{}, fmt.Errorf("connect: %w", err)
		}
		l.conn, l.in = conn, bufio.NewReaderSize(conn, maxReply)
		l.release = context.AfterFunc(ctx, func() { conn.Close() })
	}
	if err := l.conn.SetDeadline(end); err != nil {
		return Reply{}, err
	}
	if _, err := l.conn.Write(frame); err != nil {
		return Reply{}, fmt.Errorf("send: %w", err)
	}
	for {
		raw, err := readFrame(l.in)
		if err != nil {
			return Reply{}, fmt.Errorf("read the answer: %w", err)
		}
		r, err := ParseReply(raw)
		if err != nil {
			return Reply{}, err
		}
		// A NAK echoes nothing; any other number answers an older frame.
		if r.Seq == seq || r.Token == tokenNAK {
			return r, nil
		}
	}
}

// Close ends the connection, if there is one.
func (l *TCP) Close() error {
	if l.conn == nil {
		return nil
	}
	l.release()
	err := l.conn.Close()
	l.conn, l.in = nil, nil
	return err
}

// Sockets are a few UDP sockets that any number of panels share: an answer finds
// its panel by account and sequence number. A NAK carries neither and finds
// nobody; it is counted as stray.
type Sockets struct {
	conns []*socket
}

type socket struct {
	conn *net.UDPConn

	mu      sync.Mutex
	waiting map[waiter]chan Reply
	stray   int64
}

type waiter struct {
	account string
	seq     int
}

// NewSockets opens n sockets towards the receiver. Run must be called to hear
// its answers, and closes them.
func NewSockets(addr string, n int) (*Sockets, error) {
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("receiver's address: %w", err)
	}
	s := &Sockets{}
	for range max(n, 1) {
		conn, err := net.DialUDP("udp", nil, to)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("open a UDP socket: %w", err)
		}
		// Thousands of answers may come in one burst.
		_ = conn.SetReadBuffer(4 << 20)
		s.conns = append(s.conns, &socket{conn: conn, waiting: map[waiter]chan Reply{}})
	}
	return s, nil
}

// Run reads answers until ctx ends, then closes the sockets.
func (s *Sockets) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	var readers sync.WaitGroup
	for _, c := range s.conns {
		readers.Go(func() { c.read(ctx) })
	}
	readers.Wait()
	return nil
}

func (s *Sockets) close() {
	for _, c := range s.conns {
		c.conn.Close()
	}
}

// Stray counts answers that nobody waited for: late ones, second ones, NAKs.
func (s *Sockets) Stray() int64 {
	var n int64
	for _, c := range s.conns {
		c.mu.Lock()
		n += c.stray
		c.mu.Unlock()
	}
	return n
}

// Link is the i-th panel's way through these sockets.
func (s *Sockets) Link(i int) Link { return &udpLink{s.conns[i%len(s.conns)]} }

func (c *socket) read(ctx context.Context) {
	buf := make([]byte, maxReply)
	for ctx.Err() == nil {
		n, err := c.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// «Connection refused» of an earlier datagram: the receiver is down
			// for the moment, its panels will find out by silence.
			continue
		}
		r, err := ParseReply(buf[:n])
		c.mu.Lock()
		w := waiter{r.Account, r.Seq}
		if out, ok := c.waiting[w]; ok && err == nil {
			delete(c.waiting, w)
			out <- r // capacity 1, and only whoever deletes the key sends
		} else {
			c.stray++
		}
		c.mu.Unlock()
	}
}

type udpLink struct{ s *socket }

// Exchange is Link's.
func (l *udpLink) Exchange(ctx context.Context, frame []byte, account string, seq int, wait time.Duration) (Reply, error) {
	w, out := waiter{account, seq}, make(chan Reply, 1)
	l.s.mu.Lock()
	l.s.waiting[w] = out
	l.s.mu.Unlock()
	defer func() {
		l.s.mu.Lock()
		if l.s.waiting[w] == out {
			delete(l.s.waiting, w)
		}
		l.s.mu.Unlock()
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	// A refused write (the receiver is down) is a lost datagram like any other.
	if _, err := l.s.conn.Write(frame); errors.Is(err, net.ErrClosed) {
		return Reply{}, err
	}
	select {
	case r := <-out:
		return r, nil
	case <-timer.C:
		return Reply{}, ErrSilent
	case <-ctx.Done():
		return Reply{}, ctx.Err()
	}
}

// Close is Link's; the sockets are shared and stay open.
func (l *udpLink) Close() error { return nil }
