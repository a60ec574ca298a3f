package alarms_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"nabat/alarms"
	"nabat/alarms/dc09"
	"nabat/dispatch"
)

// The verdict on every public vector that is a frame.
func TestVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("dc09/testdata/frames.json")
	require.NoError(t, err)
	var vs []struct {
		ID, Expect, Hex string
		Event           map[string]string
	}
	require.NoError(t, json.Unmarshal(text, &vs))
	want := map[string]alarms.Verdict{
		"P-62": alarms.UnknownToken, "P-59": alarms.Malformed, "P-60": alarms.Malformed,
		"P-61": alarms.Malformed, "P-47": alarms.Answer,
		"P-21": alarms.Answer, "P-22": alarms.Answer, "P-23": alarms.Answer, // replies, at the wrong end
		"P-41": alarms.Answer,
	}
	for _, v := range vs {
		if v.Expect == "REJECT" || v.Expect == "NOT-DC09" {
			continue
		}
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			octets, err := hex.DecodeString(v.Hex)
			require.NoError(t, err)
			for {
				f, n, err := dc09.Next(octets, true)
				octets = octets[n:]
				if err != nil {
					break
				}
				env, msg, got := alarms.Read(f, "", h.now)
				switch {
				case want[v.ID] != 0:
					require.Equal(t, want[v.ID], got)
				case env.Encrypted:
					require.Equal(t, alarms.Sealed, got)
				default:
					require.Zero(t, got)
					require.Equal(t, dc09.ACK, h.Take(t.Context(), &msg).Reply())
				}
				requireEvent(t, v.Event, env, msg)
			}
		})
	}
}

func requireEvent(t *testing.T, want map[string]string, env dc09.Message, msg alarms.Message) {
	t.Helper()
	if want == nil || env.Encrypted {
		return
	}
	if want["class"] == "link" {
		require.Empty(t, msg.Events)
		return
	}
	require.Len(t, msg.Events, 1)
	e := msg.Events[0]
	require.Equal(t, want["class"], string(e.Class))
	require.Equal(t, want["condition"], string(e.Condition))
	require.Equal(t, want["code"], e.Code)
	for field, got := range map[string]string{"zone": e.Zone, "area": e.Area, "user": e.User} {
		if w := want[field]; w != "" {
			require.Equal(t, w, got, field)
		}
	}
}

func TestEveryClassAndConditionHasATitle(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"1110 01 007", "3401 01 002", "9110 01 007"} {
		h := newHouse(t)
		require.Equal(t, alarms.Stored, h.cid(body))
		n := h.last()
		ru, en := n.Class.Title()
		require.NotEmpty(t, ru)
		require.NotEmpty(t, en)
		require.NotEmpty(t, n.Text)
		require.NotEmpty(t, n.Why)
	}
}

func TestAFireAlarmOpensACardByItself(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, alarms.Stored, h.cid("1111 01 007"))
	c := h.card(0)
	require.Equal(t, dispatch.Dispatched, c.State)
	require.Equal(t, dispatch.TypeFire, c.Type)
	require.Equal(t, "fire", c.Class)
	require.Equal(t, "Невский пр., 1", c.Place)
	require.Equal(t, "Дымовой извещатель, зона 007 (Столовая), раздел 01", c.Description)
	require.Len(t, c.Assignments, 1)
	n := h.last()
	require.Equal(t, c.ID, n.Incident)
	require.Equal(t, h.panel.Facility.ID, n.Facility)
	require.Equal(t, h.panel.ID, n.Panel)
	require.Contains(t, n.Why, "без участия человека")
	require.Equal(t, "ADM-CID|1111|01|007|", n.DedupKey)
}

func TestWhatOpensACardAndWhatDoesNot(t *testing.T) {
	t.Parallel()
	for event, opens := range map[string]bool{
		"1110 01 001": true, "1120 01 001": true, "1121 01 001": true, "1130 01 001": true, "1151 01 001": true,
		"1162 01 001": true, "1100 01 001": true, "1139 01 001": true,
		"1118 01 001": false, "1301 00 000": false, "1602 00 000": false, "1401 01 001": false, "3110 01 001": false,
		"6110 01 001": false, "1137 01 001": false, "1138 01 001": false, "1154 01 001": false, "9110 01 001": false,
		"1999 01 001": false, "1110 1 001": false, "1570 01 001": false,
	} {
		h := newHouse(t)
		require.Equal(t, alarms.Stored, h.cid(event), event)
		require.Equal(t, opens, len(h.store.order) == 1, event)
		require.Equal(t, opens, !h.last().Incident.IsZero(), event)
	}
}

