package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"nabat/dispatch"
)

// How lives of engines are told from deaths. A dead one's calls are due for a
// call back a term and a heartbeat after its last sign of life, at most twice that
// if the judge has just been started.
const (
	// RunTerm is how long a run may be silent.
	RunTerm = 30 * time.Second
	// beatsInTerm is how often a run is heard, and judges others, in a term.
	beatsInTerm = 6
	// maxGapPart of a term between two heartbeats means that the judge itself was
	// cut off, or the database away, when it could not have heard anybody.
	maxGapPart = 2
	// keepRuns is how long a run that ended is remembered.
	keepRuns = 30 * 24 * time.Hour
)

// Runs announces this life of the engine in the database, keeps it announced
// and finds the lives that ended without a word, whose calls it ends as
// line_lost, due for a call back. Every node does so; no call is lost twice.
//
// A run judges only after it was heard without a gap for a whole term itself:
// when the database comes back after a long pause everybody has been silent, and
// the first to return must not end the calls of the others.
//
// A run that was declared dead although it lives (its node was frozen or cut off
// from the database longer than the term) says so as an error, counts it, and
// goes on under the same id. The calls that it holds were ended meanwhile and
// stay due for a call back until their own next fact corrects them: calling
// somebody back needlessly is the lesser evil.
type Runs struct {
	pool  *pgxpool.Pool
	store *Store
	log   *zap.Logger
	id    dispatch.RunID
	node  string
	term  time.Duration
	every time.Duration
	clock func() time.Time

	lost, declared prometheus.Counter
}

// RunsOptions describe this life.
type RunsOptions struct {
	ID   dispatch.RunID
	Node string // for people: the machine's name
	// Term is RunTerm if zero; for tests.
	Term time.Duration
	// Clock tells when a lost call ended; time.Now if nil.
	Clock      func() time.Time
	Registerer prometheus.Registerer
}

// NewRuns builds it; store must be able to write.
func NewRuns(pool *pgxpool.Pool, store *Store, log *zap.Logger, o RunsOptions) *Runs {
	r := &Runs{
		pool: pool, store: store, log: log.Named("dispatch.runs"), id: o.ID, node: o.Node, term: o.Term, clock: o.Clock,
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nabat_calls_lost_with_their_node_total", Help: "Calls of dead runs that were put on the callback list.",
		}),
		declared: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nabat_run_declared_dead_total", Help: "Times that this living run was declared dead by another.",
		}),
	}
	if r.term <= 0 {
		r.term = RunTerm
	}
	r.every = r.term / beatsInTerm
	if r.clock == nil {
		r.clock = time.Now
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(r.lost, r.declared)
	}
	return r
}

// Announce makes the run known. No call may be stored before that.
func (r *Runs) Announce(ctx context.Context) error { return r.announce(ctx, r.pool) }

func (r *Runs) announce(ctx context.Context, db executor) error {
	_, err := db.Exec(ctx, `INSERT INTO runs (id, node) VALUES ($1, $2)
		ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), heard_since = clock_timestamp(), ended_at = NULL, ended_by = NULL`, r.id, r.node)
	if err != nil {
		return fmt.Errorf("announce this run: %w", err)
	}
	return nil
}

// Inherit ends every other run. The caller must know that no other node works on
// this database.
func (r *Runs) Inherit(ctx context.Context) error {
	_, err := r.pool.Exec(ctx, `UPDATE runs SET ended_at = clock_timestamp(), ended_by = $1 WHERE ended_at IS NULL AND id <> $1`, r.id)
	if err != nil {
		return fmt.Errorf("end the runs before this one: %w", err)
	}
	return nil
}

// Run keeps the run alive and looks for dead ones until ctx ends; then it says
// that the run is over, so that what it could not store is found at once.
func (r *Runs) Run(ctx context.Context) error {
	var beating sync.WaitGroup
	beating.Go(func() { r.beats(ctx) })
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			if err := r.Look(ctx); err != nil && ctx.Err() == nil {
				r.log.Warn("cannot find dead nodes, trying again", zap.Error(err))
			}
		}
	}
	beating.Wait()
	return r.end(ctx)
}

