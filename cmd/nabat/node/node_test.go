package node_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/node"
	"nabat/dispatch/postgres/pgserver"
)

func TestMain(m *testing.M) {
	// pgxpool's health check may outlive Close for a moment.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"))
}

func anyPort(t *testing.T) config.Address {
	t.Helper()
	var a config.Address
	require.NoError(t, a.UnmarshalText([]byte(":0")))
	return a
}

// settings are those of a node on ports of the kernel's choice, in a directory
// of its own.
func settings(t *testing.T) config.Config {
	t.Helper()
	// t.TempDir is closed to others and long: a short directory of our own.
	data, err := os.MkdirTemp("", "nabat") //nolint:usetesting // t.TempDir is too long for a socket and closed to PostgreSQL's user
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pgserver.Discard(context.WithoutCancel(t.Context()), data)) })
	a := anyPort(t)
	return config.Config{
		Base: config.Base{Data: data}, Listen: netip.MustParseAddr("127.0.0.1"),
		SIP: config.SIP{UDP: a, TCP: a}, Alarms: config.Alarms{UDP: a, TCP: a}, Console: config.Console{Address: a}, Ops: config.Ops{Address: a},
		Drain: config.Drain{Intake: 10 * time.Second, Relay: 10 * time.Second, Console: 5 * time.Second, Database: 30 * time.Second},
	}
}

// running is a node of its own, ready.
func running(t *testing.T, c config.Config) (node.Info, func()) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan node.Info, 1), make(chan error, 1)
	go func() {
		ended <- node.Run(ctx, c, zaptest.NewLogger(t), node.Hooks{Ready: func(i node.Info) { ready <- i }})
	}()
	select {
	case i := <-ready:
		return i, func() { stop(); require.NoError(t, <-ended) }
	case err := <-ended:
		stop()
		require.NoError(t, err)
		return node.Info{}, nil
	}
}

// tell sends one alarm and says what came back within a second.
func tell(t *testing.T, address, body string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "\n%04X%04X%s\r", crc16([]byte(body)), len(body), body)
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Second)))
	answer, err := bufio.NewReader(conn).ReadString('\r')
	if err != nil {
		return ""
	}
	return strings.Trim(answer[9:], "\r")
}

// crc16 is CRC-16/ARC.
func crc16(b []byte) (crc uint16) {
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// PostgreSQL is killed under a running engine: signals are not acknowledged
// until it is back, and then they are; nothing has to be done by hand.
func TestADeadDatabaseIsStartedAgain(t *testing.T) {
	i, stop := running(t, settings(t))
	defer stop()
	require.Equal(t, `"ACK"0001L0#1234[]`, tell(t, i.Listen["alarms_tcp"], `"ADM-CID"0001L0#1234[#1234|1110 00 001]`))
	found, err := filepath.Glob(filepath.Join(i.Database, "*", "postmaster.pid"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	text, err := os.ReadFile(found[0])
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(-pid, syscall.SIGKILL))

	n := 1
	require.Eventually(t, func() bool {
		n++
		seq := fmt.Sprintf("%04d", n)
		got := tell(t, i.Listen["alarms_tcp"], `"ADM-CID"`+seq+`L0#1234[#1234|1110 00 002]`)
		return got == `"ACK"`+seq+`L0#1234[]`
	}, time.Minute, 10*time.Millisecond)
}

// Whoever lost the key of the journal's heads can be called and alarmed.
func TestANodeServesWithoutItsAuditKey(t *testing.T) {
	c := settings(t)
	i, stop := running(t, c)
	require.Equal(t, `"ACK"0001L0#1234[]`, tell(t, i.Listen["alarms_tcp"], `"ADM-CID"0001L0#1234[#1234|1110 00 001]`))
	stop() // signs a head
	require.NoError(t, os.Remove(filepath.Join(i.Data, "audit", "key")))
	i, stop = running(t, c)
	defer stop()
	require.Equal(t, `"ACK"0002L0#1234[]`, tell(t, i.Listen["alarms_tcp"], `"ADM-CID"0002L0#1234[#1234|1110 00 002]`))
	require.NoFileExists(t, filepath.Join(i.Data, "audit", "key"), "a new key would hide what the old one signed")
}

func TestOneNodeADirectory(t *testing.T) {
	i, stop := running(t, settings(t))
	defer stop()
	a := anyPort(t)
	err := node.Run(t.Context(), config.Config{Base: config.Base{Data: i.Data}, SIP: config.SIP{UDP: a}}, zaptest.NewLogger(t), node.Hooks{})
	require.ErrorContains(t, err, "in use")
}

// Unsafe settings waive the refusal to start; ready such a node is not.
func TestANodeThatForgetsIsNotReady(t *testing.T) {
	c := settings(t)
	c.Postgres.UnsafeSettings = map[string]string{"synchronous_commit": "off"}
	i, stop := running(t, c)
	defer stop()
	var body string
	require.Eventually(t, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+i.Listen["ops"]+"/readyz", http.NoBody)
		if err != nil {
			return false
		}
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		body = string(text)
		return err == nil && res.StatusCode == http.StatusServiceUnavailable
	}, 30*time.Second, 10*time.Millisecond)
	require.Contains(t, body, "synchronous_commit")
}

// A signal on the way up ends a node in good order, whatever it was doing.
func TestStoppedBeforeItIsReady(t *testing.T) {
	for _, after := range []time.Duration{0, 20 * time.Millisecond, 200 * time.Millisecond, 800 * time.Millisecond} {
		ctx, stop := context.WithCancel(t.Context())
		timer := time.AfterFunc(after, stop)
		err := node.Run(ctx, settings(t), zaptest.NewLogger(t), node.Hooks{})
		timer.Stop()
		stop()
		require.NoError(t, err, after)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	require.NoError(t, node.Run(ctx, settings(t), zaptest.NewLogger(t), node.Hooks{
		Prepare: func(context.Context, node.Info) error { stop(); return nil }, // then the migrations meet it
		Ready:   func(node.Info) { t.Error("ready after it was told to stop") },
	}))
}
