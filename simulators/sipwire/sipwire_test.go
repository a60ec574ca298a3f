package sipwire

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	t.Parallel()
	m, err := Parse([]byte("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP 1.2.3.4;branch=z9hG4bKx;rport=5\r\nf: <sip:a@b;tag=no>;tag=from1\r\n" +
		"t: \"A;tag=z\" <sip:c@d>;tag=to1\r\ni: id\r\nCSeq: 7 INVITE\r\nSubject: one\r\n  two\r\nl: 3\r\n\r\nabcdef"))
	require.NoError(t, err)
	require.Equal(t, 200, m.Status)
	require.Equal(t, "abc", string(m.Body), "what is beyond Content-Length is not the body")
	require.Equal(t, "z9hG4bKx", m.Branch())
	require.Equal(t, "from1", Tag(m.Get("From")))
	require.Equal(t, "to1", Tag(m.Get("to")))
	require.Equal(t, "one two", m.Get("subject"))
	n, method := m.CSeq()
	require.Equal(t, 7, n)
	require.Equal(t, "INVITE", method)
	for _, bad := range []string{
		"", "\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "SIP/2.0 99 X\r\n\r\n", "INVITE sip:a\r\n\r\n",
		"INVITE sip:a SIP/2.0\r\nnonsense\r\n\r\n", "SIP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\nabc",
	} {
		_, err := Parse([]byte(bad))
		require.ErrorIs(t, err, ErrMessage, "%q", bad)
	}
	require.Equal(t, "sip:a@b;x=1", AddressURI("\"N\" <sip:a@b;x=1>;expires=2"))
	require.Equal(t, "sip:a@b", AddressURI("sip:a@b;tag=2"))
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\nContent-Length: 1\r\n\r\na"))
	f.Add([]byte("INVITE sip:a@b SIP/2.0\r\nf: x\r\n y\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil || len(m.All("Content-Length")) > 0 {
			return
		}
		again, err := Parse(m.Bytes())
		require.NoError(t, err)
		require.Equal(t, m.Body, again.Body)
		require.Equal(t, m.Status, again.Status)
		require.Equal(t, m.Method, again.Method)
		require.Equal(t, m.Get("From"), again.Get("From"))
	})
}

// peer is a bare UDP socket that plays the other side by hand.
type peer struct {
	t  *testing.T
	pc *net.UDPConn
	to *net.UDPAddr
}

func newPeer(t *testing.T) *peer {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { pc.Close() })
	return &peer{t: t, pc: pc}
}

func (p *peer) read() *Message {
	p.t.Helper()
	buf := make([]byte, maxMessage)
	require.NoError(p.t, p.pc.SetReadDeadline(time.Now().Add(10*time.Second)))
	n, from, err := p.pc.ReadFromUDP(buf)
	require.NoError(p.t, err)
	p.to = from
	m, err := Parse(buf[:n])
	require.NoError(p.t, err)
	return m
}

func (p *peer) write(m *Message) {
	p.t.Helper()
	_, err := p.pc.WriteToUDP(m.Bytes(), p.to)
	require.NoError(p.t, err)
}

func open(t *testing.T, p *peer, timers Timers) (*Endpoint, *Call) {
	e, err := Dial(t.Context(), "udp", p.pc.LocalAddr().String())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	c, err := e.Open("id1", "mytag", "<sip:a@x>", "<sip:112@y>", "sip:112@y", timers)
	require.NoError(t, err)
	return e, c
}

// Repeats double until somebody answers; a provisional answer stops those of an
// INVITE; the error is acknowledged in its transaction, again if it comes again.
func TestInviteTransaction(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	_, c := open(t, p, Timers{T1: 10 * time.Millisecond, B: 10 * time.Second})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		m, err := c.Do(t.Context(), c.Request("INVITE"), nil)
		require.NoError(t, err)
		require.Equal(t, 486, m.Status)
		c.Close()
	})
	first := p.read()
	again := p.read()
	require.Equal(t, first.Bytes(), again.Bytes(), "a repeat is the same octet by octet")
	p.write(Answer(first, 100, "Trying"))
	busy := Answer(first, 486, "Busy")
	for i := range busy.Headers {
		if busy.Headers[i].Name == "To" {
			busy.Headers[i].Value += ";tag=other"
		}
	}
	p.write(busy)
	ack := p.next("ACK")
	require.Equal(t, first.Branch(), ack.Branch())
	require.Equal(t, "other", Tag(ack.Get("To")))
	require.Equal(t, "1 ACK", ack.Get("CSeq"))
	wg.Wait()
	p.write(busy)
	require.Equal(t, ack.Bytes(), p.next("ACK").Bytes(), "a repeated refusal is acknowledged again after the call is forgotten")
}

