package duty

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// dials remembers why a broker could not be reached: the client itself tries
// again and keeps the reason to itself.
type dials struct {
	mu   sync.Mutex
	last error
}

// OnBrokerConnect is kgo.HookBrokerConnect's.
func (d *dials) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = err
}

// explain adds the reason to err, if there is one.
func (d *dials) explain(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, d.last)
}
