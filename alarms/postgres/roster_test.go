package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	alarmsdb "nabat/alarms/postgres"
	"nabat/alarms/roster"
	"nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgtest"
)

func TestImportIsAllOrNothingAndExportReadsTheSame(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), pgtest.New(t), postgres.PoolOptions{})
	require.NoError(t, err)
	defer pool.Close()
	s := alarmsdb.NewStore(pool, nil)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	lat, lon := 59.93, 30.31
	facilities := roster.Table{Facilities: []roster.Facility{
		{Code: "S1", Name: "Школа № 1", Category: "education", Address: "Невский пр., 1", District: "Центральный", Lat: &lat, Lon: &lon},
		{Code: "S2", Name: "Школа № 2", Category: "education", Address: "Садовая ул., 2"},
	}}
	empty, err := s.Mark(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Import(t.Context(), facilities, now, true))
	mark, err := s.Mark(t.Context())
	require.NoError(t, err)
	require.Equal(t, empty, mark, "a dry run keeps nothing")

	require.NoError(t, s.Import(t.Context(), facilities, now, false))
	err = s.Import(t.Context(), roster.Table{Accounts: []roster.Account{
		{Account: "AB12", Facility: "S1", Line: 2}, {Account: "AB13", Facility: "S9", Line: 3},
	}}, now, false)
	var faults *roster.FaultsError
	require.ErrorAs(t, err, &faults)
	require.Equal(t, []roster.Fault{{Line: 3, Column: 1, Reason: `facility "S9" is not in the registry`}}, faults.Faults)

	accounts := []roster.Account{{Account: "AB12", Facility: "S1", Protocol: "dc09", Heartbeat: 90}}
	require.NoError(t, s.Import(t.Context(), roster.Table{Accounts: accounts}, now, false))
	f, a, err := s.Export(t.Context())
	require.NoError(t, err)
	require.Equal(t, facilities, f)
	require.Equal(t, accounts, a.Accounts)
	panels, err := s.Panels(t.Context())
	require.NoError(t, err)
	require.Len(t, panels, 1, "the refused table left nothing behind")

	// A facility that is imported again takes the new values and keeps its id.
	facilities.Facilities[0].Name = "Гимназия № 1"
	require.NoError(t, s.Import(t.Context(), facilities, now.Add(time.Hour), false))
	again, err := s.Panels(t.Context())
	require.NoError(t, err)
	require.Equal(t, panels[0].Facility.ID, again[0].Facility.ID)
	require.Equal(t, "Гимназия № 1", again[0].Facility.Name)
	changed, err := s.Mark(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, mark, changed)
}
