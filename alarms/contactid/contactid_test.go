package contactid_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/alarms/contactid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type vector struct {
	ID    string            `json:"id"`
	Data  string            `json:"data"`
	Event map[string]string `json:"event"` // nil: refused or unknown
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/events.json")
	require.NoError(t, err)
	var vs []vector
	require.NoError(t, json.Unmarshal(text, &vs))
	return vs
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			e, err := contactid.Parse(v.Data)
			if v.ID == "P-64" { // an area of one digit
				require.ErrorIs(t, err, contactid.ErrMalformed)
				return
			}
			require.NoError(t, err)
			entry, known := contactid.Lookup(e.Code)
			condition, ok := entry.Condition(e.Qualifier)
			if v.ID == "P-63" { // qualifier 9
				require.False(t, ok)
				return
			}
			if v.Event == nil {
				return // the frame is what that vector is about
			}
			if v.Event["class"] == "unknown" {
				require.False(t, known)
				return
			}
			require.True(t, known)
			require.True(t, ok)
			require.Equal(t, v.Event["class"], entry.Class)
			require.Equal(t, v.Event["condition"], condition)
			require.Equal(t, v.Event["code"], string(e.Qualifier)+e.Code)
			if want := v.Event["area"]; want != "" {
				require.Equal(t, want, e.Area)
			}
			if want := v.Event["zone"]; want != "" {
				require.False(t, entry.User)
				require.Equal(t, want, e.Number)
			}
			if want := v.Event["user"]; want != "" {
				require.True(t, entry.User)
				require.Equal(t, want, e.Number)
			}
		})
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	es := contactid.Entries()
	require.Len(t, es, 214)
	for _, e := range es {
		require.NotEmpty(t, e.Class, e.Code)
		require.NotEmpty(t, e.RU, e.Code)
		require.NotEmpty(t, e.EN, e.Code)
		for _, q := range []byte("136") {
			_, ok := e.Condition(q)
			require.True(t, ok, e.Code)
		}
		_, ok := e.Condition('9')
		require.False(t, ok, e.Code)
	}
	_, ok := contactid.Lookup("900")
	require.False(t, ok)
	_, ok = contactid.Lookup("1A0")
	require.False(t, ok)
}

// FuzzParse: whatever is read is written back as an event that reads the same.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Data)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := contactid.Parse(s)
		if err != nil {
			require.ErrorIs(t, err, contactid.ErrMalformed)
			return
		}
		require.Len(t, e.String(), len("QXYZ GG CCC"))
		again, err := contactid.Parse(e.String())
		require.NoError(t, err)
		require.Equal(t, e, again)
		if entry, known := contactid.Lookup(e.Code); known {
			require.Equal(t, e.Code, entry.Code)
		}
	})
}
