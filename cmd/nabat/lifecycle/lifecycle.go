// Package lifecycle starts the engine's parts in order and stops them backwards.
//
// A part is a Stage. Starts run one after the other, each with all its
// predecessors up; then every Run blocks until it is told to stop. When the
// context ends, or any stage ends by itself, the stages are stopped last first,
// each gone before the next is told to go, each within its own bound: a stage
// that does not end in time is named in the error and left behind, because the
// process ends anyway and the others must still have their turn.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"
)

// ErrStuck says that a stage did not stop within its bound.
var ErrStuck = errors.New("did not stop in time")

// ErrEnded says that a stage that should run until it is stopped ended by itself.
var ErrEnded = errors.New("ended by itself")

// Stage is one part of the engine.
type Stage struct {
	Name string
	// Start, if set, returns when the part is ready for those after it.
	Start func(ctx context.Context) error
	// Run, if set, blocks until ctx ends and has left nothing behind when it returns.
	Run func(ctx context.Context) error
	// Stop, if set, is called after Run has returned; it undoes Start. Its
	// context carries what is left of Limit.
	Stop func(ctx context.Context) error
	// Limit bounds the whole stop of this stage; must be more than zero.
	Limit time.Duration
}

type running struct {
	stage Stage
	stop  context.CancelFunc
	done  chan error // capacity 1
}

// Run runs the stages until ctx ends or one of them does.
func Run(ctx context.Context, log *zap.Logger, stages ...Stage) error {
	var live []running
	ended := make(chan string, len(stages))
	var errs error
	for _, s := range stages {
		if ctx.Err() != nil {
			break
		}
		if s.Start != nil {
			if err := s.Start(ctx); err != nil {
				if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
					errs = fmt.Errorf("%s: %w", s.Name, err)
				}
				break
			}
		}
		live = append(live, launch(ctx, s, ended))
	}
	if errs == nil && len(live) == len(stages) {
		select {
		case <-ctx.Done():
			log.Info("stopping")
		case name := <-ended:
			log.Error("a part ended by itself; stopping the others", zap.String("stage", name))
			errs = fmt.Errorf("%s: %w", name, ErrEnded)
		}
	}
	for _, r := range slices.Backward(live) {
		began := time.Now()
		err := r.halt(ctx)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", r.stage.Name, err))
		}
		log.Debug("stopped", zap.String("stage", r.stage.Name), zap.Duration("took", time.Since(began)), zap.Error(err))
	}
	return errs
}

func launch(ctx context.Context, s Stage, ended chan<- string) running {
	// Not derived from ctx: a signal must not stop everything at once.
	sctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := running{stage: s, stop: stop, done: make(chan error, 1)}
	if s.Run == nil {
		r.done <- nil
		return r
	}
	go func() {
		r.done <- s.Run(sctx)
		ended <- s.Name
	}()
	return r
}

// halt stops one stage within its limit.
func (r running) halt(ctx context.Context) error {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.stage.Limit)
	defer cancel()
	r.stop()
	var errs error
	select {
	case errs = <-r.done:
	case <-limit.Done():
		errs = fmt.Errorf("%w (%s)", ErrStuck, r.stage.Limit)
	}
	if r.stage.Stop == nil {
		return errs
	}
	stopped := make(chan error, 1)
	go func() { stopped <- r.stage.Stop(limit) }()
	select {
	case err := <-stopped:
		return errors.Join(errs, err)
	case <-limit.Done():
		// Stop was told by its context; one that listens answers now.
		select {
		case err := <-stopped:
			return errors.Join(errs, err)
		case <-time.After(grace):
			return errors.Join(errs, fmt.Errorf("%w (%s)", ErrStuck, r.stage.Limit))
		}
	}
}

// grace is for a Stop whose context has ended to do it the hard way.
const grace = 20 * time.Second

// OnSignals returns a context that the first signal ends. The second calls exit
// at once: whoever presses Ctrl-C twice does not want to wait. The returned
// function ends the watch.
func OnSignals(ctx context.Context, signals <-chan os.Signal, exit func(os.Signal)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			case sig := <-signals:
				if n > 0 {
					exit(sig)
					return
				}
				cancel(fmt.Errorf("signal %s", sig))
			}
		}
	}()
	return ctx, func() {
		close(quit)
		<-gone
		cancel(context.Canceled)
	}
}
