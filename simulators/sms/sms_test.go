package sms

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/simulators/sipwire"
	"nabat/simulators/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// centre answers the n-th datagram (from 1) with a status; 0 is silence.
type centre struct {
	mu     sync.Mutex
	got    []*sipwire.Message
	status func(n int) int
}

func (c *centre) start(t *testing.T) string {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { pc.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 65535)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			m, err := sipwire.Parse(buf[:n])
			if err != nil {
				continue
			}
			c.mu.Lock()
			c.got = append(c.got, m)
			count := len(c.got)
			c.mu.Unlock()
			if s := c.status(count); s != 0 {
				pc.WriteTo(sipwire.Answer(m, s, "x").Bytes(), from)
			}
		}
	}()
	return pc.LocalAddr().String()
}

func (c *centre) taken() []*sipwire.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*sipwire.Message(nil), c.got...)
}

func load(t *testing.T, c *centre, o Options) (tally.Report, []Result) {
	var mu sync.Mutex
	var results []Result
	o.Network, o.Peer = "udp", c.start(t)
	o.Next = func(n int) Text { return Text{From: fmt.Sprintf("+7000%07d", n), Text: "Дым на лестнице"} }
	o.Done = func(r Result) { mu.Lock(); defer mu.Unlock(); results = append(results, r) }
	tl := tally.New("sms")
	l, err := NewLoad(o, tl)
	require.NoError(t, err)
	require.NoError(t, l.Run(t.Context()))
	return tl.Report(), results
}

func TestDelivered(t *testing.T) {
	t.Parallel()
	c := &centre{status: func(int) int { return 200 }}
	r, _ := load(t, c, Options{Count: 25, Rate: 1000})
	require.True(t, r.Whole(), "%+v", r)
	require.EqualValues(t, 25, r.Acknowledged)
	m := c.taken()[0]
	require.Equal(t, "MESSAGE", m.Method)
	require.Equal(t, "Дым на лестнице", string(m.Body))
	require.Equal(t, "text/plain;charset=UTF-8", m.Get("Content-Type"))
	require.Regexp(t, `^<tel:\+7000\d{7}>$`, m.Get("P-Asserted-Identity"))
}

// Silence: repeated by the timers, then again as a new transaction of the same
// message; it is one message all the time.
func TestRepeatedUntilTaken(t *testing.T) {
	t.Parallel()
	c := &centre{status: func(n int) int {
		if n < 6 {
			return 0
		}
		return 200
	}}
	r, results := load(t, c, Options{Count: 1, Tries: 20, Timers: sipwire.Timers{T1: 20 * time.Millisecond, B: 50 * time.Millisecond}})
	require.True(t, r.Whole(), "%+v", r)
	require.Greater(t, results[0].Tries, 1)
	branches := map[string]bool{}
	for _, m := range c.taken() {
		branches[m.Branch()] = true
		for _, h := range []string{"Call-ID", "CSeq", "From"} {
			require.Equal(t, c.taken()[0].Get(h), m.Get(h))
		}
	}
	require.Greater(t, len(branches), 1)
}

func TestAcceptedForLaterIsNotDelivered(t *testing.T) {
	t.Parallel()
	for _, status := range []int{202, 403, 503} {
		c := &centre{status: func(int) int { return status }}
		r, results := load(t, c, Options{Count: 1, Tries: 2})
		require.EqualValues(t, 1, r.Refused)
		require.Equal(t, status, results[0].Status)
	}
}

func TestLostAndStopped(t *testing.T) {
	t.Parallel()
	c := &centre{status: func(int) int { return 0 }}
	r, _ := load(t, c, Options{Count: 2, Tries: 2, Timers: sipwire.Timers{T1: 5 * time.Millisecond, B: 20 * time.Millisecond}})
	require.EqualValues(t, 2, r.Lost)
	require.False(t, r.Whole())

	ctx, cancel := context.WithCancel(t.Context())
	stopped := &centre{status: func(int) int { cancel(); return 0 }}
	tl := tally.New("sms")
	l, err := NewLoad(Options{
		Network: "udp", Peer: stopped.start(t), Count: 5,
		Next: func(int) Text { return Text{From: "+7", Text: "x"} },
	}, tl)
	require.NoError(t, err)
	require.NoError(t, l.Run(ctx))
	require.Zero(t, tl.Report().Lost)
	_, err = NewLoad(Options{Count: 1}, tl)
	require.Error(t, err)
	_, err = NewLoad(Options{Next: func(int) Text { return Text{} }}, tl)
	require.Error(t, err)
}
