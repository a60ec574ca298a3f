package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	headerLimit   = 10 * time.Second
	requestLimit  = 30 * time.Second
	idleLimit     = 2 * time.Minute
	shutdownLimit = 5 * time.Second
	maxHeader     = 32 * 1024
	// maxStreams bounds the requests of one HTTP/2 connection at a time.
	maxStreams = 32
)

// ErrPlain: plain HTTP is for loopback only.
var ErrPlain = errors.New("an address that others can reach must be served with TLS")

// NeedsTLS tells whether others than this machine can reach the address.
func NeedsTLS(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && !tcp.IP.IsLoopback()
}

// Serve answers on ln until ctx ends: HTTPS if cfg is there, else plain HTTP,
// which is refused (ErrPlain) on an address that is not loopback. It then lets
// requests finish for a moment and closes. Websockets are ended by package ws. How
// many may connect is the listener's matter: see Door.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, cfg *tls.Config, log *zap.Logger) error {
	defer ln.Close()
	if cfg == nil && NeedsTLS(ln.Addr()) {
		return fmt.Errorf("serve %s: %w", ln.Addr(), ErrPlain)
	}
	errorLog, err := zap.NewStdLogAt(log.Named("http"), zapcore.DebugLevel)
	if err != nil {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerLimit, ReadTimeout: requestLimit, WriteTimeout: requestLimit,
		IdleTimeout: idleLimit, MaxHeaderBytes: maxHeader, ErrorLog: errorLog,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
	if cfg != nil {
		cfg = cfg.Clone()
		cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
		srv.TLSConfig = cfg
	}
	done := make(chan error, 1)
	go func() {
		if cfg != nil {
			done <- srv.ServeTLS(ln, "", "")
		} else {
			done <- srv.Serve(ln)
		}
	}()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
	defer cancel()
	if err := srv.Shutdown(limited); err != nil {
		srv.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	return nil
}
