package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"nabat/dispatch"
	"nabat/sip/media"
)

// trunk is a TCP connection that speaks SIP as text.
type trunk struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, addr string) *trunk {
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return &trunk{t, c, newReader(c)}
}

func (k *trunk) send(msg string) {
	_, err := k.conn.Write([]byte(msg))
	require.NoError(k.t, err)
}

// next reads one message with its body.
func (k *trunk) next() (string, error) {
	_ = k.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var b strings.Builder
	length := 0
	for {
		line, err := k.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		b.WriteString(line)
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "content-length") {
			_, _ = fmt.Sscan(value, &length)
		}
		if line == "\r\n" {
			body := make([]byte, length)
			_, err := io.ReadFull(k.in, body)
			b.Write(body)
			return b.String(), err
		}
	}
}

func (k *trunk) wait(start string) string {
	for {
		m, err := k.next()
		require.NoError(k.t, err, "waiting for %q", start)
		if strings.HasPrefix(m, start) {
			return m
		}
	}
}

const tcpInvite = "INVITE sip:112@city.example SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK-tcp\r\nFrom: <sip:+7812@x>;tag=ft\r\nTo: <sip:112@x>\r\nCall-ID: tcp\r\nCSeq: 1 INVITE\r\nContact: <sip:anna@127.0.0.1:9;transport=tcp>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"

func TestTCPInPiecesAndItsContact(t *testing.T) {
	t.Parallel()
	house := &fakeHouse{}
	gw := startReal(t, house)
	k := dial(t, gw.tcp)
	for i := range tcpInvite { // one octet a segment, as far as the kernel likes
		if i%7 == 0 {
			k.send(tcpInvite[i:min(i+7, len(tcpInvite))])
		}
	}
	k.wait("SIP/2.0 180")
	ok := k.wait("SIP/2.0 200")
	require.Equal(t, "<sip:112@"+gw.tcp+";transport=tcp>", header(ok, "Contact"))
	// The 200 is repeated over TCP too (RFC 3261 §13.3.1.4).
	require.Equal(t, ok, k.wait("SIP/2.0 200"))
	answer := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
	k.send("ACK sip:112@x SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK-ack\r\nFrom: <sip:+7812@x>;tag=ft\r\nTo: <sip:112@x>;tag=" + toTag(t, ok) +
		"\r\nCall-ID: tcp\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\nContent-Length: " +
		strconv.Itoa(len(answer)) + "\r\n\r\n" + answer)
	require.Eventually(t, func() bool { return house.only(t).State == dispatch.ContactAnswered }, 10*time.Second, time.Millisecond)
	require.NoError(t, gw.HangUp(t.Context(), house.only(t).ID, "operator:ivanova", "test"))
	bye := k.wait("BYE sip:anna@127.0.0.1:9;transport=tcp")
	require.Contains(t, header(bye, "Via"), "SIP/2.0/TCP "+gw.tcp)
	k.send(okFor(bye))
	settled(t, gw)
	require.Equal(t, dispatch.EndOperator, house.only(t).EndReason)
}

// A trunk whose connection breaks before it rings cannot be answered any more.
func TestTCPConnectionLostBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	house := &fakeHouse{hook: func(ctx context.Context) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}}
	gw := startReal(t, house)
	k := dial(t, gw.tcp)
	k.send(tcpInvite)
	k.wait("SIP/2.0 100")
	require.NoError(t, k.conn.(*net.TCPConn).SetLinger(0))
	k.conn.Close()
	require.Eventually(t, func() bool { // an OPTIONS of another trunk proves that the reset is known
		o := dial(t, gw.tcp)
		defer o.conn.Close()
		o.send(strings.ReplaceAll(strings.ReplaceAll(tcpInvite, "INVITE", "OPTIONS"), "tcp\r\n", "o\r\n"))
		o.wait("SIP/2.0 200")
		return true
	}, 10*time.Second, time.Millisecond)
	close(hold)
	settled(t, gw)
	c := house.only(t)
	require.Equal(t, dispatch.EndLineLost, c.EndReason)
	require.True(t, c.CallbackDue)
}

func TestLimitOfConnectionsAndStrangers(t *testing.T) {
	t.Parallel()
	house := &fakeHouse{}
	start := func(peers ...netip.Prefix) (*Gateway, string) {
		pool, err := media.New(media.Config{})
		require.NoError(t, err)
		gw, err := New(Config{Intake: house, Media: pool, Run: dispatch.NewRunID(), Connections: 1, Peers: peers})
		require.NoError(t, err)
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 1)
		go func() { done <- gw.Run(ctx, nil, l) }()
		t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
		return gw, l.Addr().String()
	}
	// A stranger takes no place, not even by saying nothing.
	gw, addr := start(netip.MustParsePrefix("192.0.2.0/24"))
	_, err := dial(t, addr).next()
	require.Error(t, err, "closed at once")
	require.InDelta(t, 1, testutil.ToFloat64(gw.met.dropped.WithLabelValues("stranger")), 0)

	gw, addr = start()
	first := dial(t, addr)
	first.send(strings.ReplaceAll(tcpInvite, "INVITE", "OPTIONS"))
	first.wait("SIP/2.0 200")
	_, err = dial(t, addr).next()
	require.Error(t, err, "closed at once")
	require.InDelta(t, 1, testutil.ToFloat64(gw.met.dropped.WithLabelValues("too many connections")), 0)
	require.Empty(t, house.all())
}

