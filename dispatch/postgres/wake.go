package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
)

const journalChannel = "nabat_journal"

// Wake tells readers of the journal that there may be something new. It is only
// a hint: NOTIFY is lost while disconnected, so readers poll besides.
type Wake struct {
	mu sync.Mutex
	c  chan struct{} // closed and replaced at each signal

	// ours is set when this process committed and others should hear of it.
	ours chan struct{}
}

// NewWake makes a Wake that works inside the process; Run adds other nodes.
func NewWake() *Wake {
	return &Wake{c: make(chan struct{}), ours: make(chan struct{}, 1)}
}

// C is closed at the next signal. Take it before reading, wait on it after.
func (w *Wake) C() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.c
}

// Signal wakes the readers of this process, and through Run those of others.
func (w *Wake) Signal() {
	w.broadcast()
	select {
	case w.ours <- struct{}{}:
	default: // one is pending already and will cover this commit too
	}
}

func (w *Wake) broadcast() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.c)
	w.c = make(chan struct{})
}

// Run listens for other nodes' commits and announces ours, until ctx ends. It
// needs two connections of the pool. Not for virtual time: it waits in a socket.
func (w *Wake) Run(ctx context.Context, pool *pgxpool.Pool, log *zap.Logger) error {
	log = log.Named("dispatch.wake")
	var both sync.WaitGroup
	both.Go(func() {
		forever(ctx, log, "listen to other nodes", func(ctx context.Context) error { return w.listen(ctx, pool) })
	})
	both.Go(func() {
		forever(ctx, log, "notify other nodes", func(ctx context.Context) error { return w.notify(ctx, pool) })
	})
	both.Wait()
	return nil
}

// forever runs f again whenever it fails, with a pause.
func forever(ctx context.Context, log *zap.Logger, what string, f func(context.Context) error) {
	for ctx.Err() == nil {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			log.Warn("cannot "+what+", trying again", zap.Error(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (w *Wake) listen(ctx context.Context, pool *pgxpool.Pool) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "LISTEN "+journalChannel); err != nil {
		return err
	}
	for {
		if _, err := conn.Conn().WaitForNotification(ctx); err != nil {
			return err
		}
		w.broadcast()
	}
}

func (w *Wake) notify(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.ours:
		}
		if _, err := pool.Exec(ctx, "NOTIFY "+journalChannel); err != nil {
			return err
		}
	}
}
