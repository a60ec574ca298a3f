package gateway

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"nabat/dispatch"
	"nabat/sip"
	"nabat/sip/media"
)

// These stories are told by another maker's telephone: sipp over real sockets.

func needSipp(t *testing.T) string {
	path, err := exec.LookPath("sipp")
	if err != nil {
		if os.Getenv("NABAT_REQUIRE_PEERS") != "" {
			require.NoError(t, err)
		}
		t.Skip("SKIPPED, AND NOTHING ELSE CHECKS THIS AGAINST A FOREIGN SIP STACK: sipp is missing (Debian package sip-tester)")
	}
	return path
}

// realGateway runs over the kernel's sockets.
type realGateway struct {
	*Gateway
	udp, tcp string
	stop     func()
	metrics  *prometheus.Registry
	logs     *observer.ObservedLogs
}

// gathered is the value of a counter without labels.
func gathered(t *testing.T, reg *prometheus.Registry, name string) float64 {
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	require.FailNow(t, "no such metric", name)
	return 0
}

func startReal(t *testing.T, house sip.Intake, change ...func(*Config)) *realGateway {
	metrics := prometheus.NewRegistry()
	pool, err := media.New(media.Config{Bind: netip.MustParseAddr("127.0.0.1"), Metrics: metrics})
	require.NoError(t, err)
	core, logs := observer.New(zap.DebugLevel)
	log := zaptest.NewLogger(t, zaptest.WrapOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return zapcore.NewTee(c, core) })))
	cfg := Config{Intake: house, Media: pool, Run: dispatch.NewRunID(), Log: log, Metrics: metrics}
	for _, f := range change {
		f(&cfg)
	}
	gw, err := New(cfg)
	require.NoError(t, err)
	var lc net.ListenConfig
	udp, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	tcp, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- gw.Run(ctx, udp, tcp) }()
	var once sync.Once
	r := &realGateway{Gateway: gw, metrics: metrics, logs: logs, udp: udp.LocalAddr().String(), tcp: tcp.Addr().String()}
	r.stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(t, <-done)
		})
	}
	t.Cleanup(r.stop)
	return r
}

// freePort asks the kernel for a port that sipp shall take: sipp has no «any».
func freePort(t *testing.T) int {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// neverCalled: sipp gave up before its first message.
var neverCalled = regexp.MustCompile(`Total Calls created\s+\|\s+\|\s+0\s`)

// sipp plays a scenario once and must succeed.
func sipp(t *testing.T, target, scenario string, more ...string) {
	path := needSipp(t)
	file, err := filepath.Abs(filepath.Join("testdata", scenario+".xml"))
	require.NoError(t, err)
	var out []byte
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		args := append([]string{
			target, "-sf", file, "-m", "1", "-i", "127.0.0.1", "-p", strconv.Itoa(freePort(t)),
			"-mi", "127.0.0.1", "-mp", strconv.Itoa(freePort(t)), "-timeout", "50s", "-timeout_error", "-nostdin", "-trace_err",
		}, more...)
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Dir = t.TempDir()
		out, err = cmd.CombinedOutput()
		cancel()
		if err == nil {
			return
		}
		// Somebody took a port between the question and sipp: nothing was sent yet.
		if !bytes.Contains(out, []byte("Unable to bind")) && !neverCalled.Match(out) {
			break
		}
	}
	require.NoError(t, err, "%s: %s", scenario, out)
}

// settled waits until every call has gone and its end is stored.
func settled(t *testing.T, r *realGateway) {
	require.Eventually(t, func() bool { return r.Live() == 0 }, 10*time.Second, 5*time.Millisecond)
}

func TestSippStories(t *testing.T) {
	needSipp(t)
	t.Parallel()
	for _, transport := range []string{"u1", "t1"} {
		for _, c := range []struct {
			scenario string
			reason   dispatch.EndReason // empty: no contact at all
			tcp      bool               // makes sense on TCP too
		}{
			{"call", dispatch.EndCallerHungUp, true},
			{"repeated", dispatch.EndCallerHungUp, false},
			{"lostack", dispatch.EndCallerHungUp, false},
			{"unknown", "", true},
			{"options", "", true},
			{"message", dispatch.EndDelivered, true},
		} {
			if transport == "t1" && !c.tcp {
				continue
			}
			t.Run(c.scenario+" "+transport, func(t *testing.T) {
				t.Parallel()
				house := &fakeHouse{}
				gw := startReal(t, house)
				target := gw.udp
				if transport == "t1" {
					target = gw.tcp
				}
				sipp(t, target, c.scenario, "-t", transport)
				settled(t, gw)
				if c.reason == "" {
					require.Empty(t, house.all())
					return
				}
				ct := house.only(t)
				require.Equal(t, c.reason, ct.EndReason)
				switch c.scenario {
				case "lostack":
					require.GreaterOrEqual(t, gathered(t, gw.metrics, "nabat_sip_answers_repeated_total"), 2.0)
				case "message":
					require.Equal(t, dispatch.ContactSMS, ct.Kind)
					require.Equal(t, "Пожар, Садовая 5", ct.Text)
				default:
					require.Equal(t, "+78120000002", ct.Caller)
					require.False(t, ct.AnsweredAt.IsZero())
				}
			})
		}
	}
}

