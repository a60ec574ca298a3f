package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"nabat/cmd/nabat/lifecycle"
	"nabat/console"
	"nabat/console/ops"
	"nabat/dispatch/audit"
	"nabat/dispatch/postgres"
)

// openHeadsEvery is how often a key that is not there is looked for again.
const openHeadsEvery = time.Minute

// sealEvery is how often the journal's head is signed while there is news.
const sealEvery = time.Hour

// Stages lists the parts in the order in which they start.
func (e *Engine) Stages() []lifecycle.Stage {
	d := e.o.Drain
	stages := []lifecycle.Stage{
		{Name: "operations", Run: e.serveOps, Limit: d.Console},
		{Name: "writer", Run: e.writer.Run, Limit: d.Database},
		// Stopped after the telephone: a run that is over holds no call.
		{Name: "runs", Run: e.runs.Run, Limit: d.Database},
	}
	if !e.o.NoNotify {
		stages = append(stages, lifecycle.Stage{
			Name: "journal wake", Limit: d.Console,
			Run: func(ctx context.Context) error { return e.wake.Run(ctx, e.pool, e.log) },
		})
	}
	return append(stages,
		lifecycle.Stage{Name: "partitions", Run: e.partitions.Run, Limit: d.Database},
		lifecycle.Stage{Name: "journal heads", Run: e.sealHeads, Limit: d.Database},
		lifecycle.Stage{Name: "rules", Run: e.followRules, Limit: d.Relay},
		lifecycle.Stage{Name: "registry", Run: e.followRegistry, Limit: d.Relay},
		lifecycle.Stage{Name: "relay", Run: e.runRelay, Limit: d.Relay},
		lifecycle.Stage{Name: "consoles", Run: e.serveConsoles, Limit: d.Console},
		lifecycle.Stage{Name: "alarms", Run: e.serveAlarms, Limit: d.Intake},
		lifecycle.Stage{Name: "telephone", Run: e.serveLine, Limit: d.Intake},
	)
}

// Metrics is everything that the parts count.
func (e *Engine) Metrics() *prometheus.Registry { return e.metrics }

func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

func (e *Engine) serveOps(ctx context.Context) error {
	if e.o.Sockets.Ops == nil {
		<-ctx.Done()
		return nil
	}
	checks := []ops.Check{
		{Name: "database", Ready: e.pool.Ping},
		{Name: "broker", Ready: func(ctx context.Context) error {
			_, err := e.cluster.Check(ctx, e.services())
			return err
		}},
	}
	if e.o.Durable != nil {
		checks = append(checks, ops.Check{Name: "durability", Ready: e.o.Durable})
	}
	h := ops.Handler(ops.Options{Checks: checks, Gatherer: e.metrics})
	var secure *tls.Config
	if console.NeedsTLS(e.o.Sockets.Ops.Addr()) {
		secure = e.o.TLS
	}
	door, err := console.NewDoor(e.o.Sockets.Ops, "ops", opsConnections, e.metrics, e.log)
	if err != nil {
		return err
	}
	return console.Serve(ctx, door, h, secure, e.log)
}

// runRelay waits for the broker and its topics, then publishes while this node
// holds the lease, and takes the services' replies.
func (e *Engine) runRelay(ctx context.Context) error {
	if err := e.ensureTopics(ctx); err != nil {
		return nil //nolint:nilerr // only the end of ctx ends the trying
	}
	lease := postgres.NewLease(e.pool, e.log, "relay", e.run, leaseTerm)
	if e.o.Alone {
		// After a crash incidents must not wait until a dead run's lease is over.
		if err := lease.Inherit(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("the lease of an earlier run must run out first", zap.Error(err))
		}
	}
	return together(ctx,
		func(ctx context.Context) error { return lease.Run(ctx, e.relay.Run) },
		e.replies.Run,
	)
}

// ensureTopics tries until the broker has them, with a pause that grows.
func (e *Engine) ensureTopics(ctx context.Context) error {
	for pause := time.Second; ; pause = min(2*pause, 15*time.Second) {
		tctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		warnings, err := e.cluster.EnsureTopics(tctx, e.services())
		cancel()
		if err == nil {
			for _, w := range warnings {
				e.log.Warn("broker", zap.Stringer("warning", w))
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e.log.Error("the broker is away, incidents wait in the journal", zap.Error(err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (e *Engine) serveConsoles(ctx context.Context) error {
	parts := []func(context.Context) error{e.console.Run, e.sockets.Run, e.hangUpClosed}
	if ln := e.o.Sockets.Console; ln != nil {
		parts = append(parts, func(ctx context.Context) error {
			door, err := console.NewDoor(ln, "console", e.o.Connections, e.metrics, e.log)
			if err != nil {
				return err
			}
			return console.Serve(ctx, door, e.console.Handler(e.sockets), e.o.TLS, e.log)
		})
	}
	return together(ctx, parts...)
}

// serveAlarms listens, and lets the receiver flush «last seen» only after the
// last frame was answered.
func (e *Engine) serveAlarms(ctx context.Context) error {
	after, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	flushed := make(chan error, 1)
	go func() { flushed <- e.receiver.Run(after) }()
	var parts []func(context.Context) error
	if ln := e.o.Sockets.AlarmsTCP; ln != nil {
		parts = append(parts, func(ctx context.Context) error { return e.listeners.TCP(ctx, ln) })
	}
	if pc := e.o.Sockets.AlarmsUDP; pc != nil {
		parts = append(parts, func(ctx context.Context) error { return e.listeners.UDP(ctx, pc) })
	}
	err := together(ctx, parts...)
	stop()
	return errors.Join(err, <-flushed)
}

func (e *Engine) serveLine(ctx context.Context) error {
	// Callers do not wait for a database that is away just now: the next heartbeat
	// looks again.
	if err := e.runs.Sweep(ctx); err != nil && ctx.Err() == nil {
		e.log.Warn("cannot find the lines that an earlier run lost, trying again", zap.Error(err))
	}
	if e.o.Sockets.SIPUDP == nil && e.o.Sockets.SIPTCP == nil {
		<-ctx.Done()
		return nil
	}
	return e.line.Run(ctx, e.o.Sockets.SIPUDP, e.o.Sockets.SIPTCP)
}

// sealHeads signs the journal's heads. Without the key that signed the former ones
// calls and alarms are taken all the same; people are told until it is back.
func (e *Engine) sealHeads(ctx context.Context) error {
	for {
		heads, err := audit.OpenHeads(e.o.AuditDir)
		if err == nil {
			return audit.NewSealer(e.store, e.store, heads, e.log, sealEvery).Run(ctx)
		}
		e.log.Error("THE JOURNAL'S HEADS CANNOT BE SIGNED, trying again", zap.Error(err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(openHeadsEvery):
		}
	}
}

// together runs parts side by side until ctx ends or one of them ends, and
// returns when all are gone.
func together(ctx context.Context, parts ...func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if len(parts) == 0 {
		<-ctx.Done()
		return nil
	}
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() {
			defer stop()
			errs[i] = p(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
