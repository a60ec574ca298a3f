package lifecycle_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"nabat/cmd/nabat/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary writes down what happened and when, in virtual time.
type diary struct {
	mu    sync.Mutex
	start time.Time
	lines []string
}

func (d *diary) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, what+" "+time.Since(d.start).String())
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// stage takes a second to start and the given time to stop.
func (d *diary) stage(name string, takes time.Duration) lifecycle.Stage {
	return lifecycle.Stage{
		Name:  name,
		Limit: 5 * time.Second,
		Start: func(context.Context) error {
			time.Sleep(time.Second)
			d.note("+" + name)
			return nil
		},
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(takes)
			d.note("-" + name)
			return nil
		},
	}
}

func TestStopsBackwardsEachGoneBeforeTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{start: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := lifecycle.Run(ctx, zap.NewNop(), d.stage("db", time.Second), d.stage("relay", 2*time.Second), d.stage("intake", 3*time.Second))
		require.NoError(t, err)
		require.Equal(t, []string{
			"+db 1s", "+relay 2s", "+intake 3s",
			"-intake 1m3s", "-relay 1m5s", "-db 1m6s",
		}, d.read())
	})
}

func TestAStuckStageIsLeftBehindAndTheOthersHaveTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{start: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := lifecycle.Run(ctx, zap.NewNop(), d.stage("db", 0), d.stage("stuck", time.Hour), d.stage("intake", 0))
		require.ErrorIs(t, err, lifecycle.ErrStuck)
		require.ErrorContains(t, err, "stuck")
		require.Equal(t, []string{"+db 1s", "+stuck 2s", "+intake 3s", "-intake 1m0s", "-db 1m5s"}, d.read())
		time.Sleep(2 * time.Hour) // the bubble wants everybody gone
	})
}

func TestAStageThatEndsStopsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{start: time.Now()}
		broken := errors.New("listener closed")
		err := lifecycle.Run(t.Context(), zap.NewNop(), d.stage("db", 0), lifecycle.Stage{
			Name: "sip", Limit: time.Second,
			Run: func(context.Context) error { time.Sleep(10 * time.Second); return broken },
		})
		require.ErrorIs(t, err, lifecycle.ErrEnded)
		require.ErrorIs(t, err, broken)
		require.Equal(t, []string{"+db 1s", "-db 11s"}, d.read())
	})
}

func TestAFailedStartUndoesWhatWasStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{start: time.Now()}
		taken := errors.New("port taken")
		first := d.stage("db", 0)
		first.Stop = func(context.Context) error { d.note("undo"); return nil }
		err := lifecycle.Run(t.Context(), zap.NewNop(), first,
			lifecycle.Stage{Name: "console", Limit: time.Second, Start: func(context.Context) error { return taken }},
			d.stage("never", 0))
		require.ErrorIs(t, err, taken)
		require.Equal(t, []string{"+db 1s", "-db 1s", "undo 1s"}, d.read())
	})
}

func TestASignalDuringStartIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{start: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		err := lifecycle.Run(ctx, zap.NewNop(), d.stage("db", 0), d.stage("relay", 0), d.stage("never", 0))
		require.NoError(t, err)
		require.Equal(t, []string{"+db 1s", "+relay 2s", "-relay 2s", "-db 2s"}, d.read())
	})
}

func TestStopMayDoItTheHardWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var took time.Duration
		err := lifecycle.Run(ctx, zap.NewNop(), lifecycle.Stage{
			Name: "postgres", Limit: 30 * time.Second,
			Stop: func(ctx context.Context) error {
				began := time.Now()
				<-ctx.Done()                // fast was not enough
				time.Sleep(3 * time.Second) // immediate
				took = time.Since(began)
				return nil
			},
		})
		require.NoError(t, err)
		require.Equal(t, 33*time.Second, took)
	})
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		var exited os.Signal
		ctx, stop := lifecycle.OnSignals(t.Context(), signals, func(s os.Signal) { exited = s })
		defer stop()
		signals <- syscall.SIGTERM
		synctest.Wait()
		require.Error(t, ctx.Err())
		require.ErrorContains(t, context.Cause(ctx), "terminated")
		require.Nil(t, exited)
		signals <- syscall.SIGINT
		synctest.Wait()
		require.Equal(t, syscall.SIGINT, exited)
	})
}