// Within a call: our question in another maker's ears, hold, resume, a refresh,
// and what we do not do.
func TestSippWithinACall(t *testing.T) {
	needSipp(t)
	t.Parallel()
	for _, transport := range []string{"u1", "t1"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			house := &fakeHouse{}
			gw := startReal(t, house, func(c *Config) { c.Silence = 3 * time.Second })
			target := gw.udp
			if transport == "t1" {
				target = gw.tcp
			}
			sipp(t, target, "within", "-t", transport)
			settled(t, gw)
			require.Equal(t, dispatch.EndCallerHungUp, house.only(t).EndReason)
			require.InDelta(t, 1, gathered(t, gw.metrics, "nabat_sip_probes_total"), 0)
		})
	}
}

func TestSippHearsThePrompt(t *testing.T) {
	needSipp(t)
	t.Parallel()
	house := &fakeHouse{}
	gw := startReal(t, house)
	// sipp sends back every RTP packet that reaches it: what we receive, it heard.
	sipp(t, gw.udp, "call", "-rtp_echo")
	settled(t, gw)
	require.Greater(t, gathered(t, gw.metrics, "nabat_rtp_packets_received_total"), 25.0, "of fifty in the second that the call lasts")
}

func TestSippCancels(t *testing.T) {
	needSipp(t)
	t.Parallel()
	for _, transport := range []string{"u1", "t1"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			cancelled := make(chan struct{})
			house := &fakeHouse{hook: func(ctx context.Context) {
				select { // the commit takes until the caller has given up
				case <-cancelled:
				case <-ctx.Done():
				}
			}}
			gw := startReal(t, house)
			target := gw.udp
			if transport == "t1" {
				target = gw.tcp
			}
			sipp(t, target, "cancel", "-t", transport)
			close(cancelled)
			settled(t, gw)
			require.Equal(t, dispatch.EndCancelled, house.only(t).EndReason)
		})
	}
}

func TestSippSendsTheInviteAgainAfterOurRestart(t *testing.T) {
	needSipp(t)
	t.Parallel()
	house := &fakeHouse{}
	var runs []dispatch.RunID
	for range 2 {
		gw := startReal(t, house)
		runs = append(runs, gw.cfg.Run)
		// The scenario's Call-ID is fixed, and its From tag too.
		sipp(t, gw.udp, "repeated", "-cid_str", "again@caller")
		settled(t, gw)
		gw.stop()
		if len(runs) == 1 { // as if that run had died in the call
			house.mu.Lock()
			house.contacts[0].EndReason, house.contacts[0].CallbackDue = dispatch.EndLineLost, true
			house.mu.Unlock()
		}
	}
	c := house.only(t)
	require.Equal(t, runs[1], c.Run)
	require.Equal(t, dispatch.EndCallerHungUp, c.EndReason)
}

func TestOperatorHangsUpOnSipp(t *testing.T) {
	needSipp(t)
	t.Parallel()
	for _, transport := range []string{"u1", "t1"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			house := &fakeHouse{}
			gw := startReal(t, house)
			target := gw.udp
			if transport == "t1" {
				target = gw.tcp
			}
			ended := make(chan error, 1)
			go func() {
				for t.Context().Err() == nil {
					all := house.all()
					if len(all) == 1 && all[0].State == dispatch.ContactAnswered {
						ended <- gw.HangUp(t.Context(), all[0].ID, "operator:ivanova", "test")
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
			sipp(t, target, "hangup", "-t", transport)
			require.NoError(t, <-ended)
			settled(t, gw)
			require.Equal(t, dispatch.EndOperator, house.only(t).EndReason)
		})
	}
}
