package roster_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"nabat/alarms/roster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFacilities(t *testing.T) {
	t.Parallel()
	got, err := roster.Read(strings.NewReader("\ufefffacility_id,name,category,address,district,lat,lon,phone\n" +
		"S1,\"Школа № 1, имени Пушкина\",education,\"Невский пр., 1\",Центральный,59.93,30.31,+7 812 000-00-01\n" +
		"S2,Школа № 2,education,Садовая ул. 2,,,,\n"))
	require.NoError(t, err)
	require.Len(t, got.Facilities, 2)
	require.Equal(t, "Школа № 1, имени Пушкина", got.Facilities[0].Name)
	require.InDelta(t, 59.93, *got.Facilities[0].Lat, 1e-9)
	require.Nil(t, got.Facilities[1].Lon)
}

func TestAccountsInAnyOrderWithSemicolons(t *testing.T) {
	t.Parallel()
	got, err := roster.Read(strings.NewReader("Facility_ID; account\nS1;ab12\n"))
	require.NoError(t, err)
	require.Equal(t, []roster.Account{{Account: "AB12", Facility: "S1", At: roster.Place{Line: 2, Column: 1}}}, got.Accounts)
}

func TestEveryMistakeIsNamedWithItsPlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		table string
		want  []string
	}{
		"empty":          {"", []string{"1:1: the table is empty"}},
		"unknown column": {"facility_id,name,category,address,colour\n", []string{`1:35: unknown column "colour"`}},
		"missing column": {"facility_id,name,category\n", []string{`1:1: column "address" is missing`}},
		"doubled column": {"account,facility_id,account\n", []string{`1:21: column "account" stands twice`}},
		"several at once": {"facility_id,name,category,address,lat,lon\nS1,,school,x,91,\nS1,n,health,y,1,2\n", []string{
			"2:4: name must not be empty", `2:14: lat "91" is not between`, `2:5: category "school"`, "2:17: lat and lon go together",
			`3:1: facility_id "S1" stands in line 2 already`,
		}},
		"short row":     {"account,facility_id\nAB12\n", []string{"2:1: 1 fields, the header has 2"}},
		"bad account":   {"account,facility_id\nXYZ1,S1\nAB,S1\n", []string{"2:1: account", "3:1: account"}},
		"bad heartbeat": {"account,facility_id,heartbeat_s\nAB12,S1,-5\n", []string{"2:9: heartbeat_s"}},
		"bad zones": {"account,area,zone,kind,place\nAB12,1,007,fire,x\nAB12,01,7,fire,y\nXX,a,12345,smoke,\nAB12,1,,fire,\n", []string{
			`3:9: zone "AB12/1/7" stands in line 2 already`, "4:1: account", `4:4: area "a"`, `4:6: zone "12345"`,
			`4:12: kind "smoke" is not one of fire,`, "5:8: zone must not be empty",
		}},
		"zones without a kind": {"account,zone\n", []string{`1:1: column "kind" is missing`}},
		"not UTF-8":            {"account,facility_id\nAB12,\xcf\xee\xe6\n", []string{"2:6: is not UTF-8"}},
		"lone quote":           {"account,facility_id\nAB\"12,S1\n", []string{"2:3: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, err := roster.Read(strings.NewReader(c.table))
			var faults *roster.FaultsError
			require.ErrorAs(t, err, &faults)
			require.Empty(t, table)
			require.Len(t, faults.Faults, len(c.want), "%v", faults.Faults)
			for _, w := range c.want {
				found := false
				for _, f := range faults.Faults {
					found = found || strings.HasPrefix(f.String(), w)
				}
				require.True(t, found, "%q not in %v", w, faults.Faults)
			}
		})
	}
}

func TestExportIsWhatImportReads(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`[а-яA-Z0-9",;. №'-]{0,20}[а-яA-Z0-9]`)
	rapid.Check(t, func(t *rapid.T) {
		var fs []roster.Facility
		for i := range rapid.IntRange(0, 5).Draw(t, "n") {
			f := roster.Facility{
				Code: "S" + string(rune('A'+i)), Name: strings.TrimSpace(text.Draw(t, "name")), Category: "social",
				Address: strings.TrimSpace(text.Draw(t, "address")), District: "Невский",
			}
			if rapid.Bool().Draw(t, "point") {
				lat, lon := rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon")
				f.Lat, f.Lon = &lat, &lon
			}
			fs = append(fs, f)
		}
		var out bytes.Buffer
		require.NoError(t, roster.WriteFacilities(&out, fs))
		got, err := roster.Read(&out)
		require.NoError(t, err)
		require.Equal(t, fs, got.Facilities)
	})
}

func FuzzRead(f *testing.F) {
	f.Add("facility_id,name,category,address\nS1,a,social,b\n")
	f.Add("account;facility_id\nAB12;S1\n")
	f.Add("\ufeffaccount,area,zone,kind,place\nAB12,1,7,fire,x\n")
	f.Fuzz(func(t *testing.T, s string) {
		table, err := roster.Read(strings.NewReader(s))
		if err != nil {
			require.Empty(t, table)
			return
		}
		var out bytes.Buffer
		if table.Zones != nil {
			require.NoError(t, roster.WriteZones(&out, table.Zones))
			again, err := roster.Read(&out)
			require.NoError(t, err)
			require.Len(t, again.Zones, len(table.Zones))
			return
		}
		if table.Accounts != nil {
			require.NoError(t, roster.WriteAccounts(&out, table.Accounts))
			again, err := roster.Read(&out)
			require.NoError(t, err)
			require.Len(t, again.Accounts, len(table.Accounts))
			return
		}
		require.NoError(t, roster.WriteFacilities(&out, table.Facilities))
		again, err := roster.Read(&out)
		require.NoError(t, err)
		require.Len(t, again.Facilities, len(table.Facilities))
	})
}
