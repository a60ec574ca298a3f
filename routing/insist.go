package routing

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// nuisance is something that may fail for a while and is tried on for ever. It
// counts each failure and tells people once, until it is over.
type nuisance struct {
	what  string
	log   *zap.Logger
	count prometheus.Counter
	told  atomic.Bool
}

func (n *nuisance) failed(err error) {
	n.count.Inc()
	if !n.told.Swap(true) {
		n.log.Warn("cannot "+n.what+", trying on", zap.Error(err))
	}
}

func (n *nuisance) over() {
	if n.told.Swap(false) {
		n.log.Info("can " + n.what + " again")
	}
}

// insist repeats f with growing pauses until it succeeds or ctx ends; the error
// is that of ctx.
func insist(ctx context.Context, n *nuisance, f func() error) error {
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		err := f()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			n.over()
			return nil
		}
		n.failed(err)
		if !pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
