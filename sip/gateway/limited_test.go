package gateway

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// scriptedListener gives what it is told to, then waits until it is closed.
type scriptedListener struct {
	mu     sync.Mutex
	script []any // net.Conn or error; guarded by mu
	done   chan struct{}
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.script) == 0 {
		<-l.done
		return nil, net.ErrClosed
	}
	next := l.script[0]
	l.script = l.script[1:]
	if err, ok := next.(error); ok {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	return next.(net.Conn), nil
}

func (l *scriptedListener) Close() error   { close(l.done); return nil }
func (l *scriptedListener) Addr() net.Addr { return &net.TCPAddr{} }

// from is a pipe's end whose peer has an address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

func pipeFrom(t *testing.T, addr string) (ours from, theirs net.Conn) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	require.NoError(t, err)
	us, them := net.Pipe()
	t.Cleanup(func() { us.Close(); them.Close() })
	return from{us, a}, them
}

func scripted(n int, script ...any) (*limited, *metrics, *observer.ObservedLogs) {
	core, logs := observer.New(zap.WarnLevel)
	met := newMetrics(nil)
	return limit(&scriptedListener{script: script, done: make(chan struct{})}, n, met.dropped, zap.New(core)), met, logs
}

func TestAcceptOutlivesAWantOfFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _ := pipeFrom(t, "192.0.2.1:1")
		b, _ := pipeFrom(t, "192.0.2.2:1")
		l, met, logs := scripted(10, syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, a, syscall.EMFILE, b)
		start := time.Now()
		c, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, "192.0.2.1:1", c.RemoteAddr().String())
		require.Equal(t, 70*time.Millisecond, time.Since(start), "10 + 20 + 40")
		require.Equal(t, 1, logs.Len(), "once for a burst")
		_, err = l.Accept()
		require.NoError(t, err)
		require.Equal(t, 80*time.Millisecond, time.Since(start), "the pause began anew")
		require.Equal(t, 2, logs.Len())
		require.InDelta(t, 4, testutil.ToFloat64(met.dropped.WithLabelValues("accept failed")), 0)
		require.NoError(t, l.Close())
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestCloseWakesAnAcceptThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _, _ := scripted(10, syscall.EMFILE, syscall.EMFILE, syscall.EMFILE)
		start := time.Now()
		done := make(chan error, 1)
		go func() { _, err := l.Accept(); done <- err }()
		synctest.Wait()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-done, net.ErrClosed)
		require.Zero(t, time.Since(start))
	})
}

func TestOneSourceGetsAQuarter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var script []any
		for _, a := range []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "192.0.2.1:4"} {
			c, _ := pipeFrom(t, a)
			script = append(script, c)
		}
		l, met, _ := scripted(8, script...)
		var got []string
		accept := func() net.Conn {
			c, err := l.Accept()
			require.NoError(t, err)
			got = append(got, c.RemoteAddr().String())
			return c
		}
		first := accept()
		for range 4 {
			accept()
		}
		require.Equal(t, []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1"}, got)
		first.Close()
		first.Close() // counts once
		require.Equal(t, "192.0.2.1:4", accept().RemoteAddr().String())
		require.InDelta(t, 2, testutil.ToFloat64(met.dropped.WithLabelValues("too many connections of one source")), 0)
		l.closeAll()
		require.Empty(t, l.conns)
		require.Empty(t, l.peers)
		require.Empty(t, l.sources)
	})
}

func TestAConnectionWithoutARequestIsClosedSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		idle, trickle := pipeFrom(t, "192.0.2.1:1")
		busy, _ := pipeFrom(t, "192.0.2.2:1")
		l, met, _ := scripted(10, idle, busy)
		start := time.Now()
		a, err := l.Accept()
		require.NoError(t, err)
		b, err := l.Accept()
		require.NoError(t, err)
		l.heard("192.0.2.2:1")
		l.heard("192.0.2.3:1") // of nobody
		go func() {
			time.Sleep(firstRequest / 2)
			_, _ = trickle.Write([]byte("I")) // no request yet, and no reason to wait longer
		}()
		buf := make([]byte, 10)
		_, err = a.Read(buf)
		require.NoError(t, err)
		_, err = a.Read(buf)
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, firstRequest, time.Since(start))
		start = time.Now()
		_, err = b.Read(buf)
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, idleTrunk, time.Since(start))
		require.InDelta(t, 2, testutil.ToFloat64(met.dropped.WithLabelValues("idle connection")), 0)
	})
}