// The sequence of the duplicate table: same bytes, new sequence number, other
// zone, restore, alarm again.
func TestRepeats(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	sia := func(seq, code string) alarms.Notification {
		require.Equal(t, alarms.Stored, h.send(`"SIA-DCS"`+seq+`L0#4521[#4521|Nri1/`+code+`]`))
		return h.last()
	}
	first := sia("0501", "FA007")
	require.False(t, first.Duplicate)
	h.after(3 * time.Second)
	again := sia("0501", "FA007")
	require.True(t, again.Duplicate)
	require.Equal(t, first.Incident, again.Incident)
	require.True(t, sia("0502", "FA007").Duplicate)
	require.False(t, sia("0503", "FA008").Duplicate)
	require.False(t, sia("0504", "FH007").Duplicate)
	require.False(t, sia("0505", "FA007").Duplicate)
	require.Len(t, h.store.order, 1)
	h.after(24 * time.Hour)
	require.False(t, sia("0501", "FA007").Duplicate)
	require.Len(t, h.store.order, 2)
}

func TestTheWindowIsCountedFromTheOriginal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cid("1301 00 000")
	for range 2 {
		h.after(30 * time.Second)
		h.cid("1301 00 000")
		require.True(t, h.last().Duplicate)
	}
	h.after(time.Second)
	h.cid("1301 00 000")
	require.False(t, h.last().Duplicate)
}

func TestARestartForgetsNoRepeatAndNoCard(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cid("1110 01 007")
	h.cid("1301 00 000")
	h.cid("3301 00 000")
	h.after(20 * time.Second)
	h.restart()
	h.cid("1110 01 007")
	require.True(t, h.last().Duplicate)
	require.False(t, h.last().Incident.IsZero())
	h.cid("1301 00 000")
	require.False(t, h.last().Duplicate, "its restore came between")
	h.after(5 * time.Minute)
	h.restart()
	h.cid("1110 01 008")
	require.Len(t, h.store.order, 1, "joined the card of before")
	require.Equal(t, h.store.order[0], h.last().Incident)
}

func TestNothingIsAnsweredBeforeLoad(t *testing.T) {
	t.Parallel()
	r := alarms.NewReceiver(newMemStore(), &alarms.Registry{}, router{}, zap.NewNop(), nil)
	out, v := r.Answer(t.Context(), parse(t, dc09.AppendFrame(nil, []byte(`"NULL"0000L0#1234[]`), dc09.CRCHex)), "", noon, nil)
	require.Empty(t, out)
	require.Equal(t, alarms.Fault, v)
}

func TestFurtherAlarmsJoinTheOpenCard(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cid("1110 01 001")
	for range 3 { // each within ten minutes of the last
		h.after(9 * time.Minute)
		h.cid("1110 01 002")
		require.Contains(t, h.last().Why, "добавлен в открытую карточку")
	}
	require.Len(t, h.store.order, 1)
	h.cid("1120 01 001")
	require.Len(t, h.store.order, 2, "another class")
	h.after(11 * time.Minute)
	h.cid("1110 01 003")
	require.Len(t, h.store.order, 3, "too late to belong to the first")
}

func TestAClosedCardTakesNoSignal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cid("1110 01 001")
	id := h.store.order[0]
	c := *h.store.cards[id]
	c.State = dispatch.Closed
	h.store.cards[id] = &c
	h.after(time.Minute)
	h.cid("3110 01 001")
	require.True(t, h.last().Incident.IsZero(), "a restore opens nothing")
	h.cid("1110 01 002")
	require.Len(t, h.store.order, 2)
	require.Equal(t, h.store.order[1], h.last().Incident)
}

func TestARestoreIsNotedAndClosesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cid("1110 01 001")
	before := h.card(0)
	h.after(time.Hour)
	h.cid("3110 01 001")
	after := h.card(0)
	require.Equal(t, before.State, after.State)
	require.Equal(t, before.Version+1, after.Version)
	require.Equal(t, before.ID, h.last().Incident)
	require.Contains(t, h.last().Why, "не закрывается")
}

func TestUnknownAccounts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, alarms.Stored, h.send(`"ADM-CID"0001L0#7777[#7777|1110 01 007]`))
	c := h.card(0)
	require.Equal(t, dispatch.Draft, c.State)
	require.True(t, c.UnknownFacility)
	require.Empty(t, c.Assignments)
	require.Contains(t, c.Description, "Неизвестный объект: ")
	require.NotContains(t, c.Description, "7777", "the description goes to services")
	require.Contains(t, h.last().Why, "неизвестный объект")
	h.after(2 * time.Minute)
	h.send(`"ADM-CID"0001L0#7777[#7777|1110 01 008]`)
	require.Len(t, h.store.order, 1)
	h.send(`"ADM-CID"0001L0#8888[#8888|1110 01 008]`)
	require.Len(t, h.store.order, 2, "another account")
	h.send(`"ADM-CID"0001L0#7777[#7777|1130 01 008]`)
	require.Len(t, h.store.order, 2, "not urgent: a row only")
	require.Contains(t, h.last().Why, "для разбора")
}

// Nobody vouches for a message whose envelope is another account's: it is kept,
// put before a person, and routes nothing.
func TestEnvelopeAndDataOfTwoAccounts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, alarms.Stored, h.send(`"SIA-DCS"0030L0#9999[#4521|Nri1/FA007]`))
	require.Equal(t, dispatch.Draft, h.card(0).State)
	require.Equal(t, "4521", h.last().Account)
	require.True(t, h.last().Facility.IsZero())
	require.Contains(t, h.last().Why, "различаются")

	// What nobody vouches for never makes the panel's own alarm a repeat, before or
	// after a restart.
	for _, seq := range []string{"0031", "0032"} {
		require.Equal(t, alarms.Stored, h.send(`"SIA-DCS"`+seq+`L0#9999[#4521|Nri1/FA008]`))
		h.restart()
	}
	require.Equal(t, alarms.Stored, h.send(`"SIA-DCS"0033L0#4521[#4521|Nri1/FA008]`))
	require.False(t, h.last().Duplicate)
	require.Equal(t, dispatch.Dispatched, h.card(len(h.store.order)-1).State)
}

// Two receivers, or one shown its own address, must not answer each other.
func TestAnswersAreNotAnswered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, body := range []string{
		`"ACK"0000L0#4521[]`, `"*ACK"0000L0#4521[00`, `"NAK"0000R0L0A0[]_12:00:00,03-01-2026`, `"DUH"0001L0#4521[]`, `"RSP"0001L0#4521[x]`,
	} {
		require.Equal(t, alarms.Answer, h.send(body), body)
	}
}

func TestAccountOfTheDataAloneAndLowerCase(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.panel.Account = "AB12"
	h.restart()
	require.Equal(t, alarms.Stored, h.send(`"SIA-DCS"0030L0[ab12|Nri1/FA007]`))
	require.Equal(t, dispatch.Dispatched, h.card(0).State)
	require.Equal(t, alarms.Unusable, h.send(`"SIA-DCS"0030L0[Nri1/FA007]`))
	// A DUH in clear would end the tries of a panel whose key we do not have.
	require.Equal(t, alarms.Sealed, h.send(`"*ADM-CID"0031L0#1234[A1B2`))
	require.Equal(t, alarms.Sealed, h.send(`"*SIA-PUL"0032L0#1234[A1B2C3D4E5F60718293A4B5C6D7E8F90`))
}

func TestSeveralEventsInOneBlock(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, alarms.Stored, h.send(`"SIA-DCS"0001L0#4521[#4521|Nri1/YT1/FA7/FA7/AT2/FA8/AR2]`))
	require.Len(t, h.store.rows, 6)
	require.Len(t, h.store.originals(), 5)
	require.Len(t, h.store.order, 1)
	require.Equal(t, 5, h.store.saves, "rows that touch no card are saved together")
}

