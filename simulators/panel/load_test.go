package panel

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/alarms/dc09"
	"nabat/simulators/tally"
)

// receiver is a bare DC-09 responder. answer decides what the n-th frame (from
// 1) hears; the zero Reply is an ACK.
type receiver struct {
	mu     sync.Mutex
	frames []string
	answer func(n int, token string) (reply dc09.Reply, hangUp bool)
}

func (r *receiver) take(raw []byte) (out []byte, rest []byte, hangUp bool) {
	f, n, err := dc09.Next(raw, false)
	if err != nil {
		return nil, raw[n:], false
	}
	m, err := dc09.Parse(f)
	if err != nil {
		return nil, raw[n:], false
	}
	r.mu.Lock()
	r.frames = append(r.frames, string(f.Raw))
	count := len(r.frames)
	r.mu.Unlock()
	reply := dc09.ACK
	if r.answer != nil {
		reply, hangUp = r.answer(count, m.Token)
	}
	return dc09.AppendReply(nil, reply, &m, time.Now()), raw[n:], hangUp
}

func (r *receiver) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.frames...)
}

func (r *receiver) tcp(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				defer conn.Close()
				buf, got := make([]byte, 4096), []byte(nil)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					got = append(got, buf[:n]...)
					for len(got) > 0 {
						before := len(got)
						out, rest, hangUp := r.take(got)
						got = rest
						if hangUp {
							return
						}
						conn.Write(out)
						if len(got) == before {
							break
						}
					}
				}
			})
		}
	})
	return ln.Addr().String()
}

func (r *receiver) udp(t *testing.T) string {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { pc.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if out, _, _ := r.take(buf[:n]); len(out) > 0 {
				pc.WriteTo(out, from)
			}
		}
	}()
	return pc.LocalAddr().String()
}

func devices(n int) []Device {
	out := make([]Device, n)
	for i := range out {
		out[i] = Device{Account: []string{"1001", "AB12CD", "2002", "30FF"}[i%4] + []string{"", "0", "1", "2"}[i/4%4], Protocol: ContactID}
	}
	return out
}

func run(t *testing.T, o Options) (tally.Report, []Outcome) {
	t.Helper()
	var mu sync.Mutex
	var outcomes []Outcome
	o.Done = func(out Outcome) {
		mu.Lock()
		defer mu.Unlock()
		outcomes = append(outcomes, out)
	}
	tl := tally.New("panels")
	l, err := NewLoad(o, tl)
	require.NoError(t, err)
	require.NoError(t, l.Run(t.Context()))
	return tl.Report(), outcomes
}

func mixed(t *testing.T) Mix {
	m, err := NamedMix("all")
	require.NoError(t, err)
	return m
}

func TestLoadOverTCPAndUDP(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"persistent": {Network: "tcp"},
		"one shot":   {Network: "tcp", OneShot: true},
		"udp":        {Network: "udp", Sockets: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &receiver{}
			o.Addr = r.tcp(t)
			if o.Network == "udp" {
				o.Addr = r.udp(t)
			}
			o.Devices, o.Mix, o.Each = devices(16), mixed(t), 20
			report, outcomes := run(t, o)
			require.True(t, report.Whole(), "%+v", report)
			require.EqualValues(t, 16*20, report.Acknowledged)
			require.Len(t, outcomes, 16*20)
			require.GreaterOrEqual(t, len(r.heard()), 16*20)
		})
	}
}

// A frame without an answer comes again octet by octet, and is acknowledged once.
func TestSilenceIsAnsweredByRepeating(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		r := &receiver{answer: func(n int, _ string) (dc09.Reply, bool) {
			if n < 3 {
				return dc09.Silence, false
			}
			return dc09.ACK, false
		}}
		o := Options{
			Network: network, Devices: devices(1), Mix: mixed(t), Each: 1,
			Patience: Patience{Wait: 30 * time.Millisecond, Tries: 50},
		}
		o.Addr = r.tcp(t)
		if network == "udp" {
			o.Addr = r.udp(t)
		}
		report, outcomes := run(t, o)
		require.EqualValues(t, 1, report.Acknowledged)
		require.GreaterOrEqual(t, report.Retried, int64(2))
		require.GreaterOrEqual(t, outcomes[0].Tries, 3)
		for _, f := range r.heard() {
			require.Equal(t, outcomes[0].Frame, f)
		}
	}
}

