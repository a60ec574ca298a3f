package alarms_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"nabat/alarms"
	"nabat/alarms/dc09"
)

// FuzzRead: every good frame gets a verdict or a message that a database takes,
// with words of the house's vocabulary; and what is taken is answered.
func FuzzRead(f *testing.F) {
	text, err := os.ReadFile("dc09/testdata/frames.json")
	require.NoError(f, err)
	var vs []struct{ Hex string }
	require.NoError(f, json.Unmarshal(text, &vs))
	for _, v := range vs {
		octets, err := hex.DecodeString(v.Hex)
		require.NoError(f, err)
		if fr, _, err := dc09.Next(octets, true); err == nil {
			f.Add(fr.Body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < 2 || body[0] != '"' || len(body) > dc09.MaxBody {
			t.Skip()
		}
		fr, _, err := dc09.Next(dc09.AppendFrame(nil, body, dc09.CRCHex), false)
		require.NoError(t, err)
		_, msg, v := alarms.Read(fr, "", noon)
		if v != 0 {
			require.NotEqual(t, alarms.Stored, v)
			require.NotEqual(t, alarms.Fault, v)
			return
		}
		for _, e := range msg.Events {
			for _, s := range []string{e.Code, e.Area, e.Zone, e.User, e.Text, e.Title} {
				require.True(t, utf8.ValidString(s), "%q", s)
				require.NotContains(t, s, "\x00")
			}
			ru, en := e.Class.Title()
			require.NotEmpty(t, ru, e.Class)
			require.NotEmpty(t, en, e.Class)
			ru, en = e.Condition.Title()
			require.NotEmpty(t, ru, e.Condition)
			require.NotEmpty(t, en, e.Condition)
		}
		h := newHouse(t)
		require.Equal(t, dc09.ACK, h.Take(t.Context(), &msg).Reply())
	})
}
