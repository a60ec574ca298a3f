package gateway

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"nabat/dispatch"
)

// libraryLog takes what sipgo logs. Its errors are mostly unreadable messages of
// others, with the whole datagram attached: they are counted and go to debug, the
// datagram goes nowhere. One of a kind in ten seconds is told aloud.
type libraryLog struct {
	log    *zap.Logger
	aloud  *zap.Logger
	errors prometheus.Counter
}

func newLibraryLog(log *zap.Logger, errors prometheus.Counter) *slog.Logger {
	return slog.New(libraryLog{log.Named("sipgo"), dispatch.Seldom(log.Named("sipgo")), errors})
}

func (h libraryLog) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn
}

func (h libraryLog) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		h.errors.Inc()
	}
	ce := h.log.Check(zap.DebugLevel, r.Message)
	if r.Level >= slog.LevelError && ce == nil {
		ce = h.aloud.Check(zap.WarnLevel, r.Message)
	}
	if ce != nil {
		var fields []zap.Field
		r.Attrs(func(a slog.Attr) bool {
			switch a.Key {
			case "data", "msg", "req", "res":
			default:
				fields = append(fields, zap.Any(a.Key, a.Value.Any()))
			}
			return true
		})
		ce.Write(fields...)
	}
	return nil
}

func (h libraryLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := make([]zap.Field, 0, len(attrs))
	for _, a := range attrs {
		fields = append(fields, zap.Any(a.Key, a.Value.Any()))
	}
	h.log, h.aloud = h.log.With(fields...), h.aloud.With(fields...)
	return h
}

func (h libraryLog) WithGroup(string) slog.Handler { return h }
