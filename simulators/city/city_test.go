package city_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	"github.com/paulmach/orb/geojson"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/simulators/city"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCountsAreExact(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{city.DemoSeed, 1, 2} {
		category := map[string]int{}
		kind := map[string]int{}
		for _, f := range city.Build(seed) {
			category[f.Category]++
			for _, k := range []string{city.ZoneFire, city.ZonePanic, city.ZoneIntrusion, city.ZoneGas} {
				if f.Has(k) {
					kind[k]++
				}
			}
		}
		require.Equal(t, map[string]int{"education": 3101, "health": 1098, "social": 491, "other": 1716}, category)
		require.Equal(t, map[string]int{"fire": 6334, "panic": 4909, "intrusion": 2173, "gas": 1386}, kind)
	}
	require.Equal(t, 6406, city.Total)
}

func TestEveryFacilityIsWhole(t *testing.T) {
	t.Parallel()
	account := regexp.MustCompile(`^[1-9A-F][0-9A-F]{3}([0-9A-F]{2})?$`)
	phone := regexp.MustCompile(`^\+7812000\d{4}$`)
	accounts, codes, names, phones := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	unique := func(set map[string]bool, v string) {
		require.False(t, set[v], "twice: %s", v)
		set[v] = true
	}
	for _, f := range city.Demo() {
		unique(codes, f.Code)
		unique(names, f.Name)
		unique(phones, f.Phone)
		require.Regexp(t, phone, f.Phone)
		require.Regexp(t, `, д\. \d+$`, f.Address)
		require.Len(t, f.Panels, 1)
		p := f.Panels[0]
		unique(accounts, p.Account)
		require.Regexp(t, account, p.Account)
		require.GreaterOrEqual(t, p.HeartbeatS, 20)
		require.LessOrEqual(t, p.HeartbeatS, 90)
		require.NotEmpty(t, p.Zones, f.Code)
		numbers := map[string]bool{}
		for _, z := range p.Zones {
			unique(numbers, z.Area+"/"+z.Number)
			require.NotEmpty(t, z.Code)
			require.NotEmpty(t, z.Place)
		}
	}
}

// Every point lies within its own district's outline and in no other one.
func TestPointsAndOutlines(t *testing.T) {
	t.Parallel()
	ds := city.Districts()
	require.Len(t, ds, 18)
	seen := map[string]int{}
	for _, f := range city.Demo() {
		seen[f.District]++
		for _, d := range ds {
			if d.Contains(f.Lat, f.Lon) != (d.Name == f.District) { // 115,000 times: no require
				t.Fatalf("%s of %s at %v,%v: %s", f.Code, f.District, f.Lat, f.Lon, d.Name)
			}
		}
	}
	for _, d := range ds {
		require.Positive(t, seen[d.Name], d.Name)
		require.True(t, d.Outline.Closed(), d.Name)
		require.GreaterOrEqual(t, len(d.Outline)-1, 8, d.Name)
		require.LessOrEqual(t, len(d.Outline)-1, 15, d.Name)
	}
	// Places that everybody knows, to see that the sketches lie where they should.
	for name, p := range map[string][2]float64{
		"Центральный":   {59.9343, 30.3590}, // Vosstaniya square
		"Московский":    {59.8003, 30.2625}, // Pulkovo
		"Кронштадтский": {59.9917, 29.7730}, // the naval cathedral
		"Пушкинский":    {59.7159, 30.3956}, // the Catherine palace
		"Колпинский":    {59.7500, 30.5900},
		"Курортный":     {60.1990, 29.7000}, // Zelenogorsk
	} {
		d, ok := city.DistrictAt(p[0], p[1])
		require.True(t, ok, name)
		require.Equal(t, name, d.Name)
	}
	_, ok := city.DistrictAt(55.75, 37.61)
	require.False(t, ok, "Moscow is not in St. Petersburg")
}

// The demo city never changes by itself: printed command lines, tests and
// exported databases name its facilities.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	sum := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:8])
	}
	demo := sum(city.Demo())
	require.Equal(t, demo, sum(city.Build(city.DemoSeed)))
	require.NotEqual(t, demo, sum(city.Build(city.DemoSeed+1)))
	require.Equal(t, wantDemo, demo, "the demo city has changed: mend the constant if that was meant")
}

func TestGeoJSON(t *testing.T) {
	t.Parallel()
	b, err := city.GeoJSON()
	require.NoError(t, err)
	fc, err := geojson.UnmarshalFeatureCollection(b)
	require.NoError(t, err)
	require.Len(t, fc.Features, 18)
	for _, f := range fc.Features {
		require.Equal(t, true, f.Properties["approximate"])
		require.Equal(t, "Polygon", f.Geometry.GeoJSONType(), fmt.Sprint(f.ID))
	}
}

const wantDemo = "6e8e844384c1cbc9"
