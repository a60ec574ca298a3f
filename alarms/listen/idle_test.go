package listen_test

import (
	"context"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"nabat/alarms/listen"
)

// A city's panels stay connected and say little: each may cost 16 kB at most,
// both ends and the test's own part of them included. Not parallel: it counts
// the memory of the process.
func TestIdleConnectionsAreCheap(t *testing.T) {
	const n = 2000
	ln := newMemListener()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- listen.New(&intake{}, zap.NewNop(), nil, listen.Options{}).TCP(ctx, ln) }()
	before := inUse()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = ln.dial()
		_, err := conns[i].Write(null("0001"))
		require.NoError(t, err)
		read(t, conns[i], len(ack("0001")))
	}
	each := (inUse() - before) / n
	t.Logf("%d bytes a connection", each)
	require.Less(t, each, int64(16*1024))
	stop()
	require.NoError(t, <-done)
	for _, c := range conns {
		c.Close()
	}
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
