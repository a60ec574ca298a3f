package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
	"nabat/dispatch"
)

// Lease is the right of one node to do what only one may do. The database's
// clock decides who holds it; in the holder's mind it ends earlier than there,
// counted from before the query that took it.
type Lease struct {
	pool   *pgxpool.Pool
	log    *zap.Logger
	name   string
	holder dispatch.RunID
	term   time.Duration
}

// NewLease builds a lease of the given name for this run. term is how long it
// lasts in the database without renewal; it is renewed three times as often.
func NewLease(pool *pgxpool.Pool, log *zap.Logger, name string, holder dispatch.RunID, term time.Duration) *Lease {
	return &Lease{pool: pool, log: log.Named("dispatch.lease"), name: name, holder: holder, term: term}
}

// Run waits for the lease and calls work while it is held, with a context that
// ends when it is lost; again and again until ctx ends. Then it gives the lease
// back, so that another node need not wait.
func (l *Lease) Run(ctx context.Context, work func(ctx context.Context) error) error {
	for ctx.Err() == nil {
		before := time.Now()
		held, err := l.take(ctx)
		if err != nil && ctx.Err() == nil {
			l.log.Warn("cannot ask for the lease", zap.String("lease", l.name), zap.Error(err))
		}
		if held {
			if err := l.hold(ctx, before, work); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(l.term / 3):
		}
	}
	return nil
}

// hold runs work and renews beside it.
func (l *Lease) hold(ctx context.Context, since time.Time, work func(context.Context) error) error {
	l.log.Info("lease taken", zap.String("lease", l.name))
	wctx, stop := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		defer stop()
		l.renew(wctx, since)
	})
	err := work(wctx)
	stop()
	renewing.Wait()
	l.giveBack(ctx)
	if err != nil && ctx.Err() == nil {
		// The work failed by itself: pause, so that a failing node does not spin.
		l.log.Error("work under the lease ended", zap.String("lease", l.name), zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(l.term / 3):
		}
	}
	return nil
}

// renew returns when the lease can no longer be trusted.
func (l *Lease) renew(ctx context.Context, since time.Time) {
	// A margin for our own slowness: we stop before another may start.
	trusted := l.term - l.term/5
	for {
		left := trusted - time.Since(since)
		if left <= 0 {
			l.log.Warn("lease lost", zap.String("lease", l.name))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(left, l.term/3)):
		}
		before := time.Now()
		tctx, cancel := context.WithTimeout(ctx, max(time.Millisecond, trusted-time.Since(since)))
		held, err := l.take(tctx)
		cancel()
		switch {
		case err != nil: // away: try again until the time is up
			continue
		case !held:
			l.log.Warn("lease taken by another node", zap.String("lease", l.name))
			return
		}
		since = before
	}
}

func (l *Lease) take(ctx context.Context) (bool, error) {
	tag, err := l.pool.Exec(ctx, `
		INSERT INTO leases AS l (name, holder, until) VALUES ($1, $2, now() + make_interval(secs => $3))
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		 WHERE l.holder = excluded.holder OR l.until < now()`, l.name, l.holder, l.term.Seconds())
	if err != nil {
		return false, fmt.Errorf("take lease %s: %w", l.name, err)
	}
	return tag.RowsAffected() == 1, nil
}

// Inherit frees the lease of a run that died, so that nobody waits for it to run
// out. The caller must know that no other node works on this database.
func (l *Lease) Inherit(ctx context.Context) error {
	if _, err := l.pool.Exec(ctx, `DELETE FROM leases WHERE name = $1`, l.name); err != nil {
		return fmt.Errorf("inherit lease %s: %w", l.name, err)
	}
	return nil
}

func (l *Lease) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, err := l.pool.Exec(ctx, `DELETE FROM leases WHERE name = $1 AND holder = $2`, l.name, l.holder)
	if err != nil {
		l.log.Warn("cannot give the lease back, it will run out", zap.String("lease", l.name), zap.Error(err))
	}
}
