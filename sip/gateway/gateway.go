package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"nabat/dispatch"
	"nabat/sip"
	"nabat/sip/media"
)

// sipgo refuses to send more than UDPMTUSize-200 octets over UDP, answers
// included, and a 200 with SDP and a few Record-Route lines is larger than its
// default: such a call would never be answered. The variable is read without a
// lock, so it is set before any goroutine exists. So is the logger for the few
// lines that sipgo writes past the one it is given; they are about its counting
// of references and say nothing that anybody could act on.
func init() {
	gosip.UDPMTUSize = 65507 + 200
	gosip.SetDefaultLogger(slog.New(slog.DiscardHandler))
}

// DefaultConnections bounds the TCP connections where Config does not.
const DefaultConnections = 1000

// Config is what a Gateway needs. Intake, Media and Run are mandatory.
type Config struct {
	Intake sip.Intake
	Media  *media.Pool
	Run    dispatch.RunID

	// Host is what Contact and Via announce; empty: the bound address, or on a
	// socket bound to every address the one that faces the caller. Port is the
	// listener's own when 0. Behind address translation both must be given.
	Host string
	Port int
	// Peers are the networks that may speak to us; empty: everyone. Then one source
	// address that is not this machine's own may hold three quarters of Legs and of
	// Calls at most. A source that is named here is trusted with all of them: a city
	// has one trunk more often than two.
	Peers []netip.Prefix

	Calls       int           // answered at the same time; 2000 when 0
	Legs        int           // known at the same time, ringing and unsettled ones included; 20000 when 0
	Messages    int           // in work at the same time; 256 when 0
	Connections int           // TCP, a quarter of them from one source; DefaultConnections when 0
	Drain       time.Duration // for an orderly end of live calls; 5 s when 0

	// Silence is how long nothing need come from a caller before we ask whether it
	// is still there, and the time between two such questions; 15 s when 0.
	Silence time.Duration
	// Slow is how long a commit may take before the caller's network is told that
	// the call is kept (182); 2 s when 0.
	Slow time.Duration

	Log     *zap.Logger
	Metrics prometheus.Registerer
}

// Gateway is one telephone line. It may run once at a time.
type Gateway struct {
	cfg      Config
	log      *zap.Logger
	met      *metrics
	table    *table
	places   chan struct{} // one token for each answered call
	messages chan struct{} // one token for each MESSAGE in work
	full     atomic.Bool   // an INVITE was refused for want of room, and that was told
	hash     tagHash
}

// New checks the configuration and starts nothing.
func New(cfg Config) (*Gateway, error) {
	switch {
	case cfg.Intake == nil:
		return nil, errors.New("gateway: no intake")
	case cfg.Media == nil:
		return nil, errors.New("gateway: no media pool")
	case cfg.Run.IsZero():
		return nil, errors.New("gateway: no run id")
	case cfg.Calls < 0, cfg.Legs < 0, cfg.Messages < 0, cfg.Connections < 0, cfg.Drain < 0, cfg.Silence < 0, cfg.Slow < 0:
		return nil, errors.New("gateway: a limit is negative")
	}
	cfg.Calls = cmp.Or(cfg.Calls, 2000)
	cfg.Legs = cmp.Or(cfg.Legs, 20000)
	cfg.Messages = cmp.Or(cfg.Messages, 256)
	cfg.Connections = cmp.Or(cfg.Connections, DefaultConnections)
	cfg.Drain = cmp.Or(cfg.Drain, 5*time.Second)
	cfg.Silence = cmp.Or(cfg.Silence, 15*time.Second)
	cfg.Slow = cmp.Or(cfg.Slow, 2*time.Second)
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	g := &Gateway{
		cfg: cfg, log: cfg.Log.Named("sip.gateway"), met: newMetrics(cfg.Metrics),
		table:  newTable(cfg.Legs, cfg.Calls),
		places: make(chan struct{}, cfg.Calls), messages: make(chan struct{}, cfg.Messages),
		hash: newTagHash(),
	}
	return g, nil
}

// HangUp ends a live call from the house: BYE, and the contact ended with
// EndOperator by whoever gave the order. It returns when the call has taken it;
// dispatch.ErrNotFound when this process holds no such call. reason is for the log.
func (g *Gateway) HangUp(ctx context.Context, id dispatch.ContactID, by dispatch.Actor, reason string) error {
	c := g.table.byContact(id)
	if c == nil {
		return fmt.Errorf("hang up contact %s: %w", id, dispatch.ErrNotFound)
	}
	select {
	case c.house <- by:
		c.log.Info("hung up by the house", zap.String("reason", reason))
		return nil
	case <-c.gone:
		return fmt.Errorf("hang up contact %s: %w", id, dispatch.ErrNotFound)
	case <-ctx.Done():
		return fmt.Errorf("hang up contact %s: %w", id, context.Cause(ctx))
	}
}

// Live is how many legs the table holds.
func (g *Gateway) Live() int { return g.table.len() }
