package sip

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"nabat/dispatch"
)

func run(l Leg, events ...Event) (Leg, []Action) {
	var all []Action
	for _, e := range events {
		var a []Action
		l, a = l.On(e)
		all = append(all, a...)
	}
	return l, all
}

func end(r dispatch.EndReason, callback bool) Action {
	return Action{Kind: NoteEnd, Reason: r, Callback: callback}
}

func TestLegStories(t *testing.T) {
	t.Parallel()
	queued := Action{Kind: SendQueued}
	ring, note, bye := Action{Kind: SendRinging}, Action{Kind: NoteAnswer}, Action{Kind: SendBye}
	refuse := func(status int) Action { return Action{Kind: SendRefusal, Status: status} }
	for _, c := range []struct {
		name    string
		noCodec bool
		events  []Event
		want    []Action
	}{
		{"the usual call", false, []Event{Stored, Sent, Acked, CallerBye}, []Action{ring, note, end(dispatch.EndCallerHungUp, false)}},
		{"cancelled before the commit", false, []Event{Late, CallerCancel, Stored, Sent}, []Action{queued, end(dispatch.EndCancelled, false)}},
		{"CANCEL after the 200 means nothing", false, []Event{Stored, Sent, CallerCancel, Acked}, []Action{ring, note}},
		{"no ACK", false, []Event{Stored, Sent, NoAck, Acked}, []Action{ring, note, bye, end(dispatch.EndNoAck, true)}},
		{"no codec: kept, then refused", true, []Event{Stored}, []Action{refuse(488), end(dispatch.EndNoMedia, true)}},
		{"no codec, slow", true, []Event{Late, Stored}, []Action{queued, refuse(488), end(dispatch.EndNoMedia, true)}},
		{"BYE while it rings", false, []Event{Stored, CallerBye}, []Action{ring, refuse(487), end(dispatch.EndCallerHungUp, false)}},
		{"operator ends it", false, []Event{Stored, Sent, Acked, HangUp}, []Action{ring, note, bye, end(dispatch.EndOperator, false)}},
		{"operator ends it before the ACK: the BYE waits", false, []Event{Stored, Sent, HangUp}, []Action{ring, note}},
		{"… until the ACK", false, []Event{Stored, Sent, HangUp, Acked}, []Action{ring, note, bye, end(dispatch.EndOperator, false)}},
		{"… or its absence", false, []Event{Stored, Sent, HangUp, NoAck}, []Action{ring, note, bye, end(dispatch.EndOperator, false)}},
		{"operator ends it while it rings", false, []Event{Stored, HangUp}, []Action{ring, refuse(480), end(dispatch.EndOperator, false)}},
		{"shutdown while ringing", false, []Event{Stored, Shutdown}, []Action{ring, refuse(503), end(dispatch.EndShutdown, true)}},
		{"shutdown without ACK, time over", false, []Event{Stored, Sent, Shutdown, GiveUp}, []Action{ring, note, bye, end(dispatch.EndShutdown, true)}},
		{"time over while talking", false, []Event{Stored, Sent, Acked, GiveUp}, []Action{ring, note, bye, end(dispatch.EndShutdown, true)}},
		{"a commit that takes long", false, []Event{Late, Late, Stored, Late, Sent}, []Action{queued, ring, note}},
		{"the line broke before the answer", false, []Event{Stored, LineLost}, []Action{ring, end(dispatch.EndLineLost, true)}},
		{"the line broke", false, []Event{Stored, Sent, Acked, LineLost}, []Action{ring, note, bye, end(dispatch.EndLineLost, true)}},
		{"the other side knows no such call", false, []Event{Stored, Sent, Acked, Forgotten}, []Action{ring, note, end(dispatch.EndLineLost, true)}},
		{"no answer to our offer", false, []Event{Stored, Sent, NoMedia}, []Action{ring, note, bye, end(dispatch.EndNoMedia, true)}},
	} {
		_, got := run(NewLeg(c.noCodec), c.events...)
		require.Equal(t, c.want, got, c.name)
	}
}

// Whatever comes in whatever order: at most one end, an answer is noted at most
// once and never after the end, a BYE only after an answer, a refusal only before,
// and one GiveUp always ends the leg.
func TestLegLaws(t *testing.T) {
	t.Parallel()
	events := []Event{
		Acked, CallerBye, CallerCancel, NoAck, NoMedia, LineLost, Forgotten, Late, Stored, Sent, HangUp, Shutdown, GiveUp,
	}
	rapid.Check(t, func(t *rapid.T) {
		l := NewLeg(rapid.Bool().Draw(t, "no codec"))
		list := append(rapid.SliceOf(rapid.SampledFrom(events)).Draw(t, "events"), GiveUp)
		answered, stored, ended, rings := false, false, 0, 0
		for _, e := range list {
			var actions []Action
			l, actions = l.On(e)
			stored = stored || e == Stored
			for _, a := range actions {
				if ended > 0 {
					t.Fatalf("%v after the end", a)
				}
				switch a.Kind {
				case SendRinging:
					if rings++; !stored {
						t.Fatal("rang before the commit")
					}
				case NoteAnswer:
					if answered {
						t.Fatal("answered twice")
					}
					answered = true
				case SendBye:
					if !answered {
						t.Fatal("BYE without an answer")
					}
				case SendRefusal:
					if answered {
						t.Fatal("refused after the answer")
					}
				case NoteEnd:
					ended++
					if a.Reason == "" || a.Callback != CallbackDue(a.Reason) {
						t.Fatalf("end %+v", a)
					}
				}
			}
		}
		if ended != 1 || l.Phase != Ended || rings > 1 {
			t.Fatalf("%d ends, phase %s, %d rings", ended, l.Phase, rings)
		}
	})
}
