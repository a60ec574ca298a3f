package engine

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPanelsAndTrunksLeaveDescriptorsForTheHouse(t *testing.T) {
	t.Parallel()
	require.Equal(t, share{panels: 10_000, trunks: 1000, consoles: 2500}, shareOf(20_000))
	require.Equal(t, share{panels: 512, trunks: 128, consoles: 128}, shareOf(1024))
	require.Equal(t, share{panels: 20_000, trunks: 1000, consoles: 4000}, shareOf(math.MaxUint64))
	require.Equal(t, share{panels: 1, trunks: 1, consoles: 1}, shareOf(0))
	require.Positive(t, openFiles())
}
