package migrations_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"nabat/dispatch/postgres/pgtest"
)

// A facility's page of notifications must not read everybody's. The statement is
// that of the console's list.
func TestAFacilitysNotificationsAreFoundByIndex(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := connect(t, pgtest.Owner(t, url))
	for _, sql := range []string{
		`INSERT INTO facilities (id, code, name, category, address, created_at, updated_at)
		 SELECT md5(n::text)::uuid, 'F' || n, '', 'other', '', now(), now() FROM generate_series(1, 500) n`,
		`SELECT make_notifications_month('2026-03-01')`,
		`INSERT INTO notifications (id, received_at, facility_id, account, protocol, class, condition, code, area, zone, user_no, text, raw, peer, seq, duplicate, dedup_key, why)
		 SELECT gen_random_uuid(), timestamptz '2026-03-01' + n * interval '10 s', CASE WHEN n % 3 = 0 THEN md5((n % 497)::text)::uuid END,
		        (n % 497)::text, 'dc09', 'fire', 'alarm', '', '', '', '', '', '', '', '', false, '', '' FROM generate_series(1, 100000) n`,
		`ANALYZE`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for _, code := range []string{"F7", "F500"} { // one with many and one with none, which a walk backwards in time never finds
		rows, err := conn.Query(t.Context(), `EXPLAIN SELECT n.id, n.received_at, n.raw, COALESCE(f.code, '')
			FROM notifications n LEFT JOIN facilities f ON f.id = n.facility_id
			WHERE n.facility_id = (SELECT id FROM facilities WHERE code = '`+code+`')
			ORDER BY n.received_at DESC, n.id DESC LIMIT 51`)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		plan := strings.Join(lines, "\n")
		require.Contains(t, plan, "notifications_2026_03_facility_id_received_at", plan)
		require.NotContains(t, plan, "Seq Scan on notifications_2026_03", plan)
	}
}