func TestABrokenSocketEndsTheLineWithAnError(t *testing.T) {
	t.Parallel()
	pool, err := media.New(media.Config{})
	require.NoError(t, err)
	gw, err := New(Config{Intake: &fakeHouse{}, Media: pool, Run: dispatch.NewRunID()})
	require.NoError(t, err)
	var lc net.ListenConfig
	udp, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- gw.Run(t.Context(), udp, nil) }()
	udp.Close()
	require.ErrorIs(t, <-done, net.ErrClosed)
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	pool, err := media.New(media.Config{})
	require.NoError(t, err)
	good := Config{Intake: &fakeHouse{}, Media: pool, Run: dispatch.NewRunID()}
	_, err = New(good)
	require.NoError(t, err)
	for _, spoil := range []func(*Config){
		func(c *Config) { c.Intake = nil }, func(c *Config) { c.Media = nil },
		func(c *Config) { c.Run = dispatch.RunID{} }, func(c *Config) { c.Calls = -1 },
	} {
		bad := good
		spoil(&bad)
		_, err = New(bad)
		require.Error(t, err)
	}
	gw, err := New(good)
	require.NoError(t, err)
	require.ErrorIs(t, gw.HangUp(t.Context(), dispatch.NewContactID(), "operator:ivanova", ""), dispatch.ErrNotFound)
}

// Bound to every address we must not announce «0.0.0.0» to anybody.
func TestBoundToEveryAddressItAnnouncesTheOneThatFacesTheCaller(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"127.0.0.1", "::1"} {
		t.Run(network, func(t *testing.T) { facesTheCaller(t, network) })
	}
}

func facesTheCaller(t *testing.T, network string) {
	pool, err := media.New(media.Config{Bind: netip.IPv6Unspecified()})
	require.NoError(t, err)
	house := &fakeHouse{}
	gw, err := New(Config{Intake: house, Media: pool, Run: dispatch.NewRunID()})
	require.NoError(t, err)
	var lc net.ListenConfig
	us, err := lc.ListenPacket(t.Context(), "udp", "[::]:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- gw.Run(ctx, us, nil) }()
	them, err := lc.ListenPacket(t.Context(), "udp", net.JoinHostPort(network, "0"))
	require.NoError(t, err)
	defer them.Close()
	port := us.LocalAddr().(*net.UDPAddr).Port
	inv := strings.ReplaceAll(strings.ReplaceAll(tcpInvite, "SIP/2.0/TCP 127.0.0.1:9", "SIP/2.0/UDP "+them.LocalAddr().String()+";rport"), ";transport=tcp", "")
	inv = strings.ReplaceAll(inv, "anna@127.0.0.1:9", "anna@"+them.LocalAddr().String())
	_, err = them.WriteTo([]byte(inv), &net.UDPAddr{IP: net.ParseIP(network), Port: port})
	require.NoError(t, err)
	read := func(start string) string {
		buf := make([]byte, 65536)
		for {
			require.NoError(t, them.SetReadDeadline(time.Now().Add(10*time.Second)))
			n, _, err := them.ReadFrom(buf)
			require.NoError(t, err, start)
			if strings.HasPrefix(string(buf[:n]), start) {
				return string(buf[:n])
			}
		}
	}
	ok := read("SIP/2.0 200")
	require.Equal(t, "<sip:112@"+net.JoinHostPort(network, strconv.Itoa(port))+">", header(ok, "Contact"))
	require.Contains(t, ok, " "+network+"\r\nt=0 0\r\n")
	// And our own requests leave by the same socket.
	ack := strings.NewReplacer("INVITE", "ACK", "To: <sip:112@x>", "To: <sip:112@x>;tag="+toTag(t, ok), "z9hG4bK-tcp", "z9hG4bK-ack").Replace(inv)
	_, err = them.WriteTo([]byte(ack), &net.UDPAddr{IP: net.ParseIP(network), Port: port})
	require.NoError(t, err)
	cancel()
	bye := read("BYE")
	_, err = them.WriteTo([]byte(okFor(bye)), &net.UDPAddr{IP: net.ParseIP(network), Port: port})
	require.NoError(t, err)
	require.NoError(t, <-done)
}

func newReader(c net.Conn) *bufio.Reader { return bufio.NewReader(c) }
