package console_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nabat/console"
)

const refusedHelp = `# HELP nabat_http_refused_total HTTP connections closed at once for want of a place.
# TYPE nabat_http_refused_total counter
`

// A flood is closed at accept, counted and told of once; places that become free
// are given out again.
func TestDoorIsBounded(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	core, logged := observer.New(zap.WarnLevel)
	metrics := prometheus.NewRegistry()
	door, err := console.NewDoor(ln, "console", 3, metrics, zap.New(core))
	require.NoError(t, err)
	_, err = console.NewDoor(ln, "ops", 3, metrics, zap.New(core))
	require.NoError(t, err, "two doors of one process")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hi")) })
	go func() { done <- console.Serve(ctx, door, h, nil, zap.NewNop()) }()

	// A place that there is not may end the dialling itself, or what comes after.
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return nil
		}
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		return c
	}
	served := func(c net.Conn) bool {
		if c == nil {
			return false
		}
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: nabat\r\n\r\n")); err != nil {
			return false
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	inside := []net.Conn{dial(), dial(), dial()}
	for _, c := range inside {
		require.True(t, served(c))
	}
	for range 20 {
		require.False(t, served(dial()), "every place is taken")
	}
	require.NoError(t, testutil.GatherAndCompare(metrics, strings.NewReader(refusedHelp+
		`nabat_http_refused_total{listener="console",reason="full"} 20
`), "nabat_http_refused_total"))
	require.Equal(t, 1, logged.Len(), "the log is not flooded in its turn")

	for _, c := range inside {
		require.True(t, served(c), "those inside are served as before")
	}
	inside[0].Close()
	require.Eventually(t, func() bool { return served(dial()) }, 20*time.Second, 10*time.Millisecond)
	stop()
	require.NoError(t, <-done)
}

// fromAfar makes connections look as if they came from elsewhere.
type fromAfar struct {
	net.Listener
	peers chan string
}

type farConn struct {
	net.Conn
	from net.Addr
}

func (c farConn) RemoteAddr() net.Addr { return c.from }

func (l fromAfar) Accept() (net.Conn, error) {
	peer, ok := <-l.peers
	if !ok {
		return nil, net.ErrClosed
	}
	ours, theirs := net.Pipe()
	theirs.Close()
	a, err := net.ResolveTCPAddr("tcp", peer)
	if err != nil {
		return nil, err
	}
	return farConn{ours, a}, nil
}

func TestOneAddressNeverTakesEveryPlace(t *testing.T) {
	t.Parallel()
	peers := make(chan string, 20)
	door, err := console.NewDoor(fromAfar{peers: peers}, "console", 8, nil, zap.NewNop())
	require.NoError(t, err)
	for range 7 {
		peers <- "192.0.2.1:1000"
	}
	peers <- "192.0.2.2:1000"
	for range 3 {
		peers <- "127.0.0.1:1000" // a proxy of our own: many people behind it
	}
	close(peers)
	var in []string
	for {
		c, err := door.Accept()
		if err != nil {
			break
		}
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		require.NoError(t, err)
		in = append(in, host)
		t.Cleanup(func() { c.Close() })
	}
	require.Equal(t, append(strings.Fields(strings.Repeat("192.0.2.1 ", 6)), "192.0.2.2", "127.0.0.1"), in)
}