func TestFramesThatMeanNothingKeepTheLineAlive(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, alarms.Alive, h.send(`"NULL"0000L0#4521[]`))
	require.Equal(t, alarms.Alive, h.send(`"SIA-DCS"0001L0#4521[]`))
	require.Equal(t, alarms.Alive, h.send(`"NULL"0000L0#9999[]`))
	require.Empty(t, h.store.rows)
}

func TestTextTheDatabaseWouldRefuseIsMended(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, alarms.Stored, h.send("\"SIA-DCS\"0001L0#4521[#4521|Nri1/FA7^a\x00\xcf\xd0b^]"))
	require.Contains(t, h.last().Text, "«a\uFFFD\uFFFDb»")
	require.Contains(t, h.last().Raw, "a\x00\xcf\xd0b")
}

func TestTimesOfThePanel(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.send(`"ADM-CID"0001L0#4521[#4521|1301 00 001]_12:00:10,03-01-2026`)
	require.Equal(t, noon.Add(10*time.Second), h.last().OccurredAt)
	require.Equal(t, noon, h.last().ReceivedAt)
	require.NotContains(t, h.last().Why, "часы")
	h.send(`"ADM-CID"0001L0#4521[#4521|1301 00 002][H11:00:00,03-01-2026]_12:00:00,03-01-2026`)
	require.Equal(t, noon.Add(-time.Hour), h.last().OccurredAt)
	require.NotContains(t, h.last().Why, "часы")
	for _, wrong := range []string{"12:00:21,03-01-2026", "11:59:19,03-01-2026", "12:00:00,02-01-2026", "13:61:00,05-06-2025"} {
		h.after(2 * time.Minute)
		h.now = h.now.Truncate(time.Second)
		require.Equal(t, alarms.Stored, h.send(`"ADM-CID"0001L0#4521[#4521|1301 00 003]_`+wrong))
		require.Contains(t, h.last().Why, "часы прибора неверны")
	}
}

// A repeat that comes while its original is on the way waits for it, and is
// answered with it.
func TestARepeatWaitsForItsOriginal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.store.gate = make(chan struct{})
		var done sync.WaitGroup
		verdicts := make([]alarms.Verdict, 3)
		for i := range verdicts {
			done.Go(func() { verdicts[i] = h.cid("1110 01 007") })
		}
		synctest.Wait()
		require.Empty(t, h.store.rows, "nothing is committed and nobody is answered")
		close(h.store.gate)
		done.Wait()
		require.Equal(t, []alarms.Verdict{alarms.Stored, alarms.Stored, alarms.Stored}, verdicts)
		require.Len(t, h.store.originals(), 1)
		require.Len(t, h.store.rows, 3)
		require.Len(t, h.store.order, 1)
	})
}

// If the original failed, the repeat takes its place.
func TestARepeatTakesThePlaceOfALostOriginal(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]string{"plain": "1301 00 000", "card": "1110 01 007"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.store.setFail(func(alarms.Change) error { return errDown })
			require.Equal(t, alarms.Fault, h.cid(event))
			require.Equal(t, alarms.Fault, h.cid(event))
			require.Empty(t, h.store.rows)
			h.store.setFail(nil)
			h.after(10 * time.Second)
			require.Equal(t, alarms.Stored, h.cid(event))
			require.Len(t, h.store.rows, 1)
			require.False(t, h.last().Duplicate)
			require.Equal(t, alarms.Stored, h.cid(event))
			require.Len(t, h.store.originals(), 1)
			require.Len(t, h.store.rows, 2)
		})
	}
}

// If the original was committed and only the answer was lost, the repeat finds
// it there: one original, one card.
func TestALostAnswerToACommitDoublesNothing(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]string{"plain": "1301 00 000", "card": "1110 01 007"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.store.setFail(func(alarms.Change) error { return errLost })
			require.Equal(t, alarms.Fault, h.cid(event))
			h.store.setFail(nil)
			h.after(10 * time.Second)
			require.Equal(t, alarms.Stored, h.cid(event))
			require.True(t, h.last().Duplicate)
			require.Len(t, h.store.originals(), 1)
			require.Len(t, h.store.rows, 2)
			require.LessOrEqual(t, len(h.store.order), 1)
			if name == "card" {
				require.Equal(t, h.store.order[0], h.last().Incident)
			}
		})
	}
}

