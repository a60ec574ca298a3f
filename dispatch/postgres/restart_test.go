package postgres_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sync/errgroup"
	"nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgserver"
	"nabat/migrations"
)

// PostgreSQL is stopped, and then killed, under load, and started again: nobody
// who has the patience is refused, and each contact is there once.
func TestNobodyIsRefusedByARestartOfTheDatabase(t *testing.T) {
	t.Parallel()
	// Not t.TempDir, whose parents are closed to the server's user.
	dir, err := os.MkdirTemp("", "nabat-restart-") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o711)) //nolint:gosec // the server's user walks through
	o := pgserver.Options{Data: dir, Log: zaptest.NewLogger(t)}
	server, err := pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, server.Stop(ctx))
	})
	_, port, err := net.SplitHostPort(server.Addr())
	require.NoError(t, err)
	o.Port, err = strconv.Atoi(port)
	require.NoError(t, err)
	_, err = migrations.Run(t.Context(), server.OwnerURL(), server.URL())
	require.NoError(t, err)
	pool, err := postgres.Open(t.Context(), server.URL(), postgres.PoolOptions{})
	require.NoError(t, err)
	defer pool.Close()
	w := postgres.NewWriter(pool, zaptest.NewLogger(t), postgres.WriterOptions{})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-done) }()
	store := postgres.NewStore(pool, w)

	var stored atomic.Int64
	var over atomic.Bool
	var all errgroup.Group
	for i := range 8 {
		all.Go(func() error {
			for n := 0; !over.Load(); n++ {
				c := call(strconv.Itoa(i) + "-" + strconv.Itoa(n))
				got, duplicate, err := store.OpenContact(t.Context(), c)
				if err != nil {
					return err
				}
				if duplicate || got.ID != c.ID {
					return errors.New("a first sending was taken for a repeat")
				}
				stored.Add(1)
			}
			return nil
		})
	}
	more := func() {
		t.Helper()
		before := stored.Load()
		require.Eventually(t, func() bool { return stored.Load() >= before+50 }, time.Minute, 5*time.Millisecond, "somebody was refused, or waits for ever")
	}
	for _, crash := range []bool{false, true, true} {
		more()
		if crash {
			require.NoError(t, syscall.Kill(server.Pid(), syscall.SIGKILL))
			<-server.Done()
		}
		require.NoError(t, server.Stop(t.Context()))
		server, err = pgserver.Start(t.Context(), o)
		require.NoError(t, err)
	}
	more()
	over.Store(true)
	require.NoError(t, all.Wait())
	cards, _, err := store.OpenCards(t.Context())
	require.NoError(t, err)
	require.Len(t, cards, int(stored.Load()))
}
