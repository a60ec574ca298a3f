package postgres_test

import (
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nabat/alarms"
	"nabat/alarms/postgres"
)

func TestMonthsAreMadeAhead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	now := time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	log, logged := observer.New(zap.ErrorLevel)
	reg := prometheus.NewRegistry()
	p := postgres.NewPartitions(h.pool, clock, zap.New(log), reg)
	var both sync.WaitGroup
	for range 2 { // two nodes at once
		both.Go(func() {
			if err := p.Ensure(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	months := `SELECT count(*) FROM pg_inherits WHERE inhparent = 'notifications'::regclass`
	require.Equal(t, 3+1, one[int](h, months))
	require.NoError(t, p.Ensure(t.Context()))
	require.Equal(t, 3+1, one[int](h, months))

	in := func(at time.Time) string {
		n := alarms.Notification{ID: [16]byte{byte(at.Month())}, ReceivedAt: at}
		require.NoError(t, h.store.Save(t.Context(), alarms.Change{Key: "a", Rows: []alarms.Notification{n}}))
		return one[string](h, `SELECT tableoid::regclass::text FROM notifications WHERE id = $1`, n.ID)
	}
	require.Equal(t, "notifications_2026_11", in(now))
	require.Equal(t, "notifications_2027_01", in(time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC)))
	require.Empty(t, logged.All())

	require.Equal(t, "notifications_default", in(time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)))
	require.NoError(t, p.Ensure(t.Context()))
	require.Equal(t, 1, logged.FilterMessageSnippet("default partition").Len())
	n, err := testutil.GatherAndCount(reg, "nabat_notifications_default_rows")
	require.NoError(t, err)
	require.Equal(t, 1, n)

	// When the month is made after all, the rows move into it.
	now = time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, p.Ensure(t.Context()))
	require.Equal(t, 0, one[int](h, `SELECT count(*) FROM notifications_default`))
	require.Equal(t, 1, one[int](h, `SELECT count(*) FROM notifications WHERE tableoid = 'notifications_2027_03'::regclass`))
	require.Equal(t, "notifications_2027_02", in(now))
}

// A month is made while notifications of others go on being written.
func TestARowOfAnotherMonthDoesNotWaitForANewPartition(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := postgres.NewPartitions(h.pool, time.Now, zap.NewNop(), nil)
	require.NoError(t, p.Ensure(t.Context()))
	require.Equal(t, alarms.Stored, h.send("1001", "1602 00 000"))
	require.NotEqual(t, "notifications_default", one[string](h, `SELECT tableoid::regclass::text FROM notifications`))
}
