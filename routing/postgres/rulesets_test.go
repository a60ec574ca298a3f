package postgres_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/dispatch"
	"nabat/routing"
)

func ruleset(t testing.TB, comment string) *routing.Ruleset {
	t.Helper()
	set, err := routing.Compile("test", append([]byte("# "+comment+"\n"), routing.Default...), routing.DefaultVocabulary())
	require.NoError(t, err)
	return set
}

func TestPublishingNumbersRulesets(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, err := b.s.Active(t.Context())
	require.ErrorIs(t, err, dispatch.ErrNotFound)

	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3*3600))
	for _, step := range []struct {
		text  string
		want  int
		fresh bool
	}{
		{"a", 1, true}, {"a", 1, false}, {"b", 2, true}, {"a", 3, true}, // an old text again is a new decision
	} {
		n, fresh, err := b.s.Publish(t.Context(), ruleset(t, step.text), "operator:admin", at)
		require.NoError(t, err)
		require.Equal(t, step.want, n)
		require.Equal(t, step.fresh, fresh)
	}
	p, err := b.s.Active(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, p.Number)
	require.Equal(t, ruleset(t, "a").Body, p.Body)
	require.Equal(t, ruleset(t, "a").SHA, p.SHA)
	require.Equal(t, dispatch.Actor("operator:admin"), p.By)
	require.Equal(t, time.Date(2026, 3, 1, 9, 0, 0, 123456000, time.UTC), p.At)

	old, err := b.s.Ruleset(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, ruleset(t, "b").Body, old.Body)
	_, err = b.s.Ruleset(t.Context(), 9)
	require.ErrorIs(t, err, dispatch.ErrNotFound)

	// What was published compiles again to the same decisions.
	again, err := routing.Compile("published", p.Body, routing.DefaultVocabulary())
	require.NoError(t, err)
	f := dispatch.Facts{Class: "gas"}
	require.Equal(t, ruleset(t, "a").Decide(f), again.Decide(f))
}

func TestPublishingAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	const admins = 8
	numbers := make([]int, admins)
	var wg sync.WaitGroup
	for i := range admins {
		set := ruleset(t, fmt.Sprint(i))
		wg.Go(func() { numbers[i], _, _ = b.s.Publish(t.Context(), set, "operator:admin", time.Now()) })
	}
	wg.Wait()
	require.ElementsMatch(t, []int{1, 2, 3, 4, 5, 6, 7, 8}, numbers)
}

func TestInForceStartsWithTheInitialSet(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	v := routing.DefaultVocabulary()
	set, err := b.s.InForce(t.Context(), ruleset(t, "initial"), v, time.Now())
	require.NoError(t, err)
	require.Equal(t, 1, set.Number)
	_, _, err = b.s.Publish(t.Context(), ruleset(t, "second"), "operator:admin", time.Now())
	require.NoError(t, err)
	set, err = b.s.InForce(t.Context(), ruleset(t, "initial"), v, time.Now())
	require.NoError(t, err)
	require.Equal(t, 2, set.Number)
	require.Equal(t, ruleset(t, "second").SHA, set.SHA)

	v.Services = v.Services[:1]
	_, err = b.s.InForce(t.Context(), ruleset(t, "initial"), v, time.Now())
	var faults *routing.FaultsError
	require.ErrorAs(t, err, &faults)
	require.Equal(t, "ruleset-2.yaml", faults.Faults[0].File)
}
