package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	// monthsAhead are made besides the current one.
	monthsAhead = 2
	// partitionsEvery is how often the months are looked after.
	partitionsEvery = time.Minute
)

// Partitions looks after the months of table notifications.
type Partitions struct {
	pool   *pgxpool.Pool
	clock  func() time.Time
	log    *zap.Logger
	stray  prometheus.Gauge
	failed prometheus.Counter
}

// NewPartitions builds it; clock is the engine's.
func NewPartitions(pool *pgxpool.Pool, clock func() time.Time, log *zap.Logger, reg prometheus.Registerer) *Partitions {
	p := &Partitions{
		pool: pool, clock: clock, log: log.Named("alarms.partitions"),
		stray: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nabat_notifications_default_rows", Help: "Rows in the default partition: a month was not made in time.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nabat_notifications_partitions_failed_total", Help: "Times that making months ahead failed.",
		}),
	}
	if reg != nil {
		reg.MustRegister(p.stray, p.failed)
	}
	return p
}

// Run looks after the months until ctx ends. The first look is the caller's:
// Ensure before any listener opens.
func (p *Partitions) Run(ctx context.Context) error {
	tick := time.NewTicker(partitionsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			// What went wrong is logged and counted; the default partition takes the
			// rows meanwhile.
			_ = p.Ensure(ctx)
		}
	}
}

// Ensure makes the current month and those ahead, and looks into the default
// partition.
func (p *Partitions) Ensure(ctx context.Context) error {
	var errs error
	first := month(p.clock())
	for i := range monthsAhead + 1 {
		errs = errors.Join(errs, p.make(ctx, first.AddDate(0, i, 0)))
	}
	var stray int64
	if err := p.pool.QueryRow(ctx, `SELECT count(*) FROM notifications_default`).Scan(&stray); err != nil {
		errs = errors.Join(errs, fmt.Errorf("look into the default partition: %w", err))
	} else {
		p.stray.Set(float64(stray))
	}
	if stray > 0 {
		p.log.Error("notifications lie in the default partition: months were not made in time", zap.Int64("rows", stray))
	}
	if errs != nil {
		p.failed.Inc()
		p.log.Error("months of notifications not made", zap.Error(errs))
	}
	return errs
}

func month(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// make creates one month. The tables are not ours, so their owner's function
// does it; it lets writers of other months go on.
func (p *Partitions) make(ctx context.Context, from time.Time) error {
	if _, err := p.pool.Exec(ctx, `SELECT make_notifications_month($1)`, from); err != nil {
		return fmt.Errorf("make %s: %w", from.Format("notifications_2006_01"), err)
	}
	return nil
}