func TestNobodyAnswersMeansLost(t *testing.T) {
	t.Parallel()
	r := &receiver{answer: func(int, string) (dc09.Reply, bool) { return dc09.Silence, false }}
	report, outcomes := run(t, Options{
		Network: "tcp", Addr: r.tcp(t), Devices: devices(2), Mix: mixed(t), Each: 1,
		Patience: Patience{Wait: 10 * time.Millisecond, Tries: 3},
	})
	require.EqualValues(t, 2, report.Lost)
	require.EqualValues(t, 4, report.Retried)
	require.False(t, report.Whole())
	require.Contains(t, outcomes[0].Err, ErrSilent.Error())
	// The last try may end before the receiver's side has read it.
	require.LessOrEqual(t, len(r.heard()), 6)
}

// The receiver's process dies after it read the frame: the panel dials again.
func TestBrokenConnectionIsDialledAgain(t *testing.T) {
	t.Parallel()
	r := &receiver{answer: func(n int, _ string) (dc09.Reply, bool) { return dc09.ACK, n%2 == 1 }}
	report, _ := run(t, Options{
		Network: "tcp", Addr: r.tcp(t), Devices: devices(1), Mix: mixed(t), Each: 5,
		Patience: Patience{Wait: 20 * time.Millisecond, Tries: 50},
	})
	require.True(t, report.Whole(), "%+v", report)
	require.Positive(t, report.Retried)
}

func TestRefusalsAreNotLosses(t *testing.T) {
	t.Parallel()
	r := &receiver{answer: func(n int, _ string) (dc09.Reply, bool) {
		if n == 1 {
			return dc09.DUH, false
		}
		return dc09.NAK, false
	}}
	report, _ := run(t, Options{Network: "tcp", Addr: r.tcp(t), Devices: devices(1), Mix: mixed(t), Each: 2})
	require.EqualValues(t, 2, report.Refused)
	require.Zero(t, report.Lost)
	require.False(t, report.Whole())
	require.Contains(t, report.Failure, "DUH")
}

func TestBoundsHold(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	addr := r.tcp(t)
	report, _ := run(t, Options{Network: "tcp", Addr: addr, Devices: devices(7), Mix: mixed(t), Count: 100})
	require.EqualValues(t, 100, report.Acknowledged)
	report, _ = run(t, Options{Network: "tcp", Addr: addr, Devices: devices(7), Mix: mixed(t), Count: 40, Rate: 2000})
	require.EqualValues(t, 40, report.Acknowledged)
	report, _ = run(t, Options{Network: "tcp", Addr: addr, Devices: devices(2), Mix: mixed(t), Duration: 50 * time.Millisecond})
	require.True(t, report.Whole(), "what has begun is ended: %+v", report)
	for _, o := range []Options{
		{Network: "sctp", Devices: devices(1), Mix: mixed(t), Count: 1},
		{Network: "tcp", Mix: mixed(t), Count: 1},
		{Network: "tcp", Devices: devices(1), Mix: mixed(t)},
		{Network: "tcp", Devices: devices(1), Count: 1},
	} {
		_, err := NewLoad(o, tally.New(""))
		require.Error(t, err)
	}
}

// Ctrl-C in the middle: everything is gone at once, and what was in flight is
// neither acknowledged nor lost.
func TestStopsAtOnce(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		ctx, cancel := context.WithCancel(t.Context())
		r := &receiver{}
		r.answer = func(n int, _ string) (dc09.Reply, bool) {
			if n == 5 {
				cancel()
			}
			return dc09.Silence, false
		}
		addr := r.tcp(t)
		if network == "udp" {
			addr = r.udp(t)
		}
		tl := tally.New("")
		l, err := NewLoad(Options{
			Network: network, Addr: addr, Devices: devices(8), Mix: mixed(t), Each: 1, Patience: Patience{Wait: time.Hour},
		}, tl)
		require.NoError(t, err)
		require.NoError(t, l.Run(ctx))
		report := tl.Report()
		require.Zero(t, report.Sent)
		require.Zero(t, report.Lost)
		require.Positive(t, report.Notes["withdrawn"])
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:12000": true, "[::1]:1": true, "localhost:1": true, "127.9.9.9": true,
		"10.0.0.1:12000": false, "example.org:1": false, "": false,
	} {
		require.Equal(t, want, Loopback(addr), addr)
	}
}
