package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"nabat/dispatch"
)

const (
	// maxBatch units share a transaction at most.
	maxBatch = 512
	// queueSize units may wait for a loop; the next one waits in Do.
	queueSize = 4096
	// batchTimeout bounds one transaction with everything that it waits for.
	batchTimeout = 15 * time.Second
	// keepBatch is how long a batch waits for a database that is away; its
	// callers' own patience is usually shorter.
	keepBatch = 30 * time.Second
)

// WriterOptions are what a caller may choose about a writer.
type WriterOptions struct {
	// Loops is the number of writers side by side, each with a connection; 0 is 2.
	Loops int
	// Wake is told of every commit that wrote events; may be nil.
	Wake *Wake
	// Registerer takes the metrics; nil keeps them private.
	Registerer prometheus.Registerer
}

// Writer is the group-commit writer: see the package's doc.
type Writer struct {
	pool    *pgxpool.Pool
	log     *zap.Logger
	wake    *Wake
	loops   []*loop
	seed    maphash.Seed
	stopped chan struct{} // closed when Run has returned: nobody takes jobs any more
	batches prometheus.Histogram
	retried prometheus.Counter
	refused prometheus.Counter
	unsure  prometheus.Counter
	waited  prometheus.Counter
}

// NewWriter builds a writer on pool, which must allow Loops connections besides
// what others use.
func NewWriter(pool *pgxpool.Pool, log *zap.Logger, o WriterOptions) *Writer {
	if o.Loops <= 0 {
		o.Loops = 2
	}
	w := &Writer{
		pool: pool, log: log.Named("dispatch.writer"), wake: o.Wake,
		seed: maphash.MakeSeed(), stopped: make(chan struct{}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nabat_writer_batch_units", Help: "Units that shared one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		retried: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nabat_writer_batches_retried_total", Help: "Batches that ran again unit by unit after the database refused them.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nabat_writer_busy_total", Help: "Units turned away because the queue was full or the database away.",
		}),
		unsure: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nabat_writer_commits_looked_up_total", Help: "Commits whose answer was lost and that were looked up.",
		}),
		waited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nabat_writer_batches_waited_total", Help: "Batches that waited for a database that was away.",
		}),
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(w.batches, w.retried, w.refused, w.unsure, w.waited)
	}
	for range o.Loops {
		w.loops = append(w.loops, &loop{w: w, id: dispatch.NewRunID(), in: make(chan *job, queueSize), copies: map[*Table][]byte{}})
	}
	return w
}

// Do hands in a unit and blocks until it is committed or refused. The card is
// the one after the change (or as it is, with ErrUnchanged). When ctx ends first
// the error is dispatch.ErrBusy and the unit may or may not be stored.
func (w *Writer) Do(ctx context.Context, u Unit) (dispatch.Card, error) {
	j := &job{unit: u, ctx: ctx, done: make(chan result, 1)}
	l := w.loops[maphash.String(w.seed, u.Key)%uint64(len(w.loops))]
	select {
	case l.in <- j:
	case <-ctx.Done():
		w.refused.Inc()
		return dispatch.Card{}, fmt.Errorf("%w: %w", dispatch.ErrBusy, context.Cause(ctx))
	case <-w.stopped:
		return dispatch.Card{}, fmt.Errorf("%w: the writer has stopped", dispatch.ErrBusy)
	}
	select {
	case r := <-j.done:
		return r.unpack()
	case <-ctx.Done():
		w.refused.Inc()
		return dispatch.Card{}, fmt.Errorf("%w: %w", dispatch.ErrBusy, context.Cause(ctx))
	case <-w.stopped:
		// The last batch may have answered in the same moment.
		select {
		case r := <-j.done:
			return r.unpack()
		default:
			return dispatch.Card{}, fmt.Errorf("%w: the writer has stopped", dispatch.ErrBusy)
		}
	}
}

