package alarms

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Seldom is a log that lets five lines of a kind through in ten seconds. It is for
// what senders do wrong: a scanner, or a panel that repeats one bad frame for
// ever, must not fill the disk. The counters have every one.
func Seldom(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, 10*time.Second, 5, 0)
	}))
}
