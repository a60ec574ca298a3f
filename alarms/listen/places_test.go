package listen_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nabat/alarms/listen"
)

// sourced is a connection from an address.
type sourced struct {
	net.Conn
	from net.Addr
}

func (c sourced) RemoteAddr() net.Addr { return c.from }

func (l *memListener) dialFrom(ip string) net.Conn {
	client, server := net.Pipe()
	l.conns <- sourced{server, &net.TCPAddr{IP: net.ParseIP(ip), Port: 999}}
	return client
}

// say sends a frame and takes its answer.
func say(t *testing.T, c net.Conn, octets []byte) {
	t.Helper()
	_, err := c.Write(octets)
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, len(octets)-1)) // "ACK" is a letter shorter than "NULL"
	require.NoError(t, err)
}

// stays tells that nobody has closed the connection.
func stays(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorContains(t, err, "timeout")
	require.NoError(t, c.SetReadDeadline(time.Time{}))
}

func TestASourceHasABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, reg, stop := serveTCP(t, &intake{}, listen.Options{MaxConns: 100, PerSource: 2})
		defer stop()
		a, b := ln.dialFrom("192.0.2.1"), ln.dialFrom("192.0.2.1")
		defer b.Close()
		closed(t, ln.dialFrom("192.0.2.1"))
		count(t, reg, "nabat_dc09_full_total", "source", 1)
		for _, ip := range []string{"192.0.2.2", "2001:db8::1", "2001:db8::ffff"} {
			say(t, ln.dialFrom(ip), null("0001"))
		}
		closed(t, ln.dialFrom("2001:db8::2"))
		count(t, reg, "nabat_dc09_full_total", "source", 2)
		a.Close()
		synctest.Wait()
		d := ln.dialFrom("192.0.2.1")
		defer d.Close()
		say(t, d, null("0001"))
	})
}

func TestASourceHasAQuarterByDefault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, _, stop := serveTCP(t, &intake{}, listen.Options{MaxConns: 12})
		defer stop()
		for range 3 {
			ln.dialFrom("192.0.2.1")
		}
		closed(t, ln.dialFrom("192.0.2.1"))
		c := ln.dialFrom("192.0.2.2")
		defer c.Close()
		say(t, c, null("0001"))
	})
}

func TestAConnectionWithoutAFrameIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, reg, stop := serveTCP(t, &intake{}, listen.Options{FirstFrame: 30 * time.Second})
		defer stop()
		mute, junk, half, panel := ln.dial(), ln.dial(), ln.dial(), ln.dial()
		defer panel.Close()
		_, err := panel.Write(null("0001"))
		require.NoError(t, err)
		read(t, panel, len(ack("0001")))
		start := time.Now()
		go func() {
			for { // never quiet, never a frame
				if _, err := junk.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		go func() {
			for {
				if _, err := half.Write(null("0001")[:20]); err != nil {
					return
				}
				time.Sleep(3 * time.Second)
			}
		}()
		for _, c := range []net.Conn{mute, junk, half} {
			closed(t, c)
		}
		require.Equal(t, 30*time.Second, time.Since(start))
		synctest.Wait()
		count(t, reg, "nabat_dc09_dropped_total", "no_frame", 3)
		time.Sleep(time.Hour)
		say(t, panel, null("0002"))
	})
}

// When all places are taken the one that is worth least goes: a connection
// without a frame, then a stranger's, then the panel that was idle for longest.
func TestAFullHouseGivesUpItsIdleConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		reg := prometheus.NewRegistry()
		ln := newMemListener()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- listen.New(&intake{}, zap.New(core), listen.NewMetrics(reg), listen.Options{MaxConns: 4, PerSource: 4}).TCP(ctx, ln)
		}()
		foreign := frame(`"NULL"0001L0#9999[]`)
		old, panel, strange, mute := ln.dial(), ln.dial(), ln.dial(), ln.dial()
		say(t, old, null("0001"))
		time.Sleep(time.Second)
		say(t, panel, null("0001"))
		say(t, strange, foreign)
		time.Sleep(time.Second)

		c := ln.dial()
		say(t, c, null("0001"))
		closed(t, mute)
		count(t, reg, "nabat_dc09_dropped_total", "evicted_silent", 1)
		d := ln.dial()
		say(t, d, null("0001"))
		closed(t, strange)
		count(t, reg, "nabat_dc09_dropped_total", "evicted_unknown", 1)

		closed(t, ln.dial()) // all four are panels that have just spoken
		count(t, reg, "nabat_dc09_full_total", "connections", 1)
		for _, c := range []net.Conn{old, panel, c, d} {
			stays(t, c)
		}
		time.Sleep(time.Minute)
		say(t, old, null("0002")) // it is the youngest now
		e := ln.dial()
		say(t, e, null("0001"))
		closed(t, panel)
		count(t, reg, "nabat_dc09_dropped_total", "evicted_known", 1)
		stays(t, old)

		require.Equal(t, 1, logs.FilterMessage("panel connection turned away").Len())
		require.Equal(t, 2, logs.FilterMessage("idle panel connection closed for another").Len(), "at most one in ten seconds")
		for _, c := range []net.Conn{old, c, d, e} {
			c.Close()
		}
		cancel()
		require.NoError(t, <-done)
	})
}

// A frame that is being stored keeps its connection, however full the house is.
func TestABusyConnectionKeepsItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, _, stop := serveTCP(t, &intake{commit: time.Minute}, listen.Options{MaxConns: 1, PerSource: 4})
		defer stop()
		a := ln.dial()
		_, err := a.Write(null("0001"))
		require.NoError(t, err)
		synctest.Wait()
		closed(t, ln.dial())
		read(t, a, len(ack("0001")))
		a.Close()
		synctest.Wait()
		b := ln.dial()
		defer b.Close()
		say(t, b, null("0001"))
	})
}

// What a sender did not wait between is answered together.
func TestABurstIsAnsweredTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{commit: 5 * time.Millisecond}
		ln, _, stop := serveTCP(t, in, listen.Options{Together: 16})
		defer stop()
		c := ln.dial()
		defer c.Close()
		start := time.Now()
		n := 0
		for range 20 {
			var burst, want []byte
			for range 16 {
				n++
				burst, want = append(burst, null(fmt.Sprintf("%04d", n))...), append(want, ack(fmt.Sprintf("%04d", n))...)
			}
			go c.Write(burst)
			require.Equal(t, string(want), string(read(t, c, len(want))))
		}
		require.Less(t, time.Since(start), 30*5*time.Millisecond, "a commit a burst, but for the first ones: %v", in.batches)
		for _, n := range in.batches {
			require.LessOrEqual(t, n, 16)
		}
	})
}
