package listen_test

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nabat/alarms"
	"nabat/alarms/dc09"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memListener is a listener without a network.
type memListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *memListener) Addr() net.Addr { return memAddr("server") }

func (l *memListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

type memAddr string

func (memAddr) Network() string  { return "mem" }
func (a memAddr) String() string { return string(a) }

// memPacketConn is a socket without a network.
type memPacketConn struct {
	in   chan packet
	out  chan packet
	mu   sync.Mutex
	wake chan struct{}
}

type packet struct {
	addr   net.Addr
	octets []byte
}

func newMemPacketConn() *memPacketConn {
	return &memPacketConn{in: make(chan packet, 1024), out: make(chan packet, 1024), wake: make(chan struct{})}
}

func (c *memPacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.in:
		return copy(b, p.octets), p.addr, nil
	case <-c.wake:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (c *memPacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.out <- packet{to, append([]byte(nil), b...)}
	return len(b), nil
}

func (c *memPacketConn) SetReadDeadline(time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.wake:
	default:
		close(c.wake)
	}
	return nil
}

func (c *memPacketConn) Close() error                     { return c.SetReadDeadline(time.Time{}) }
func (c *memPacketConn) LocalAddr() net.Addr              { return memAddr("server") }
func (c *memPacketConn) SetDeadline(time.Time) error      { return nil }
func (c *memPacketConn) SetWriteDeadline(time.Time) error { return nil }

// intake acknowledges what it can parse, after a commit of the given time; it
// knows account 1234.
type intake struct {
	mu      sync.Mutex
	seqs    []string
	peers   []string
	batches []int
	commit  time.Duration
	silent  bool
}

func (i *intake) AnswerAll(ctx context.Context, fs []dc09.Frame, peer string, at time.Time, out []byte, done []alarms.Answered) ([]byte, []alarms.Answered) {
	time.Sleep(i.commit)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.batches = append(i.batches, len(fs))
	for _, f := range fs {
		m, err := dc09.Parse(f)
		if err != nil {
			done = append(done, alarms.Answered{Verdict: alarms.Malformed})
			continue
		}
		if m.Seq == "6666" {
			panic("a bug")
		}
		i.seqs = append(i.seqs, m.Seq)
		i.peers = append(i.peers, peer)
		a := alarms.Answered{Verdict: alarms.Stored, Known: m.Account == "1234"}
		if i.silent || ctx.Err() != nil {
			a.Verdict = alarms.Fault
		}
		out, done = dc09.AppendReply(out, a.Verdict.Reply(), &m, at), append(done, a)
	}
	return out, done
}

func (i *intake) heard() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string(nil), i.seqs...)
}

func frame(body string) []byte { return dc09.AppendFrame(nil, []byte(body), dc09.CRCHex) }

// null is a heartbeat whose sequence number tells it from others.
func null(seq string) []byte { return frame(`"NULL"` + seq + `L0#1234[]`) }

func ack(seq string) []byte { return frame(`"ACK"` + seq + `L0#1234[]`) }
