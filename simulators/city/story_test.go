package city_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nabat/simulators/city"
)

func TestTellerKeepsTheProportions(t *testing.T) {
	t.Parallel()
	teller := city.NewTeller(7)
	const n = 20_000
	idle, several, needed := 0, 0, 0
	for range n {
		s := teller.Story()
		if !s.Needed() {
			idle++
			require.NotEmpty(t, s.Reason)
			continue
		}
		needed++
		require.NotEmpty(t, s.Type)
		require.NotEmpty(t, s.Place)
		if len(s.Services) > 1 {
			several++
		}
	}
	require.InDelta(t, 0.42, float64(idle)/n, 0.02)
	require.InDelta(t, 1.0/12, float64(several)/float64(needed), 0.03)
}

func TestTellerRepeatsItself(t *testing.T) {
	t.Parallel()
	a, b := city.NewTeller(1), city.NewTeller(1)
	for range 100 {
		require.Equal(t, a.Story(), b.Story())
		require.Equal(t, a.Caller(), b.Caller())
	}
}

func TestGuess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, kind, place string }{
		{"ул. Труда, д. 5. Дым из окна третьего этажа.", "fire", "ул. Труда, д. 5"},
		{"г. Колпино, пр. Ленина, д. 12. Сильный запах газа в подъезде.", "gas", "г. Колпино, пр. Ленина, д. 12"},
		{"Большой пр. П. С., д. 7. Драка у магазина, человек пять.", "public_order", "Большой пр. П. С., д. 7"},
		{"Пожар, Невский проспект, дом 1", "fire", "Невский проспект, дом 1"},
		{"помогите", "other", "место уточняется (из SMS)"},
		{"", "other", "место уточняется (из SMS)"},
	} {
		kind, place := city.Guess(c.text)
		require.Equal(t, c.kind, kind, c.text)
		require.Equal(t, c.place, place, c.text)
	}
	// What the teller writes, the call-taker finds the place of.
	teller := city.NewTeller(3)
	for range 500 {
		text, s := teller.SMS()
		_, place := city.Guess(text)
		require.Equal(t, s.Place, place, text)
	}
}