// next skips repeats of requests that were already in the socket.
func (p *peer) next(method string) *Message {
	for {
		if m := p.read(); m.Method == method || (method == "" && m.Status > 0) {
			return m
		}
	}
}

func TestDialogRequests(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	e, c := open(t, p, Timers{})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		m, err := c.Do(t.Context(), c.Request("INVITE"), nil)
		require.NoError(t, err)
		require.NoError(t, c.Establish(m))
		_, err = c.Do(t.Context(), c.Request("BYE"), nil)
		require.NoError(t, err)
	})
	inv := p.read()
	ok := Answer(inv, 200, "OK")
	for i := range ok.Headers {
		if ok.Headers[i].Name == "To" {
			ok.Headers[i].Value += ";tag=b"
		}
	}
	ok.Add("Contact", "<sip:desk@10.1.1.1:5070>")
	ok.Add("Record-Route", "<sip:p1;lr>")
	ok.Add("Record-Route", "<sip:p2;lr>")
	p.write(ok)
	ack := p.next("ACK")
	require.NotEqual(t, inv.Branch(), ack.Branch(), "the ACK of a 2xx is a transaction of its own")
	bye := p.next("BYE")
	for _, m := range []*Message{ack, bye} {
		require.Equal(t, "sip:desk@10.1.1.1:5070", m.URI)
		require.Equal(t, []string{"<sip:p2;lr>", "<sip:p1;lr>"}, m.All("Route"))
		require.Equal(t, "b", Tag(m.Get("To")))
	}
	require.Equal(t, "2 BYE", bye.Get("CSeq"))
	p.write(Answer(bye, 200, "OK"))
	wg.Wait()
	// A request for a call that nobody knows.
	c.Close()
	p.write(&Message{Method: "BYE", URI: "sip:a@x", Headers: []Header{
		{"Via", "SIP/2.0/UDP 1.1.1.1;branch=z9hG4bKq"}, {"From", "<a>;tag=1"}, {"To", "<b>;tag=2"}, {"Call-ID", "none"}, {"CSeq", "1 BYE"},
	}})
	require.Equal(t, 481, p.next("").Status)
	require.EqualValues(t, 1, e.Foreign())
}

func TestCancelCopiesTheInvite(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	_, c := open(t, p, Timers{})
	inv := c.Request("INVITE")
	cancel := c.CancelRequest()
	require.Equal(t, inv.Branch(), cancel.Branch())
	require.Equal(t, inv.Get("To"), cancel.Get("To"))
	require.Equal(t, "1 CANCEL", cancel.Get("CSeq"))
	require.Len(t, cancel.All("Via"), 1)
}

func TestTransportsEnd(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	e, err := Dial(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	there, err := ln.Accept()
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- e.Run(t.Context()) }()
	c, err := e.Open("id", "t", "<a>", "<b>", "sip:b", Timers{})
	require.NoError(t, err)
	_, err = e.Open("id", "t", "<a>", "<b>", "sip:b", Timers{})
	require.Error(t, err, "one call, one owner")
	got := make(chan error, 1)
	go func() { _, err := c.Do(t.Context(), c.Request("INVITE"), nil); got <- err }()
	// Keep-alives and a message in two writes come first.
	there.Write([]byte("\r\n\r\nSIP/2.0 180 Ringing\r\nCall-"))
	there.Write([]byte("ID: id\r\nCSeq: 1 INVITE\r\nContent-Length: 4\r\n\r\nbody"))
	there.Close()
	require.ErrorIs(t, <-got, ErrClosed)
	require.Error(t, <-done, "the peer hung up on us")
	_, err = e.Open("other", "t", "<a>", "<b>", "sip:b", Timers{})
	require.ErrorIs(t, err, ErrClosed)
	_, err = Dial(t.Context(), "sctp", "x")
	require.Error(t, err)
}

func TestAnswerCopies(t *testing.T) {
	t.Parallel()
	req := &Message{Method: "BYE", URI: "sip:x", Headers: []Header{
		{"Via", "1"}, {"v", "2"}, {"From", "f"}, {"To", "t"}, {"Call-ID", "c"}, {"CSeq", "1 BYE"}, {"Subject", "no"},
	}}
	b := Answer(req, 200, "OK").Bytes()
	require.True(t, bytes.HasPrefix(b, []byte("SIP/2.0 200 OK\r\nVia: 1\r\nv: 2\r\nFrom: f\r\n")))
	require.NotContains(t, string(b), "Subject")
}
