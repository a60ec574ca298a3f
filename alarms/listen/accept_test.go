package listen_test

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nabat/alarms/listen"
)

// poorListener has no files for the first few connections.
type poorListener struct {
	*memListener
	left atomic.Int32
}

func (l *poorListener) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return l.memListener.Accept()
}

// What is no frame is not answered, and stands in the log with its sender.
func TestWhatIsNoFrameIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		ln := newMemListener()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- listen.New(&intake{}, zap.New(core), nil, listen.Options{}).TCP(ctx, ln) }()
		c := ln.dial()
		bad := null("0001")
		bad[1] ^= 1 // the checksum
		for range 20 {
			_, err := c.Write(bad)
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
		}
		told := logs.FilterMessage("no frame: dropped without an answer").All()
		require.Len(t, told, 1)
		require.NotEmpty(t, told[0].ContextMap()["peer"])
		cancel()
		require.NoError(t, <-done)
	})
}

func TestAcceptOutlivesAWantOfFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln := &poorListener{memListener: newMemListener()}
		ln.left.Store(3)
		core, logs := observer.New(zap.WarnLevel)
		reg := prometheus.NewRegistry()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- listen.New(&intake{}, zap.New(core), listen.NewMetrics(reg), listen.Options{}).TCP(ctx, ln)
		}()
		c := ln.dial()
		_, err := c.Write(null("0001"))
		require.NoError(t, err)
		read(t, c, len(ack("0001")))
		count(t, reg, "nabat_dc09_full_total", "accept", 3)
		require.Equal(t, 1, logs.Len(), "once for a burst")
		c.Close()
		cancel()
		require.NoError(t, <-done)
	})
}
