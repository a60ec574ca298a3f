package console_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"nabat/console"
)

func TestServePlainOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for addr, plain := range map[string]bool{"127.0.0.1:0": true, "[::1]:0": true, "0.0.0.0:0": false, ":0": false} {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue // no IPv6 here
		}
		require.Equal(t, !plain, console.NeedsTLS(ln.Addr()), addr)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err = console.Serve(ctx, ln, http.NotFoundHandler(), nil, zaptest.NewLogger(t))
		if plain {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, console.ErrPlain)
		}
	}
}

func TestServeWithOurCertificate(t *testing.T) {
	t.Parallel()
	cert, _, err := console.SelfSigned(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- console.Serve(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hi")) }),
			console.TLSConfig(cert), zaptest.NewLogger(t))
	}()
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	client := &http.Client{Transport: tr}
	res, err := client.Get("https://" + ln.Addr().String())
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, "hi", string(b))
	tr.CloseIdleConnections()
	stop()
	require.NoError(t, <-done)
}
