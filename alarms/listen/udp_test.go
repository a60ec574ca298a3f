package listen_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"nabat/alarms/listen"
)

func serveUDP(t *testing.T, in *intake, opts listen.Options) (*memPacketConn, *prometheus.Registry, func()) {
	t.Helper()
	reg := prometheus.NewRegistry()
	pc := newMemPacketConn()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- listen.New(in, zap.NewNop(), listen.NewMetrics(reg), opts).UDP(ctx, pc) }()
	return pc, reg, func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func TestDatagramsAreAnsweredAtTheirSourceInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{commit: time.Millisecond}
		pc, _, stop := serveUDP(t, in, listen.Options{Workers: 4, Backlog: 64})
		defer stop()
		for i := range 20 {
			for _, from := range []memAddr{"a", "b", "c"} {
				pc.in <- packet{from, null(fmt.Sprintf("%04d", i))}
			}
		}
		next := map[string]int{}
		for range 60 {
			p := <-pc.out
			from := p.addr.String()
			require.Equal(t, string(ack(fmt.Sprintf("%04d", next[from]))), string(p.octets))
			next[from]++
		}
	})
}

func TestADatagramEndsWhereItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{}
		pc, reg, stop := serveUDP(t, in, listen.Options{})
		defer stop()
		pc.in <- packet{memAddr("eldes"), []byte("\nF19A002B\"ADM-CID\"0056L9999#9999[#9999|1900 00 001]\r")}
		p := <-pc.out
		require.Equal(t, "\n78230012\"ACK\"0056L9999#9999[]\r"[10:], string(p.octets)[10:])
		pc.in <- packet{memAddr("half"), null("0001")[:12]}
		pc.in <- packet{memAddr("web"), []byte("GET / HTTP/1.1\r\n\r\n")}
		synctest.Wait()
		require.Equal(t, []string{"0056"}, in.heard())
		count(t, reg, "nabat_dc09_foreign_total", "http", 1)
		require.Empty(t, pc.out)
	})
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{commit: time.Second}
		pc, reg, stop := serveUDP(t, in, listen.Options{Workers: 1, Backlog: 2})
		defer stop()
		for i := range 10 {
			pc.in <- packet{memAddr("a"), null(fmt.Sprintf("%04d", i))}
			synctest.Wait()
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"0000", "0001", "0002"}, in.heard())
		count(t, reg, "nabat_dc09_full_total", "datagrams", 7)
	})
}

// The same on a real socket.
func TestUDPSocket(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- listen.New(&intake{}, zap.NewNop(), nil, listen.Options{}).UDP(ctx, pc) }()
	c, err := net.Dial("udp", pc.LocalAddr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write(null("0001"))
	require.NoError(t, err)
	b := make([]byte, 100)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	n, err := c.Read(b)
	require.NoError(t, err)
	require.Equal(t, ack("0001"), b[:n])
	stop()
	require.NoError(t, <-done)
}
