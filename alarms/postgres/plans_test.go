package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"nabat/dispatch/postgres/pgtest"
)

// The lists of notifications by account and by facility, as package
// console/postgres asks for them, stay pages and never become walks over all.
func TestNarrowedListsOfNotificationsUseAnIndex(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), pgtest.Admin(t, pgtest.New(t)))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `
		INSERT INTO facilities (id, code, name, category, address, created_at, updated_at)
		SELECT md5('f' || g)::uuid, 'F' || g, '', 'other', '', now(), now() FROM generate_series(0, 99) g;
		INSERT INTO notifications (id, received_at, account, facility_id, protocol, class, condition, code, area, zone, user_no,
		                           text, raw, peer, seq, duplicate, dedup_key, why)
		SELECT gen_random_uuid(), now() + g * interval '1 s', 'A' || g % 100, md5('f' || g % 100)::uuid, 'dc09', 'fire', 'alarm',
		       '1110', '01', '001', '', '', '', '', '', false, '', '' FROM generate_series(1, 20000) g;
		ANALYZE facilities; ANALYZE notifications`)
	require.NoError(t, err)
	for where, index := range map[string]string{
		`n.account = 'A7'`: "account_received_at",
		`n.facility_id = (SELECT id FROM facilities WHERE code = 'F7')`: "facility_id_received_at",
	} {
		rows, err := conn.Query(t.Context(), `EXPLAIN SELECT n.id, n.raw, f.code FROM notifications n LEFT JOIN facilities f ON f.id = n.facility_id
			WHERE `+where+` ORDER BY n.received_at DESC, n.id DESC LIMIT 51`)
		require.NoError(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Contains(t, strings.Join(plan, "\n"), "notifications_default_"+index, where)
	}
}
