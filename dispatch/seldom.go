package dispatch

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Seldom is a log that lets one line of a text through in ten seconds. It is for
// what comes from outside and is refused: a scanner, a flood, or a panel that
// repeats one bad frame for ever must not fill the disk. Metrics have every one.
func Seldom(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, 10*time.Second, 1, 0)
	}))
}
