package alarms_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"nabat/alarms"
	"nabat/alarms/dc09"
)

// batch sends bodies that came together, and returns their verdicts and replies.
func (h *house) batch(bodies ...string) (verdicts []alarms.Verdict, replies string) {
	h.t.Helper()
	var fs []dc09.Frame
	for _, b := range bodies {
		fs = append(fs, parse(h.t, dc09.AppendFrame(nil, []byte(b), dc09.CRCHex)))
	}
	out, done := h.AnswerAll(h.t.Context(), fs, "192.0.2.1:999", h.now, nil, nil)
	for _, a := range done {
		verdicts = append(verdicts, a.Verdict)
	}
	return verdicts, string(out)
}

func cidBody(seq int, account, event string) string {
	return fmt.Sprintf(`"ADM-CID"%04dL0#%s[#%s|%s]`, seq, account, account, event)
}

func TestFramesOfOneAccountShareACommitAndAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	verdicts, replies := h.batch(
		cidBody(1, "4521", "1301 00 000"), `"NULL"0002L0#4521[]`, cidBody(3, "4521", "1302 00 000"),
		`"WHAT"0004L0#4521[]`, cidBody(5, "4521", "1301 00 000"), cidBody(6, "4521", "1110 01 007"), cidBody(7, "4521", "1309 00 000"),
	)
	require.Equal(t, []alarms.Verdict{
		alarms.Stored, alarms.Alive, alarms.Stored, alarms.UnknownToken, alarms.Stored, alarms.Stored, alarms.Stored,
	}, verdicts)
	at := 0
	for i, token := range []string{"ACK", "ACK", "ACK", "DUH", "ACK", "ACK", "ACK"} {
		next := strings.Index(replies[at:], fmt.Sprintf(`%q%04d`, token, i+1))
		require.GreaterOrEqual(t, next, 0, "%s %d in %q", token, i+1, replies)
		at += next
	}
	require.Len(t, h.store.rows, 5)
	require.True(t, h.store.rows[2].Duplicate, "0005 repeats 0001")
	require.Equal(t, 3, h.store.saves, "rows before the card, the card, rows after it")
	require.Len(t, h.store.order, 1)
}

// What the database keeps of a batch is what it would keep of the same frames
// one by one: after its opposite a message is news.
func TestABatchKnowsOpposites(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	verdicts, _ := h.batch(cidBody(1, "4521", "1301 00 000"), cidBody(2, "4521", "3301 00 000"), cidBody(3, "4521", "1301 00 000"))
	require.Equal(t, []alarms.Verdict{alarms.Stored, alarms.Stored, alarms.Stored}, verdicts)
	require.Len(t, h.store.originals(), 3)
}

func TestAccountsOfABatchDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.store.gate = make(chan struct{})
		var done sync.WaitGroup
		done.Go(func() {
			verdicts, _ := h.batch(cidBody(1, "4521", "1301 00 000"), cidBody(2, "AAA1", "1301 00 000"), cidBody(3, "AAA2", "1301 00 000"))
			require.Equal(t, []alarms.Verdict{alarms.Stored, alarms.Stored, alarms.Stored}, verdicts)
		})
		for range 3 { // all three are at the store, or this blocks for ever
			h.store.gate <- struct{}{}
		}
		done.Wait()
		require.Len(t, h.store.rows, 3)
	})
}

// A commit that fails costs those their answer whose rows were in it.
func TestAFailedCommitIsSilenceForItsFramesOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.store.setFail(func(c alarms.Change) error {
		if c.Rows[0].Account == "4521" {
			return errDown
		}
		return nil
	})
	bodies := []string{
		cidBody(1, "4521", "1301 00 000"), cidBody(2, "AAA1", "1301 00 000"), `"NULL"0003L0#4521[]`, cidBody(4, "4521", "1302 00 000"),
	}
	verdicts, replies := h.batch(bodies...)
	require.Equal(t, []alarms.Verdict{alarms.Fault, alarms.Stored, alarms.Alive, alarms.Fault}, verdicts)
	require.Equal(t, 2, strings.Count(replies, "ACK"))
	h.store.setFail(nil)
	verdicts, _ = h.batch(bodies...)
	require.Equal(t, []alarms.Verdict{alarms.Stored, alarms.Stored, alarms.Alive, alarms.Stored}, verdicts)
	require.Len(t, h.store.originals(), 3)
}

func TestAPanicCostsItsAccountTheAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.store.setFail(func(c alarms.Change) error {
		if c.Rows[0].Account == "4521" {
			panic("a bug")
		}
		return nil
	})
	for range 2 { // on a goroutine of its own, and on the caller's
		verdicts, _ := h.batch(cidBody(1, "4521", "1301 00 000"), cidBody(2, "AAA1", "1301 00 000"))
		require.Equal(t, []alarms.Verdict{alarms.Fault, alarms.Stored}, verdicts)
		require.Equal(t, alarms.Fault, h.cid("1301 00 000"))
	}
}

func TestAnsweredTellsWhoIsKnown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var fs []dc09.Frame
	for _, b := range []string{`"NULL"0001L0#4521[]`, `"NULL"0001L0#9999[]`, `"ADM-CID"0001L0#9999[#4521|1602 00 000]`, `"WHAT"0001L0#4521[]`} {
		fs = append(fs, parse(t, dc09.AppendFrame(nil, []byte(b), dc09.CRCHex)))
	}
	_, done := h.AnswerAll(t.Context(), fs, "", h.now, nil, nil)
	for i, known := range []bool{true, false, false, false} {
		require.Equal(t, known, done[i].Known, i)
	}
}
