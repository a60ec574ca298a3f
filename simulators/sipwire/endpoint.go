package sipwire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Limits of what is read and kept.
const (
	maxMessage = 65_535
	inboxSize  = 32
	maxAcks    = 8192
)

// Endpoint is one local transport towards one peer.
type Endpoint struct {
	network string // udp or tcp
	local   string // host:port as it stands in Via and Contact
	conn    net.Conn
	write   sync.Mutex

	mu    sync.Mutex
	calls map[string]*Call
	// acks are the ACKs of calls that have ended, for a peer that repeats its
	// final answer because one was lost; order bounds them.
	acks  map[string]*Message
	order []string
	ended bool

	dropped atomic.Int64
	foreign atomic.Int64
}

// Dial opens a transport to the peer: a UDP socket, or a TCP connection.
func Dial(ctx context.Context, network, peer string) (*Endpoint, error) {
	if network != "udp" && network != "tcp" {
		return nil, fmt.Errorf("network %q: must be udp or tcp", network)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, peer)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", peer, err)
	}
	if u, ok := conn.(*net.UDPConn); ok {
		_ = u.SetReadBuffer(4 << 20)
	}
	return &Endpoint{network: network, local: conn.LocalAddr().String(), conn: conn, calls: map[string]*Call{}, acks: map[string]*Message{}}, nil
}

// Local is the transport's own address.
func (e *Endpoint) Local() string { return e.local }

// Dropped counts messages that a call's owner was too slow to read; Foreign
// those that belonged to no call.
func (e *Endpoint) Dropped() int64 { return e.dropped.Load() }

// Foreign counts messages that belonged to no call.
func (e *Endpoint) Foreign() int64 { return e.foreign.Load() }

// Run reads until ctx ends or the connection breaks, then closes the transport
// and the inboxes of all calls. It returns nil when ctx ended.
func (e *Endpoint) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { e.conn.Close() })
	defer stop()
	defer e.shut()
	in := bufio.NewReaderSize(e.conn, maxMessage)
	buf := make([]byte, maxMessage)
	for {
		raw, err := e.read(in, buf)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) || (err != nil && e.network == "tcp") {
			return fmt.Errorf("read from the SIP peer: %w", err)
		}
		if err != nil {
			continue // an ICMP error of an earlier datagram: the timers will tell
		}
		if len(bytes.TrimSpace(raw)) == 0 {
			continue // keep-alive
		}
		m, err := Parse(raw)
		if err != nil {
			e.foreign.Add(1)
			continue
		}
		e.route(m)
	}
}

func (e *Endpoint) read(in *bufio.Reader, buf []byte) ([]byte, error) {
	if e.network == "udp" {
		n, err := e.conn.Read(buf)
		return buf[:n], err
	}
	var head []byte
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		head = append(head, line...)
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" && len(bytes.TrimSpace(head)) == 0 {
			return nil, nil // keep-alive between messages (RFC 5626 §3.5.1)
		}
		if text == "" {
			break
		}
		if name, value, ok := strings.Cut(text, ":"); ok && canonical(strings.TrimSpace(name)) == "content-length" {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > maxMessage {
				return nil, fmt.Errorf("%w: %q", ErrMessage, text)
			}
		}
		if len(head) > maxMessage {
			return nil, fmt.Errorf("%w: too long", ErrMessage)
		}
	}
	raw := append(head, make([]byte, length)...) //nolint:gocritic // head is not used again
	_, err := io.ReadFull(in, raw[len(raw)-length:])
	return raw, err
}

func (e *Endpoint) route(m *Message) {
	e.mu.Lock()
	call, ok := e.calls[m.Get("Call-ID")]
	if ok {
		select {
		case call.inbox <- m:
		default:
			e.dropped.Add(1)
		}
	}
	ack := e.acks[m.Get("Call-ID")]
	e.mu.Unlock()
	if ok {
		return
	}
	if _, method := m.CSeq(); method == "INVITE" && m.Status >= 200 && ack != nil {
		_ = e.Send(ack)
		return
	}
	e.foreign.Add(1)
	if m.Method != "" && m.Method != "ACK" {
		_ = e.Send(Answer(m, 481, "Call/Transaction Does Not Exist"))
	}
}

// Send writes a message as it is.
func (e *Endpoint) Send(m *Message) error {
	e.write.Lock()
	defer e.write.Unlock()
	_, err := e.conn.Write(m.Bytes())
	if err != nil && e.network == "udp" && !errors.Is(err, net.ErrClosed) {
		return nil // a datagram that did not get through is one that was lost
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return nil
}

// ack sends an ACK and keeps it for repeats.
func (e *Endpoint) ack(id string, m *Message) error {
	e.mu.Lock()
	if e.acks[id] == nil {
		e.order = append(e.order, id)
	}
	e.acks[id] = m
	for len(e.order) > maxAcks {
		delete(e.acks, e.order[0])
		e.order = e.order[1:]
	}
	e.mu.Unlock()
	return e.Send(m)
}

func (e *Endpoint) shut() {
	e.conn.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	for _, c := range e.calls {
		close(c.inbox)
	}
	e.calls = map[string]*Call{}
}
