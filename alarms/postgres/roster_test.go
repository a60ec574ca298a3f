package postgres_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/alarms"
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
	load := func(table roster.Table, dry bool) {
		t.Helper()
		_, err := s.Import(t.Context(), []roster.Table{table}, now, dry)
		require.NoError(t, err)
	}
	facilities := roster.Table{Facilities: []roster.Facility{
		{Code: "S1", Name: "Школа № 1", Category: "education", Address: "Невский пр., 1", District: "Центральный", Lat: &lat, Lon: &lon},
		{Code: "S2", Name: "Школа № 2", Category: "education", Address: "Садовая ул., 2"},
	}}
	empty, err := s.Mark(t.Context())
	require.NoError(t, err)
	load(facilities, true)
	mark, err := s.Mark(t.Context())
	require.NoError(t, err)
	require.Equal(t, empty, mark, "a dry run keeps nothing")

	load(facilities, false)
	at, err := s.Import(t.Context(), []roster.Table{facilities, {Accounts: []roster.Account{
		{Account: "AB12", Facility: "S1", At: roster.Place{Line: 2, Column: 6}}, {Account: "AB13", Facility: "S9", At: roster.Place{Line: 3, Column: 7}},
	}}}, now, false)
	require.Equal(t, 1, at)
	var faults *roster.FaultsError
	require.ErrorAs(t, err, &faults)
	require.Equal(t, []roster.Fault{{Line: 3, Column: 7, Reason: `facility "S9" is not in the registry`}}, faults.Faults)

	accounts := []roster.Account{{Account: "AB12", Facility: "S1", Protocol: "dc09", Heartbeat: 90}}
	load(roster.Table{Accounts: accounts}, false)
	f, a, _, err := s.Export(t.Context())
	require.NoError(t, err)
	require.Equal(t, facilities, f)
	require.Equal(t, accounts, a.Accounts)
	panels, err := s.Panels(t.Context())
	require.NoError(t, err)
	require.Len(t, panels, 1, "the refused table left nothing behind")

	// A facility that is imported again takes the new values and keeps its id.
	facilities.Facilities[0].Name = "Гимназия № 1"
	now = now.Add(time.Hour)
	load(facilities, false)
	again, err := s.Panels(t.Context())
	require.NoError(t, err)
	require.Equal(t, panels[0].Facility.ID, again[0].Facility.ID)
	require.Equal(t, "Гимназия № 1", again[0].Facility.Name)
	changed, err := s.Mark(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, mark, changed)
}

// The whole registry in one import: panels and zones may name what stands in a
// table before theirs. The export reads as the same tables.
func TestZonesGoRoundAndFollowTheirPanel(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), pgtest.New(t), postgres.PoolOptions{})
	require.NoError(t, err)
	defer pool.Close()
	s := alarmsdb.NewStore(pool, nil)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	read := func(text string) roster.Table {
		t.Helper()
		table, err := roster.Read(strings.NewReader(text))
		require.NoError(t, err)
		return table
	}
	all := []roster.Table{
		read("facility_id,name,category,address\nS1,Школа № 1,education,\"Невский пр., 1\"\n"),
		read("account,facility_id,protocol,heartbeat_s\nAB12,S1,dc09,90\nAB13,S1,dc09,0\n"),
		read("account,area,zone,kind,place\nAB12,01,003,fire,Столовая\nAB12,01,004,panic,Вахта\n"),
		read("account,area,zone,kind,place\nAB13,,7,gas,\"Котельная, подвал\"\n"),
	}
	empty, err := s.Mark(t.Context())
	require.NoError(t, err)
	_, err = s.Import(t.Context(), all, now, true)
	require.NoError(t, err)
	stranger := read("place,kind,zone,account\nx,fire,1,AB12\nx,fire,1,FFFF\n")
	at, err := s.Import(t.Context(), append(slices.Clone(all), stranger), now, false)
	var faults *roster.FaultsError
	require.ErrorAs(t, err, &faults)
	require.Equal(t, 4, at)
	require.Equal(t, []roster.Fault{{Line: 3, Column: 10, Reason: `account "FFFF" is not in the registry`}}, faults.Faults)
	mark, err := s.Mark(t.Context())
	require.NoError(t, err)
	require.Equal(t, empty, mark, "all or nothing, over all tables")

	_, err = s.Import(t.Context(), all, now, false)
	require.NoError(t, err)
	f, a, z, err := s.Export(t.Context())
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, roster.WriteZones(&out, z.Zones))
	require.Equal(t, "account,area,zone,kind,place\nAB12,01,003,fire,Столовая\nAB12,01,004,panic,Вахта\nAB13,,7,gas,\"Котельная, подвал\"\n", out.String())
	mark, err = s.Mark(t.Context())
	require.NoError(t, err)

	// One zone gets another place: the others stay, and running engines notice.
	_, err = s.Import(t.Context(), []roster.Table{read("account,area,zone,kind,place\nAB12,01,003,fire,Буфет\n")}, now.Add(time.Minute), false)
	require.NoError(t, err)
	moved, err := s.Mark(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, mark, moved)
	panels, err := s.Panels(t.Context())
	require.NoError(t, err)
	for _, p := range panels {
		if p.Account == "AB12" {
			require.Equal(t, []alarms.Zone{
				{Area: "01", Number: "003", Kind: alarms.ClassFire, Place: "Буфет"}, {Area: "01", Number: "004", Kind: alarms.ClassPanic, Place: "Вахта"},
			}, p.Zones)
		}
	}
	require.Len(t, f.Facilities, 1)
	require.Len(t, a.Accounts, 2)
}