// beats keeps the run alive, over a connection of its own and beside the looks for
// the dead: neither a full pool, nor much to sweep, nor one connection on which
// nothing comes any more may make others take this node for dead. It lets go of a
// connection that has not answered by the next beat.
func (r *Runs) beats(ctx context.Context) {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	var heart *pgx.Conn
	for {
		select {
		case <-ctx.Done():
			letGo(ctx, heart)
			return
		case <-tick.C:
		}
		one, cancel := context.WithTimeout(ctx, r.every)
		var err error
		if heart == nil {
			heart, err = pgx.ConnectConfig(one, r.pool.Config().ConnConfig)
		}
		if err == nil {
			err = r.beat(one, heart)
		}
		cancel()
		if err != nil {
			letGo(ctx, heart)
			heart = nil
			if ctx.Err() == nil {
				r.log.Warn("cannot tell other nodes that this one lives, trying again", zap.Error(err))
			}
		}
	}
}

func letGo(ctx context.Context, conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	conn.Close(ctx) // it is of no use any more, whatever it says
}

// executor is the pool or a connection.
type executor interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// beat is one heartbeat.
func (r *Runs) beat(ctx context.Context, db executor) error {
	gap := r.term / maxGapPart
	tag, err := db.Exec(ctx, `
		UPDATE runs SET heard_since = CASE WHEN seen_at < clock_timestamp() - make_interval(secs => $2)
		                                   THEN clock_timestamp() ELSE heard_since END,
		                seen_at = clock_timestamp()
		 WHERE id = $1 AND ended_at IS NULL`, r.id, gap.Seconds())
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	if tag.RowsAffected() == 0 {
		r.declared.Inc()
		r.log.Error("THIS NODE WAS DECLARED DEAD by another one: it was silent too long (frozen, or cut off from the database). "+
			"It goes on; the calls that it holds were put on the callback list", zap.Stringer("run", r.id), zap.Duration("term", r.term))
		return r.announce(ctx, db)
	}
	return nil
}

// Look is one look for the dead.
func (r *Runs) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.term)
	defer cancel()
	if err := r.judge(ctx); err != nil {
		return err
	}
	return r.Sweep(ctx)
}

// judge declares the silent dead, unless this run is one of them: see Runs.
func (r *Runs) judge(ctx context.Context) error {
	tag, err := r.pool.Exec(ctx, `
		UPDATE runs SET ended_at = clock_timestamp(), ended_by = $1
		 WHERE ended_at IS NULL AND id <> $1 AND seen_at < clock_timestamp() - make_interval(secs => $2)
		   AND EXISTS (SELECT FROM runs me WHERE me.id = $1
		                  AND me.heard_since < clock_timestamp() - make_interval(secs => $2)
		                  AND me.seen_at > clock_timestamp() - make_interval(secs => $3))`,
		r.id, r.term.Seconds(), (r.term / maxGapPart).Seconds())
	if err != nil {
		return fmt.Errorf("look for dead runs: %w", err)
	}
	if n := tag.RowsAffected(); n > 0 {
		r.log.Warn("nodes that were not heard any more are taken for dead", zap.Int64("runs", n), zap.Duration("term", r.term))
	}
	_, err = r.pool.Exec(ctx, `DELETE FROM runs WHERE ended_at < clock_timestamp() - make_interval(secs => $1)`, keepRuns.Seconds())
	if err != nil {
		return fmt.Errorf("forget old runs: %w", err)
	}
	return nil
}

// Sweep ends the calls that dead runs left open. The writer must be running.
func (r *Runs) Sweep(ctx context.Context) error {
	lost, err := r.store.LoseLines(ctx, r.id, r.clock())
	r.lost.Add(float64(len(lost)))
	if len(lost) > 0 {
		r.log.Warn("calls went with their node, they are due for a call back", zap.Int("calls", len(lost)))
	}
	return err
}

// end says that the run is over. If that cannot be said it will be missed.
func (r *Runs) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, err := r.pool.Exec(ctx, `UPDATE runs SET ended_at = clock_timestamp(), ended_by = $1 WHERE id = $1`, r.id); err != nil {
		r.log.Warn("cannot say that this run is over; others will miss it", zap.Error(err))
	}
	return nil
}