// Two detectors in the same moment: the second waits until the card is there.
func TestTwoAlarmsAtOnceMakeOneCard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.store.gate = make(chan struct{})
		var done sync.WaitGroup
		for _, event := range []string{"1110 01 001", "1111 01 002", "1115 01 003"} {
			done.Go(func() { require.Equal(t, alarms.Stored, h.cid(event)) })
		}
		synctest.Wait()
		close(h.store.gate)
		done.Wait()
		require.Len(t, h.store.order, 1)
		require.Len(t, h.store.originals(), 3)
		for _, n := range h.store.rows {
			require.Equal(t, h.store.order[0], n.Incident)
		}
	})
}

// A store that never answers costs the panel its answer and nothing else.
func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.store.gate = make(chan struct{})
		require.Equal(t, alarms.Fault, h.cid("1110 01 007"))
		close(h.store.gate)
		require.Equal(t, alarms.Stored, h.cid("1110 01 007"))
		require.Len(t, h.store.originals(), 1)
		require.Len(t, h.store.order, 1)
	})
}

func TestLastSeenIsFlushedInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		h.store.setFail(func(alarms.Change) error { return errDown })
		h.send(`"NULL"0000L0#4521[]`)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		require.Empty(t, h.store.seen, "the database is away")
		h.store.setFail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, noon, h.store.seen[h.panel.ID])
		h.after(time.Minute)
		h.send(`"NULL"0000L0#4521[]`)
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, h.now, h.store.seen[h.panel.ID], "flushed a last time at the end")
	})
}

func TestVerdictsOnTheWire(t *testing.T) {
	t.Parallel()
	for v, want := range map[alarms.Verdict]dc09.Reply{
		alarms.Stored: dc09.ACK, alarms.Alive: dc09.ACK, alarms.WrongTime: dc09.NAK, alarms.UnknownToken: dc09.DUH,
		alarms.Unusable: dc09.DUH, alarms.Sealed: dc09.Silence, alarms.Malformed: dc09.Silence, alarms.Answer: dc09.Silence,
		alarms.Fault: dc09.Silence, 0: dc09.Silence,
	} {
		require.Equal(t, want, v.Reply(), v.String())
	}
}

func TestRegistryIsSwappedWhole(t *testing.T) {
	t.Parallel()
	var r alarms.Registry
	_, ok := r.Panel("4521")
	require.False(t, ok)
	r.Replace([]alarms.Panel{{Account: "ab12"}})
	_, ok = r.Panel("AB12")
	require.True(t, ok)
	require.Equal(t, 1, r.Len())
	r.Replace(nil)
	require.Zero(t, r.Len())
}

func BenchmarkAnswer(b *testing.B) {
	store := nullStore{}
	var reg alarms.Registry
	reg.Replace([]alarms.Panel{{Account: "4521", ID: dispatch.NewPanelID(), Facility: alarms.Facility{ID: dispatch.NewFacilityID(), Code: "S"}}})
	r := alarms.NewReceiver(store, &reg, router{}, zap.NewNop(), prometheus.NewRegistry())
	require.NoError(b, r.Load(b.Context(), newMemStore(), noon))
	f, _, err := dc09.Next(dc09.AppendFrame(nil, []byte(`"ADM-CID"0101R1L2#4521[#4521|1602 01 007]`), dc09.CRCHex), false)
	require.NoError(b, err)
	out := make([]byte, 0, 64)
	b.ReportAllocs()
	at := noon
	for b.Loop() {
		at = at.Add(61 * time.Second) // every one an original
		out, _ = r.Answer(b.Context(), f, "192.0.2.1:999", at, out[:0])
	}
}

type nullStore struct{}

func (nullStore) Save(context.Context, alarms.Change) error                      { return nil }
func (nullStore) SaveSeen(context.Context, map[dispatch.PanelID]time.Time) error { return nil }

func (nullStore) Drafts(context.Context, []dispatch.IncidentID) ([]dispatch.IncidentID, error) {
	return nil, nil
}

func (nullStore) IncidentOf(context.Context, dispatch.NotificationID, time.Time) (dispatch.IncidentID, error) {
	return dispatch.IncidentID{}, nil
}
