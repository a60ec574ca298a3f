package alarms_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/alarms"
)

func load(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("dc09/testdata/" + name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into))
}

// Every code-coverage frame from octets to class, condition and fields.
func TestCodeCoverageFrames(t *testing.T) {
	t.Parallel()
	var vs []struct {
		ID, Hex string
		Event   map[string]string
	}
	load(t, "codes.json", &vs)
	require.Len(t, vs, 95)
	for _, v := range vs {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			octets, err := hex.DecodeString(v.Hex)
			require.NoError(t, err)
			env, msg, verdict := alarms.Read(parse(t, octets), "", noon)
			require.Zero(t, verdict)
			requireEvent(t, v.Event, env, msg)
			e := msg.Events[0]
			if want, ok := v.Event["number"]; ok {
				require.Equal(t, want, e.Zone+e.User)
			}
		})
	}
}

// The frames around the edges of the time window, by the receiver's clock of
// 2025-05-06 10:20:50 UTC. In this part a wrong time is noted, not refused.
func TestTimeWindowFrames(t *testing.T) {
	t.Parallel()
	clock := time.Date(2025, 5, 6, 10, 20, 50, 0, time.UTC)
	var vs []struct {
		Offset int `json:"offset_s"`
		Hex    string
		Expect string
	}
	load(t, "window.json", &vs)
	require.Len(t, vs, 7)
	for _, v := range vs {
		t.Run(strconv.Itoa(v.Offset), func(t *testing.T) {
			t.Parallel()
			octets, err := hex.DecodeString(v.Hex)
			require.NoError(t, err)
			_, msg, verdict := alarms.Read(parse(t, octets), "", clock)
			require.Zero(t, verdict)
			require.Equal(t, v.Expect == "NAK", msg.ClockWrong)
			require.Equal(t, clock.Add(time.Duration(v.Offset)*time.Second), msg.OccurredAt)
		})
	}
}
