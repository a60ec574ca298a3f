package siadcs_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/alarms/siadcs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type vector struct {
	ID    string            `json:"id"`
	Data  string            `json:"data"`
	Event map[string]string `json:"event"`
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
			es, err := siadcs.Parse(v.Data)
			require.NoError(t, err)
			if v.Data == "" {
				require.Empty(t, es)
				return
			}
			require.Len(t, es, 1)
			if v.Event == nil {
				return // the frame is what that vector is about
			}
			e := es[0]
			entry, known := siadcs.Lookup(e.Code)
			require.True(t, known)
			require.Equal(t, v.Event["class"], entry.Class)
			require.Equal(t, v.Event["condition"], entry.Condition)
			require.Equal(t, v.Event["code"], e.Code)
			require.Equal(t, v.Event["area"], e.Area)
			zone, user := e.Number, e.User
			if entry.User {
				zone, user = "", e.Number
			}
			if want, ok := v.Event["number"]; ok {
				require.Equal(t, want, e.Number)
				return
			}
			require.Equal(t, v.Event["zone"], zone)
			require.Equal(t, v.Event["user"], user)
		})
	}
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		block string
		want  []siadcs.Event
	}{
		{"Nri0KR1^ZAL.  001      ^", []siadcs.Event{{Code: "KR", Number: "1", Area: "0", Text: "ZAL.  001      "}}},
		{"NRR|Atest", []siadcs.Event{{Code: "RR", Text: "test"}}},
		{"NRR|AREA 5", []siadcs.Event{{Code: "RR", Text: "REA 5"}}},
		{"Nti19:44/id1/RP", []siadcs.Event{{Code: "RP", Time: "19:44", User: "1"}}},
		{"Nri1BA503", []siadcs.Event{{Code: "BA", Number: "503", Area: "1"}}},
		{"Nri04/OP001NM", []siadcs.Event{{Code: "OP", Number: "001", Area: "04"}}},
		{"Nri1/FA007/FA008/ri2/BA1", []siadcs.Event{
			{Code: "FA", Number: "007", Area: "1"}, {Code: "FA", Number: "008", Area: "1"}, {Code: "BA", Number: "1", Area: "2"},
		}},
		{"Nri1/BA012*'Hall/2'NM/TA3", []siadcs.Event{
			{Code: "BA", Number: "012", Area: "1", Text: "Hall/2"}, {Code: "TA", Number: "3", Area: "1"},
		}},
		{"Nri2^Подвал^/FA5", []siadcs.Event{{Code: "FA", Number: "5", Area: "2", Text: "Подвал"}}},
		{"Ori1/BA01", []siadcs.Event{{Code: "BA", Number: "01", Area: "1", Old: true}}},
		{"OP029", []siadcs.Event{{Code: "OP", Number: "029"}}},
		{"NNC", []siadcs.Event{{Code: "NC"}}},
		{"Nva12.5xy/GA3", []siadcs.Event{{Code: "GA", Number: "3"}}},
		{"0|NRP", []siadcs.Event{{Code: "RP"}}},
		{"Npi02/ri1/da03-09-20/ti10:11:12/YT", []siadcs.Event{
			{Code: "YT", Peripheral: "02", Area: "1", Date: "03-09-20", Time: "10:11:12"},
		}},
	} {
		es, err := siadcs.Parse(c.block)
		require.NoError(t, err, c.block)
		require.Equal(t, c.want, es, c.block)
	}
	for _, s := range []string{"0", "hello world", "1110 01 007", "A", "N"} {
		_, err := siadcs.Parse(s)
		require.ErrorIs(t, err, siadcs.ErrMalformed, s)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	require.Len(t, siadcs.Entries(), 305)
	for code, want := range map[string]siadcs.Entry{
		"FA": {Code: "FA", Class: "fire", Condition: "alarm"},
		"HA": {Code: "HA", Class: "duress", Condition: "alarm"},
		"CL": {Code: "CL", Class: "arming", Condition: "close", User: true},
	} {
		got, ok := siadcs.Lookup(code)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	for _, code := range []string{"", "F", "FAA", "fa", "ZQ"} {
		_, ok := siadcs.Lookup(code)
		require.False(t, ok, code)
	}
}

// FuzzParse: no more events than the block can hold, every part of an event is
// part of the block, and a canonical block of the same events reads the same.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Data)
	}
	f.Add("Nri2^Подвал^/FA5/BA012*'Hall/2'NM|Atext")
	f.Fuzz(func(t *testing.T, block string) {
		es, err := siadcs.Parse(block)
		if err != nil {
			require.ErrorIs(t, err, siadcs.ErrMalformed)
			return
		}
		require.LessOrEqual(t, len(es), len(block)/2)
		for _, e := range es {
			require.Len(t, e.Code, 2)
			for _, part := range []string{e.Code, e.Number, e.Area, e.User, e.Peripheral, e.Time, e.Date, e.Text} {
				require.Contains(t, block, part)
			}
			canon := "N/ri" + e.Area + "/id" + e.User + "/" + e.Code + e.Number
			if strings.ContainsAny(e.Area+e.User, "^'|/*") {
				continue
			}
			again, err := siadcs.Parse(canon)
			require.NoError(t, err)
			require.Equal(t, e.Code, again[len(again)-1].Code, canon)
			require.Equal(t, e.Number, again[len(again)-1].Number, canon)
		}
	})
}
