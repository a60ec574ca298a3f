package listen_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"nabat/alarms/listen"
)

// serveTCP runs a server on an in-memory listener inside a bubble.
func serveTCP(t *testing.T, in *intake, opts listen.Options) (*memListener, *prometheus.Registry, func()) {
	t.Helper()
	reg := prometheus.NewRegistry()
	ln := newMemListener()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- listen.New(in, zap.NewNop(), listen.NewMetrics(reg), opts).TCP(ctx, ln) }()
	return ln, reg, func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func read(t *testing.T, c net.Conn, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	return b
}

func closed(t *testing.T, c net.Conn) {
	t.Helper()
	n, err := c.Read(make([]byte, 64))
	require.Zero(t, n)
	require.ErrorIs(t, err, io.EOF)
}

func count(t *testing.T, reg *prometheus.Registry, name, value string, want float64) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() == value {
				require.InDelta(t, want, m.GetCounter().GetValue(), 0, "%s{%s}", name, value)
				return
			}
		}
	}
	require.Zero(t, want, "%s{%s} is not there", name, value)
}

func TestRepliesComeInOrderOfTheFrames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{commit: 3 * time.Millisecond}
		ln, reg, stop := serveTCP(t, in, listen.Options{})
		defer stop()
		c := ln.dial()
		defer c.Close()
		var sent, want []byte
		for i := range 50 {
			sent = append(sent, null(fmt.Sprintf("%04d", i))...)
			want = append(want, ack(fmt.Sprintf("%04d", i))...)
		}
		go c.Write(sent)
		require.Equal(t, string(want), string(read(t, c, len(want))))
		count(t, reg, "nabat_dc09_replies_total", "ACK", 50)
		n, err := testutil.GatherAndCount(reg, "nabat_dc09_connections")
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

func TestFramesSplitAnywhereAndSlowOctets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{}
		ln, _, stop := serveTCP(t, in, listen.Options{})
		defer stop()
		c := ln.dial()
		defer c.Close()
		go func() {
			for _, b := range append([]byte("noise"), null("0007")...) {
				time.Sleep(100 * time.Millisecond)
				c.Write([]byte{b})
			}
		}()
		require.Equal(t, ack("0007"), read(t, c, len(ack("0007"))))
	})
}

// A panel that prints its length in decimal is understood after a short pause,
// and keeps its connection.
func TestWrongLengthIsReadAfterAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{}
		ln, reg, stop := serveTCP(t, in, listen.Options{})
		defer stop()
		c := ln.dial()
		defer c.Close()
		start := time.Now()
		_, err := c.Write([]byte("\nAA1A0047\"ADM-CID\"0227R4F39L4F39#4F39[#4F39|3401 01 057]\r"))
		require.NoError(t, err)
		want := "\nA809001A\"ACK\"0227R4F39L4F39#4F39[]\r"
		require.Equal(t, want, string(read(t, c, len(want))))
		require.Equal(t, 400*time.Millisecond, time.Since(start))
		count(t, reg, "nabat_dc09_quirks_total", "decimal_length", 1)
	})
}

func TestHalfAFrameDoesNotBlockForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{}
		ln, reg, stop := serveTCP(t, in, listen.Options{})
		defer stop()
		c := ln.dial()
		defer c.Close()
		_, err := c.Write([]byte("\n980800FF\"SIA-DCS\"0022L0#4521[#4521|Nri1/FA0"))
		require.NoError(t, err)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		count(t, reg, "nabat_dc09_bad_total", "length", 1)
		_, err = c.Write(null("0001"))
		require.NoError(t, err)
		require.Equal(t, ack("0001"), read(t, c, len(ack("0001"))))
	})
}

func TestWhatAPanelLeftBeforeItClosedIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{}
		ln, _, stop := serveTCP(t, in, listen.Options{})
		defer stop()
		c := ln.dial()
		_, err := c.Write([]byte("\nAA1A0047\"ADM-CID\"0227R4F39L4F39#4F39[#4F39|3401 01 057]\r"))
		require.NoError(t, err)
		c.Close()
		synctest.Wait()
		require.Equal(t, []string{"0227"}, in.heard())
	})
}

