package alarms_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"nabat/alarms"
	"nabat/dispatch"
)

// Whatever order alarms, restores, outages, lost answers and restarts come in:
// what was acknowledged is stored; a content has one original per window unless
// its opposite came between; every urgent alarm is on a card that exists; and a
// facility's matter has one card as long as signals keep coming.
func TestPromisesOverRandomHistories(t *testing.T) {
	t.Parallel()
	events := []string{"1110 01 001", "3110 01 001", "1110 01 002", "6110 01 001", "1301 00 000", "3301 00 000", "1120 01 001", "1602 00 000"}
	rapid.Check(t, func(rt *rapid.T) {
		h := newHouse(t)
		acked := 0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				h.after(time.Duration(rapid.IntRange(1, 900).Draw(rt, "seconds")) * time.Second)
			case 1:
				h.store.setFail(func(alarms.Change) error { return errDown })
			case 2:
				h.store.setFail(func(alarms.Change) error { return errLost })
			case 3:
				h.store.setFail(nil)
			case 4:
				h.restart()
			default:
				account := rapid.SampledFrom([]string{"4521", "7777"}).Draw(rt, "account")
				event := rapid.SampledFrom(events).Draw(rt, "event")
				before := len(h.store.rows)
				v := h.send(`"ADM-CID"0001L0#` + account + `[#` + account + `|` + event + `]`)
				if v == alarms.Stored {
					acked++
					require.Greater(rt, len(h.store.rows), before)
				}
				h.after(time.Second)
			}
		}
		requirePromises(rt, h)
	})
}

func requirePromises(rt *rapid.T, h *house) {
	rows := h.store.rows
	for i, n := range rows {
		for j, earlier := range rows[:i] {
			if n.Duplicate || earlier.Duplicate || n.Account != earlier.Account || n.DedupKey != earlier.DedupKey {
				continue
			}
			apart := n.ReceivedAt.Sub(earlier.ReceivedAt).Abs() > alarms.Window
			require.True(rt, apart || undone(rows, j, i), "two originals of %s within the window", n.DedupKey)
		}
		if _, opens := alarms.Opens(n.Class, n.Condition); opens && !n.Duplicate && alarms.Urgent(n.Class) {
			require.NotNil(rt, h.store.cards[n.Incident], "an urgent alarm without a card")
		}
	}
	signals := map[dispatch.IncidentID][]time.Time{}
	for _, n := range h.store.originals() {
		if !n.Incident.IsZero() {
			signals[n.Incident] = append(signals[n.Incident], n.ReceivedAt)
		}
	}
	type matter struct {
		facility dispatch.FacilityID
		class    string
	}
	latest := map[matter]time.Time{}
	for _, id := range h.store.order {
		c := h.store.cards[id]
		m := matter{c.Facility, c.Class}
		if at, was := latest[m]; was {
			require.Greater(rt, c.OpenedAt.Sub(at), alarms.JoinWithin, "a second card while signals kept coming")
		}
		for _, at := range signals[id] {
			if at.After(latest[m]) {
				latest[m] = at
			}
		}
	}
	for _, n := range h.store.rows {
		if n.Duplicate && !n.Incident.IsZero() {
			require.NotNil(rt, h.store.cards[n.Incident], "a repeat on a card that is not there")
		}
	}
}

// undone tells whether an opposite of row i lies between rows j and i, in the
// order of commits or, because an original that is tried again keeps its time,
// in that of times.
func undone(rows []alarms.Notification, j, i int) bool {
	a, b := rows[j], rows[i]
	for k, o := range rows {
		same := o.Account == a.Account && o.Zone == a.Zone && o.Code[1:] == a.Code[1:]
		if !same || (o.Code[0] == '3') == (a.Code[0] == '3') {
			continue
		}
		if k > j && k < i || !o.ReceivedAt.Before(a.ReceivedAt) && !o.ReceivedAt.After(b.ReceivedAt) {
			return true
		}
	}
	return false
}