// Run works until ctx ends, then commits what was queued and returns nil.
func (w *Writer) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	for _, l := range w.loops {
		loops.Go(func() { l.run(ctx) })
	}
	loops.Wait()
	close(w.stopped)
	return nil
}

// loop is one writer with its own connection.
type loop struct {
	w     *Writer
	id    dispatch.RunID
	in    chan *job
	conn  *pgxpool.Conn
	batch int64
	// copies keeps the room of what was last copied into each table.
	copies map[*Table][]byte
}

func (l *loop) run(ctx context.Context) {
	// A signal must not break a transaction: what was taken is finished.
	work := context.WithoutCancel(ctx)
	defer l.release(work)
	for {
		select {
		case <-ctx.Done():
			for {
				jobs := l.gather(nil)
				if len(jobs) == 0 {
					return
				}
				l.serve(work, ctx.Done(), jobs)
			}
		case j := <-l.in:
			l.serve(work, ctx.Done(), l.gather([]*job{j}))
		}
	}
}

// gather takes what waits, up to maxBatch.
func (l *loop) gather(jobs []*job) []*job {
	for len(jobs) < maxBatch {
		select {
		case j := <-l.in:
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
	return jobs
}

// serve commits the jobs and answers each. stop is closed when the writer shall
// end: then nothing waits for a database that is away.
func (l *loop) serve(ctx context.Context, stop <-chan struct{}, jobs []*job) {
	live, err := l.commitPatiently(ctx, stop, jobs)
	if len(live) == 0 {
		return
	}
	one, ownFault := errors.AsType[*unitError](err)
	switch {
	case ownFault:
		one.job.done <- result{one.job.card, one.err}
		l.serve(ctx, stop, slices.DeleteFunc(live, func(j *job) bool { return j == one.job }))
	case err == nil:
		for _, j := range live {
			j.done <- j.outcome()
		}
	case !refused(err):
		l.w.refused.Add(float64(len(live)))
		l.w.log.Error("batch not stored, its senders are not answered", zap.Int("units", len(live)), zap.Error(err))
		for _, j := range live {
			j.done <- result{err: fmt.Errorf("%w: %w", dispatch.ErrBusy, err)}
		}
	case len(live) == 1:
		live[0].done <- result{err: err}
	default:
		l.w.retried.Inc()
		l.w.log.Warn("batch refused, running its units one by one", zap.Int("units", len(live)), zap.Error(err))
		for _, j := range live {
			l.serve(ctx, stop, []*job{j})
		}
	}
}

// commitPatiently commits those jobs whose callers are still there, and says
// which they were. While the database is away, and nothing of them can have been
// stored, it waits and tries again as long as somebody is there; what is queued
// meanwhile comes after.
func (l *loop) commitPatiently(ctx context.Context, stop <-chan struct{}, jobs []*job) (live []*job, err error) {
	if live = stillThere(jobs); len(live) > 0 {
		l.w.batches.Observe(float64(len(live)))
	}
	began := time.Now()
	for pause := firstPause; len(live) > 0; pause = min(2*pause, longestPause) {
		err = l.commit(ctx, live)
		if _, away := errors.AsType[*awayError](err); !away || time.Since(began) > keepBatch {
			return live, err
		}
		if pause == firstPause {
			l.w.waited.Inc()
			l.w.log.Warn("the database is away, units wait for it", zap.Int("units", len(live)), zap.Error(err))
		}
		select {
		case <-stop:
			return live, err
		case <-time.After(pause):
		}
		live = stillThere(live)
	}
	return nil, err
}

// stillThere drops the jobs whose callers have gone.
func stillThere(jobs []*job) []*job {
	return slices.DeleteFunc(jobs, func(j *job) bool {
		gone := j.ctx.Err() != nil
		if gone {
			j.done <- result{err: dispatch.ErrBusy}
		}
		return gone
	})
}

// awayError: the database could not be reached or serve anybody, and certainly
// nothing of the batch is stored.
type awayError struct{ err error }

func (e *awayError) Error() string { return e.err.Error() }
func (e *awayError) Unwrap() error { return e.err }

// errUnsure: COMMIT was sent and nobody could say what became of it. Its senders
// hear that it is busy; the batch is never run again.
var errUnsure = errors.New("not known whether the batch is stored")

// commit runs the jobs in one transaction. A nil error means committed.
func (l *loop) commit(ctx context.Context, jobs []*job) error {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	used := l.conn != nil && !l.conn.Conn().IsClosed()
	if err := l.connect(ctx); err != nil {
		if Away(err) {
			return &awayError{err}
		}
		return err
	}
	for _, j := range jobs {
		j.reset()
	}
	l.batch++
	b := &batch{loop: l, conn: l.conn.Conn(), jobs: jobs}
	err := b.run(ctx)
	if err == nil {
		if b.wroteEvents && l.w.wake != nil {
			l.w.wake.Signal()
		}
		return nil
	}
	_, ownFault := errors.AsType[*unitError](err)
	if (ownFault || refused(err)) && l.conn.Conn().PgConn().TxStatus() == 'I' {
		return err
	}
	// The connection is in doubt. If only the answer to COMMIT is missing, the
	// loop's row tells what became of it.
	notStored := err
	if l.conn.Conn().IsClosed() && (Away(err) || ctx.Err() != nil) {
		notStored = &awayError{err}
	}
	l.release(ctx)
	if !b.committing {
		if used && ctx.Err() == nil {
			// It may have died while it lay idle, and the database be back long since.
			// Nothing was committed, so nobody need send again: once more on a new one.
			return l.commit(ctx, jobs)
		}
		return notStored
	}
	l.w.unsure.Inc()
	there, lookErr := l.lookUp(ctx)
	if lookErr != nil {
		// As text: what the database says of the look-up is no word on the batch.
		return fmt.Errorf("%w: %s; %s", errUnsure, err.Error(), lookErr.Error())
	}
	l.w.log.Warn("the answer to a commit was lost and was looked up", zap.Bool("committed", there), zap.Error(err))
	if !there {
		return notStored
	}
	if b.wroteEvents && l.w.wake != nil {
		l.w.wake.Signal()
	}
	return nil
}

// connect makes sure that the loop has a connection and its row.
func (l *loop) connect(ctx context.Context) error {
	if l.conn != nil && !l.conn.Conn().IsClosed() {
		return nil
	}
	l.release(ctx)
	conn, err := l.w.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("reach the database: %w", err)
	}
	// Rows of runs that ended long ago are of no use to anybody.
	_, err = conn.Exec(ctx, `DELETE FROM writers WHERE at < now() - interval '7 days'`)
	if err == nil {
		_, err = conn.Exec(ctx, `INSERT INTO writers (id, batch) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET at = now()`, l.id, l.batch)
		if err == nil {
			l.conn = conn
			return nil
		}
	}
	conn.Conn().Close(ctx) // broken anyway
	conn.Release()
	return fmt.Errorf("announce the writer: %w", err)
}

// lookUp asks on a fresh connection whether the last batch was committed. The
// old session may still be about to commit, so its row is locked first: the
// lock is granted only when that transaction has ended either way.
func (l *loop) lookUp(ctx context.Context) (bool, error) {
	// Its time is its own: the batch may have used up what it had.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTimeout)
	defer cancel()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		var batch int64
		err := l.w.pool.QueryRow(ctx, `SELECT batch FROM writers WHERE id = $1 FOR UPDATE`, l.id).Scan(&batch)
		if err == nil {
			return batch == l.batch, nil
		}
		// A refusal too, such as of a lock that the old session still holds in its
		// COMMIT, only means that nothing is known yet.
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("look up the last commit: %w", err)
		case <-time.After(pause):
		}
	}
}

func (l *loop) release(ctx context.Context) {
	if l.conn == nil {
		return
	}
	if l.conn.Conn().PgConn().TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		l.conn.Conn().Close(ctx) // it is being thrown away
	}
	l.conn.Release()
	l.conn = nil
}
