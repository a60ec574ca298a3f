package tally

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bucket's greatest duration lies in that bucket, and the next microsecond in
// the next one.
func TestBucketsHaveNoGaps(t *testing.T) {
	t.Parallel()
	for b := range 2000 {
		require.Equal(t, b, bucket(upper(b)))
		require.Equal(t, b+1, bucket(upper(b)+time.Microsecond))
	}
	require.Zero(t, bucket(-time.Second))
}

func TestQuantilesAreWithinTwoPerCent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 2000).Draw(rt, "n")
		rng := rand.New(rand.NewPCG(uint64(n), 1))
		var h histogram
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond)).Truncate(time.Microsecond)
			h.add(all[i])
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.95, 0.99} {
			i := int(float64(n)*q+0.999999) - 1
			exact := all[min(max(i, 0), n-1)]
			require.InEpsilon(rt, float64(exact)+1e3, float64(h.quantile(q))+1e3, 0.02, "n %d q %v", n, q)
		}
		require.Equal(rt, all[n-1], h.most)
	})
}

func TestReport(t *testing.T) {
	t.Parallel()
	tl := New("panels")
	require.True(t, tl.Report().Whole(), "nothing sent, nothing lost")
	for range 3 {
		tl.Sent()
	}
	tl.Acknowledged(2 * time.Millisecond)
	tl.Acknowledged(4 * time.Millisecond)
	require.False(t, tl.Report().Whole(), "one is still out")
	tl.Lost("no answer")
	tl.Lost("later")
	tl.Note("heard", 5)
	r := tl.Report()
	require.False(t, r.Whole())
	require.Equal(t, "no answer", r.Failure)
	require.InDelta(t, 4, r.Latency.Max, 0.001)
	require.Equal(t, map[string]int64{"heard": 5}, r.Notes)
	var out bytes.Buffer
	r.Print(&out)
	require.Contains(t, out.String(), "потеряно")
	require.Contains(t, out.String(), "no answer")
}
