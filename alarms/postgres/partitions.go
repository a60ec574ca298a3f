package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
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

// make creates one month. The table is made apart and attached, which lets
// writers of other months go on; CREATE … PARTITION OF would stop them.
func (p *Partitions) make(ctx context.Context, from time.Time) error {
	name := from.Format("notifications_2006_01")
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		// One node at a time; the number is only this lock's name.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(7236838)`); err != nil {
			return err
		}
		var there bool
		err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = 'notifications'::regclass
			AND inhrelid = to_regclass($1))`, name).Scan(&there)
		if err != nil || there {
			return err
		}
		table := pgx.Identifier{name}.Sanitize()
		for _, sql := range []string{
			`SET LOCAL lock_timeout = '3s'`,
			`CREATE TABLE ` + table + ` (LIKE notifications INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`,
			// What came before the month was made lies in the default partition, which
			// would refuse the month.
			`WITH moved AS (DELETE FROM notifications_default WHERE received_at >= '` + stamp(from) + `' AND received_at < '` +
				stamp(from.AddDate(0, 1, 0)) + `' RETURNING *) INSERT INTO ` + table + ` SELECT * FROM moved`,
			`ALTER TABLE notifications ATTACH PARTITION ` + table +
				` FOR VALUES FROM ('` + stamp(from) + `') TO ('` + stamp(from.AddDate(0, 1, 0)) + `')`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return nil
}

func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05+00") }
