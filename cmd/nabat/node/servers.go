package node

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/lifecycle"
	"nabat/dispatch/postgres/pgserver"
	"nabat/routing/kafka/embedded"
)

// database is the city's own server, or one of ours that is kept alive.
type database struct {
	url     string // of the engine's role
	owner   string // of the schema's owner; empty: not known
	durable func(context.Context) error

	opts pgserver.Options
	log  *zap.Logger
	mu   sync.Mutex
	own  *pgserver.Server // nil for the city's own; guarded by mu
}

func startDatabase(ctx context.Context, c config.Config, data string, log *zap.Logger) (*database, error) {
	d := &database{url: c.Postgres.URL, owner: c.Postgres.MigrateURL, log: log.Named("node.database")}
	// Also when unsafe settings are allowed: they waive the refusal to start, and
	// such an engine still must not call itself ready.
	d.durable = func(ctx context.Context) error { return pgserver.CheckDurability(ctx, d.url) }
	if d.url != "" {
		if err := d.durable(ctx); err != nil {
			return nil, err
		}
		return d, nil
	}
	d.opts = pgserver.Options{
		Data: data, Port: int(c.Postgres.Port), Log: log,
		Settings: c.Postgres.UnsafeSettings, WaiveDurability: len(c.Postgres.UnsafeSettings) > 0,
	}
	own, err := pgserver.Start(ctx, d.opts)
	if err != nil {
		return nil, err
	}
	d.own, d.url, d.owner = own, own.URL(), own.OwnerURL()
	// A restart must come up where the clients look for it.
	_, port, err := net.SplitHostPort(own.Addr())
	if err == nil {
		d.opts.Port, err = strconv.Atoi(port)
	}
	return d, err
}

// keep restarts our own server whenever it goes by itself.
func (d *database) keep(ctx context.Context) error {
	for pause := time.Second; ; {
		d.mu.Lock()
		own := d.own
		d.mu.Unlock()
		if own == nil {
			<-ctx.Done()
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-own.Done():
		}
		// Stop of a server that is gone only lets its files go.
		d.log.Error("the embedded PostgreSQL is gone, starting it again", zap.NamedError("ended", own.Stop(ctx)))
		again, err := pgserver.Start(ctx, d.opts)
		if err == nil {
			d.mu.Lock()
			d.own = again
			d.mu.Unlock()
			pause = time.Second
			continue
		}
		d.log.Error("the embedded PostgreSQL does not start", zap.Error(err), zap.Duration("again_in", pause))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, 15*time.Second)
	}
}

func (d *database) stop(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.own == nil {
		return nil
	}
	return d.own.Stop(ctx)
}

func (d *database) stage(limit time.Duration) lifecycle.Stage {
	return lifecycle.Stage{Name: "database", Run: d.keep, Stop: d.stop, Limit: limit}
}

// broker is the city's own cluster, or one of ours.
type broker struct {
	addrs []string
	own   *embedded.Broker
}

func startBroker(c config.Config, data string, log *zap.Logger) (*broker, error) {
	if len(c.Kafka.Brokers) > 0 {
		b := &broker{}
		for _, a := range c.Kafka.Brokers {
			b.addrs = append(b.addrs, string(a))
		}
		return b, nil
	}
	own, err := embedded.Start(embedded.Options{
		Dir: filepath.Join(data, "kafka"), Listen: fmt.Sprintf("127.0.0.1:%d", c.Kafka.Port), Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return &broker{addrs: []string{own.Addr()}, own: own}, nil
}

func (b *broker) stop(context.Context) error {
	if b.own == nil {
		return nil
	}
	return b.own.Close()
}

func (b *broker) stage(limit time.Duration) lifecycle.Stage {
	return lifecycle.Stage{Name: "broker", Stop: b.stop, Limit: limit}
}
