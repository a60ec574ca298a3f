package migrations_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"nabat/dispatch/postgres/pgtest"
	"nabat/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

// Whoever takes the engine over cannot rewrite the journal with its role.
func TestTheEnginesRoleCannotTouchWhatIsWritten(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := connect(t, url)
	for _, sql := range []string{
		`ALTER TABLE events DISABLE TRIGGER ALL`, `ALTER TABLE events DISABLE TRIGGER events_append_only`,
		`SET session_replication_role = 'replica'`,
		`DROP TABLE events`, `DROP TABLE events CASCADE`, `DROP TRIGGER events_append_only ON events`,
		`DROP FUNCTION events_append_only() CASCADE`,
		`CREATE OR REPLACE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
		`CREATE TRIGGER quiet BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION events_append_only()`,
		`CREATE RULE quiet AS ON INSERT TO events DO INSTEAD NOTHING`,
		`INSERT INTO events (seq, id, incident_id, version, at, actor, kind, data_sha, prev_hash, hash) OVERRIDING SYSTEM VALUE
		 VALUES (-1, gen_random_uuid(), gen_random_uuid(), 1, now(), 'x', 'x', '', '', '')`,
		`UPDATE events SET actor = 'x'`, `DELETE FROM events`, `TRUNCATE events`,
		`ALTER TABLE events OWNER TO current_user`,
		`UPDATE audit_heads SET sig = ''`, `DELETE FROM audit_heads`, `TRUNCATE audit_heads`, `DROP TABLE audit_heads`,
		`UPDATE rulesets SET body = ''`, `DELETE FROM rulesets`,
		`DELETE FROM incidents`, `DELETE FROM contacts`, `DELETE FROM notifications`, `UPDATE notifications SET why = ''`,
		`CREATE TABLE mine (n int)`, `CREATE SCHEMA mine`, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9, true)`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "SQLSTATE 42501", sql)
	}
	state, err := migrations.Look(t.Context(), url)
	require.NoError(t, err)
	require.False(t, state.Owns)
	_, err = conn.Exec(t.Context(), `SELECT make_notifications_month('2031-02-03')`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `SELECT make_notifications_month('2031-03-03 BC')`)
	require.Error(t, err)
}

// Functions that somebody else may make where the engine's tables are, as a
// database carried over from before PostgreSQL 15 allows, are not run as the owner.
func TestTheOwnersFunctionIsNotMisled(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	owner := connect(t, pgtest.Owner(t, url))
	_, err := owner.Exec(t.Context(), `GRANT CREATE ON SCHEMA public TO PUBLIC`)
	require.NoError(t, err)
	conn := connect(t, url)
	for _, args := range []string{"text, text", "text, timestamptz, timestamptz, text", "text, text, timestamptz, timestamptz"} {
		_, err = conn.Exec(t.Context(), `CREATE FUNCTION public.format(`+args+`) RETURNS text LANGUAGE sql AS $$ SELECT 'ALTER TABLE public.events DISABLE TRIGGER ALL' $$`)
		require.NoError(t, err)
	}
	_, err = conn.Exec(t.Context(), `SELECT make_notifications_month('2033-02-03')`)
	require.NoError(t, err)
	var off int
	require.NoError(t, owner.QueryRow(t.Context(), `SELECT count(*) FROM pg_trigger WHERE tgrelid = 'events'::regclass AND tgenabled = 'D'`).Scan(&off))
	require.Zero(t, off)
	require.NoError(t, owner.QueryRow(t.Context(), `SELECT 1 FROM pg_class WHERE relname = 'notifications_2033_02'`).Scan(&off))
}

// A table that a later migration makes must be given its rights, or none, on
// purpose; and running again takes away what somebody gave by hand.
func TestEveryTableHasItsRights(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	owner := connect(t, pgtest.Owner(t, url))
	engine := connect(t, url)
	rows, err := owner.Query(t.Context(), `SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, tables, "events")
	for _, table := range tables {
		var may bool
		require.NoError(t, engine.QueryRow(t.Context(), `SELECT has_table_privilege($1, 'SELECT')`, table).Scan(&may))
		require.True(t, may, "no rights on %s: add it to rights.go", table)
	}
	_, err = owner.Exec(t.Context(), `GRANT UPDATE, TRUNCATE ON events TO `+pgx.Identifier{engine.Config().User}.Sanitize())
	require.NoError(t, err)
	_, err = migrations.Run(t.Context(), pgtest.Owner(t, url), url)
	require.NoError(t, err)
	_, err = engine.Exec(t.Context(), `TRUNCATE events`)
	require.ErrorContains(t, err, "SQLSTATE 42501")
}

// Who has one role uses it for both.
func TestOneRoleForBoth(t *testing.T) {
	t.Parallel()
	url := pgtest.Owner(t, pgtest.NewEmpty(t))
	done, err := migrations.Run(t.Context(), url, url)
	require.NoError(t, err)
	require.NotEmpty(t, done)
	done, err = migrations.Run(t.Context(), url, "")
	require.NoError(t, err)
	require.Empty(t, done)
	state, err := migrations.Look(t.Context(), url)
	require.NoError(t, err)
	require.True(t, state.Owns)
}
