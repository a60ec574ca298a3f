package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"nabat/dispatch"
	"nabat/dispatch/postgres"
)

func TestRowsArriveAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.table(t, `"every type"`, `id uuid, at timestamptz, text text, octets bytea, yes boolean`)
	table := postgres.NewTable("every type", "id", "at", "text", "octets", "yes")
	id := dispatch.NewEventID()
	times := []time.Time{noon.Add(time.Microsecond), time.Date(1999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), {}}
	rows := postgres.NewRows(table, 3)
	for i, at := range times {
		rows.Row()
		rows.UUID(id)
		rows.Time(at)
		rows.Text("Невский пр., 1")
		rows.Text("\x00\xff")
		rows.Bool(i == 0)
	}
	rows.Row()
	rows.UUID([16]byte{})
	rows.Null()
	rows.Text("")
	rows.Null()
	rows.Null()
	_, err := b.w.Do(t.Context(), postgres.Unit{Key: "a", Rows: []*postgres.Rows{rows}})
	require.NoError(t, err)

	type row struct {
		ID     *dispatch.EventID
		At     *time.Time
		Text   string
		Octets []byte
		Yes    *bool
	}
	got, err := b.pool.Query(t.Context(), `SELECT id, at, text, octets, yes FROM "every type"`)
	require.NoError(t, err)
	stored, err := pgx.CollectRows(got, pgx.RowToStructByPos[row])
	require.NoError(t, err)
	require.Len(t, stored, 4)
	for i, at := range times {
		require.Equal(t, id, *stored[i].ID)
		require.Equal(t, "Невский пр., 1", stored[i].Text)
		require.Equal(t, []byte("\x00\xff"), stored[i].Octets)
		require.Equal(t, i == 0, *stored[i].Yes)
		if at.IsZero() {
			require.Nil(t, stored[i].At)
		} else {
			require.Equal(t, at, stored[i].At.UTC())
		}
	}
	require.Equal(t, row{}, stored[3])
}

// A row that does not fit its table costs its neighbours nothing.
func TestABadRowFailsAlone(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.table(t, "words", "word text")
	table := postgres.NewTable("words", "word")
	results := make(chan error, 3)
	for _, word := range []string{"good", "bad \xff", "also good"} {
		go func() {
			rows := postgres.NewRows(table, 1)
			rows.Row()
			rows.Text(word)
			_, err := b.w.Do(t.Context(), postgres.Unit{Key: "a", Rows: []*postgres.Rows{rows}})
			results <- err
		}()
	}
	failed := 0
	for range 3 {
		if err := <-results; err != nil {
			failed++
			require.NotErrorIs(t, err, dispatch.ErrBusy)
		}
	}
	require.Equal(t, 1, failed)
	var n int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM words WHERE word LIKE '%good'`).Scan(&n))
	require.Equal(t, 2, n)
}

// A unit that hides a failed statement of its own must not hear that it is stored.
func TestATransactionThatFailedUnnoticedIsNotTakenForStored(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, err := b.w.Do(t.Context(), postgres.Unit{Key: "a", Then: func(ctx context.Context, tx pgx.Tx, _ dispatch.Card) error {
		_, err := tx.Exec(ctx, `SELECT 1/0`)
		require.Error(t, err)
		return nil
	}})
	require.Error(t, err)
}

// table makes a table as the owner does, for the engine's role to write to.
func (b bench) table(t *testing.T, name, columns string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.owner)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `CREATE TABLE `+name+` (`+columns+`); GRANT SELECT, INSERT ON `+name+` TO PUBLIC`)
	require.NoError(t, err)
}
