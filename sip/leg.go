package sip

import "nabat/dispatch"

// Phase is where a call leg is. The contact's own state (ringing, answered,
// ended) is coarser: Storing and Ringing are «ringing», Answered and Talking are
// «answered».
type Phase string

// Phases of a leg.
const (
	Storing  Phase = "storing"  // INVITE taken, its contact not yet committed
	Ringing  Phase = "ringing"  // committed; waiting for a place and a port
	Answered Phase = "answered" // 200 sent, no ACK yet
	Talking  Phase = "talking"  // ACK came
	Ended    Phase = "ended"
)

// Event is what happens to a leg.
type Event string

// Events. The first group comes from the caller, the second from the house.
const (
	Acked        Event = "acked"
	CallerBye    Event = "caller_bye"
	CallerCancel Event = "caller_cancel"
	NoAck        Event = "no_ack"    // 64*T1 after the 200 (RFC 3261 §13.3.1.4)
	NoMedia      Event = "no_media"  // the ACK answered our offer with nothing we can speak
	LineLost     Event = "line_lost" // nothing reaches the other side any more
	Forgotten    Event = "forgotten" // the other side says that it knows no such call

	Late     Event = "late"     // the commit takes long, or an attempt failed: tell the network that we are at it
	Stored   Event = "stored"   // the contact is committed
	Sent     Event = "sent"     // the 200 is on its way
	HangUp   Event = "hang_up"  // an operator ended the call
	Shutdown Event = "shutdown" // this process is going away
	GiveUp   Event = "give_up"  // the time for an orderly end is over
)

// ActionKind is what the line has to do.
type ActionKind string

// Kinds of action.
const (
	SendQueued  ActionKind = "send_queued"
	SendRinging ActionKind = "send_ringing"
	SendRefusal ActionKind = "send_refusal" // Status says which
	SendBye     ActionKind = "send_bye"
	NoteAnswer  ActionKind = "note_answer" // tell the house: answered
	NoteEnd     ActionKind = "note_end"    // tell the house: ended, Reason says why
)

// Action is one thing to do, in the order given.
type Action struct {
	Kind     ActionKind
	Status   int
	Reason   dispatch.EndReason
	Callback bool
}

// Leg is one call as a value. The zero Leg is not valid; use NewLeg.
type Leg struct {
	Phase Phase
	// NoCodec: nothing that the caller offered can be spoken here.
	NoCodec bool
	queued  bool
	// pending is why the call ends as soon as the ACK is there: a BYE must not
	// overtake the ACK (RFC 3261 §15).
	pending dispatch.EndReason
}

// NewLeg is a leg whose INVITE has just been taken.
func NewLeg(noCodec bool) Leg { return Leg{Phase: Storing, NoCodec: noCodec} }

// CallbackDue tells whether an end leaves somebody without help through no
// decision of theirs. A caller who hung up or gave up leaves an open draft card
// with that reason, which a person must close; a failure of the line or of ours
// goes into the callback list as well.
func CallbackDue(r dispatch.EndReason) bool {
	switch r {
	case dispatch.EndLineLost, dispatch.EndNoMedia, dispatch.EndNoAck, dispatch.EndShutdown:
		return true
	case dispatch.EndCallerHungUp, dispatch.EndCancelled, dispatch.EndOperator, dispatch.EndDelivered:
		return false
	}
	return false
}

// On gives the leg after an event and what must be done about it. An event that
// means nothing in the phase changes nothing.
func (l Leg) On(e Event) (Leg, []Action) {
	if l.Phase == Ended {
		return l, nil
	}
	early := l.Phase == Storing || l.Phase == Ringing
	switch e {
	case Late:
		if l.Phase == Storing && !l.queued {
			l.queued = true
			return l, []Action{{Kind: SendQueued}}
		}
	case Stored:
		if l.Phase != Storing {
			return l, nil
		}
		if l.NoCodec {
			return l.refuse(488, dispatch.EndNoMedia)
		}
		l.Phase = Ringing
		return l, []Action{{Kind: SendRinging}}
	case Sent:
		if l.Phase == Ringing {
			l.Phase = Answered
			return l, []Action{{Kind: NoteAnswer}}
		}
	case Acked:
		if l.Phase != Answered {
			return l, nil
		}
		l.Phase = Talking
		if l.pending != "" {
			return l.bye(l.pending)
		}
	case CallerBye:
		if early {
			return l.refuse(487, dispatch.EndCallerHungUp) // RFC 3261 §15.1.2
		}
		return l.end(dispatch.EndCallerHungUp)
	case CallerCancel:
		if early { // after the 200 a CANCEL has no effect (RFC 3261 §9.2)
			return l.end(dispatch.EndCancelled)
		}
	case NoAck:
		if l.Phase == Answered {
			return l.bye(orReason(l.pending, dispatch.EndNoAck))
		}
	case NoMedia:
		if !early {
			return l.bye(dispatch.EndNoMedia)
		}
	case LineLost:
		if early {
			return l.end(dispatch.EndLineLost)
		}
		// Whoever cannot be heard from may yet hear us (RFC 4028 §10).
		return l.bye(dispatch.EndLineLost)
	case Forgotten:
		if !early {
			return l.end(dispatch.EndLineLost)
		}
	case HangUp:
		return l.finish(480, dispatch.EndOperator)
	case Shutdown:
		return l.finish(503, dispatch.EndShutdown)
	case GiveUp:
		if early {
			return l.refuse(503, dispatch.EndShutdown)
		}
		return l.bye(orReason(l.pending, dispatch.EndShutdown))
	}
	return l, nil
}

// finish ends the call from our side in the way its phase allows.
func (l Leg) finish(status int, why dispatch.EndReason) (Leg, []Action) {
	switch l.Phase {
	case Storing, Ringing:
		return l.refuse(status, why)
	case Answered:
		if l.pending == "" {
			l.pending = why
		}
		return l, nil
	case Talking:
		return l.bye(why)
	case Ended:
	}
	return l, nil
}

func (l Leg) refuse(status int, why dispatch.EndReason) (Leg, []Action) {
	l, a := l.end(why)
	return l, append([]Action{{Kind: SendRefusal, Status: status}}, a...)
}

func (l Leg) bye(why dispatch.EndReason) (Leg, []Action) {
	l, a := l.end(why)
	return l, append([]Action{{Kind: SendBye}}, a...)
}

func (l Leg) end(why dispatch.EndReason) (Leg, []Action) {
	l.Phase = Ended
	return l, []Action{{Kind: NoteEnd, Reason: why, Callback: CallbackDue(why)}}
}

func orReason(a, b dispatch.EndReason) dispatch.EndReason {
	if a != "" {
		return a
	}
	return b
}
