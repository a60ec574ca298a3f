package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"nabat/dispatch/postgres/pgserver"
	"nabat/dispatch/postgres/pgtest"
	"nabat/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b := pgtest.New(t), pgtest.New(t)
	require.NotEqual(t, a, b)
	connA, connB := connect(t, pgtest.Owner(t, a)), connect(t, b)
	_, err := connA.Exec(t.Context(), "CREATE TABLE only_here (n int)")
	require.NoError(t, err)
	var there bool
	require.NoError(t, connB.QueryRow(t.Context(), "SELECT to_regclass('only_here') IS NOT NULL").Scan(&there))
	require.False(t, there)
}

func TestDatabaseIsMigratedAndTheEnginesRoleIsNobodySpecial(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pending, err := migrations.Pending(t.Context(), db)
	require.NoError(t, err)
	require.Zero(t, pending)
	facts, err := pgserver.Inspect(t.Context(), db)
	require.NoError(t, err)
	require.False(t, facts.Superuser)
	for url, want := range map[string]bool{db: false, pgtest.Owner(t, db): true} {
		state, err := migrations.Look(t.Context(), url)
		require.NoError(t, err)
		require.Equal(t, want, state.Owns)
	}
	facts, err = pgserver.Inspect(t.Context(), pgtest.Owner(t, db))
	require.NoError(t, err)
	require.False(t, facts.Superuser)
	facts, err = pgserver.Inspect(t.Context(), pgtest.Admin(t, db))
	require.NoError(t, err)
	require.True(t, facts.Superuser)
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(t.Context()) }) // the database is dropped by force all the same
	return conn
}