func TestOtherProtocolsAreDroppedUnanswered(t *testing.T) {
	t.Parallel()
	tls, err := hex.DecodeString("16030100c8010000c40303")
	require.NoError(t, err)
	for name, octets := range map[string][]byte{"http": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "tls": tls} {
		synctest.Test(t, func(t *testing.T) {
			in := &intake{}
			ln, reg, stop := serveTCP(t, in, listen.Options{})
			defer stop()
			c := ln.dial()
			defer c.Close()
			_, err := c.Write(octets)
			require.NoError(t, err)
			closed(t, c)
			count(t, reg, "nabat_dc09_foreign_total", name, 1)
			require.Empty(t, in.heard())
		})
	}
}

func TestJunkIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{}
		ln, _, stop := serveTCP(t, in, listen.Options{})
		defer stop()
		c := ln.dial()
		defer c.Close()
		junk := bytes.Repeat([]byte("x"), 1000)
		for range 4 {
			_, err := c.Write(junk)
			require.NoError(t, err)
		}
		go c.Write(null("0001")) // a frame: the count starts anew
		read(t, c, len(ack("0001")))
		var sent int
		var err error
		for err = nil; err == nil; sent++ {
			_, err = c.Write(junk)
		}
		require.Less(t, sent, 7)
	})
}

func TestFaultIsSilenceAndTheConnectionStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{silent: true}
		ln, reg, stop := serveTCP(t, in, listen.Options{})
		defer stop()
		c := ln.dial()
		defer c.Close()
		_, err := c.Write(append(null("0001"), null("0002")...))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, []string{"0001", "0002"}, in.heard())
		count(t, reg, "nabat_dc09_replies_total", "silence", 2)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = c.Read(make([]byte, 1))
		require.ErrorContains(t, err, "timeout")
	})
}

func TestIdleConnectionsLiveForADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, _, stop := serveTCP(t, &intake{}, listen.Options{})
		defer stop()
		c := ln.dial()
		defer c.Close()
		for range 2 {
			_, err := c.Write(null("0001"))
			require.NoError(t, err)
			read(t, c, len(ack("0001")))
			time.Sleep(24 * time.Hour)
		}
		time.Sleep(2 * time.Hour)
		closed(t, c)
	})
}

// A frame that is being stored when the process is told to stop still gets its
// answer; nothing is taken after it.
func TestStopAnswersWhatWasBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{commit: time.Second}
		ln, _, stop := serveTCP(t, in, listen.Options{})
		idle, busy := ln.dial(), ln.dial()
		defer idle.Close()
		defer busy.Close()
		_, err := busy.Write(null("0001"))
		require.NoError(t, err)
		synctest.Wait()
		answer := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(busy)
			answer <- string(b)
		}()
		stop()
		require.Equal(t, string(ack("0001")), <-answer)
		closed(t, idle)
	})
}

func TestALongFrameGrowsTheBuffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{}
		ln, _, stop := serveTCP(t, in, listen.Options{})
		defer stop()
		c := ln.dial()
		defer c.Close()
		long := frame(`"SIA-DCS"0001L0#1234[#1234|NFA1^` + strings.Repeat("x", 4000) + `^]`)
		_, err := c.Write(append(long, null("0002")...))
		require.NoError(t, err)
		read(t, c, len(ack("0001"))+len(ack("0002")))
		require.Equal(t, []string{"0001", "0002"}, in.heard())
	})
}

func TestAPanicCostsOnlyTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, reg, stop := serveTCP(t, &intake{}, listen.Options{})
		defer stop()
		c := ln.dial()
		defer c.Close()
		_, err := c.Write(null("6666"))
		require.NoError(t, err)
		synctest.Wait()
		go c.Write(null("0001"))
		require.Equal(t, ack("0001"), read(t, c, len(ack("0001"))))
		count(t, reg, "nabat_dc09_panics_total", "", 1)
	})
}
