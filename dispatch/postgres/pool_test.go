package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgserver"
	"nabat/dispatch/postgres/pgtest"
)

// Somebody switches durability off for the role or the database: the engine's
// sessions do not forget, and readiness says where it comes from.
func TestDurabilityIsNotToBeSwitchedOffByTheWay(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	admin, err := pgx.Connect(t.Context(), pgtest.Admin(t, url))
	require.NoError(t, err)
	defer admin.Close(t.Context())
	cfg, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	db, role := pgx.Identifier{cfg.Database}.Sanitize(), pgx.Identifier{cfg.User}.Sanitize()
	for _, where := range []string{"DATABASE " + db, "ROLE " + role + " IN DATABASE " + db} {
		_, err = admin.Exec(t.Context(), "ALTER "+where+" SET synchronous_commit = off")
		require.NoError(t, err)
		pool, err := postgres.Open(t.Context(), url, postgres.PoolOptions{MaxConns: 1})
		require.NoError(t, err)
		var now string
		require.NoError(t, pool.QueryRow(t.Context(), `SHOW synchronous_commit`).Scan(&now))
		pool.Close()
		require.Equal(t, "on", now)
		err = pgserver.CheckDurability(t.Context(), url)
		require.ErrorIs(t, err, pgserver.ErrNotDurable)
		require.ErrorContains(t, err, "ALTER "+where+" RESET synchronous_commit")
		_, err = admin.Exec(t.Context(), "ALTER "+where+" RESET synchronous_commit")
		require.NoError(t, err)
	}
}
