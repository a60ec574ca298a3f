package alarms

import "nabat/alarms/dc09"

// Verdict is what became of a message.
type Verdict uint8

// Verdicts.
const (
	// Stored: committed, as an original or as a repeat of a committed one.
	Stored Verdict = iota + 1
	// Alive: a heartbeat or a message without event; only «last seen» moved.
	Alive
	// WrongTime: refused for its time alone. Not given in part 1, which stores
	// such a message and notes the wrong clock.
	WrongTime
	// UnknownToken: a good frame of a kind that this house does not read.
	UnknownToken
	// Unusable: a good frame whose data block cannot be read or names nobody.
	Unusable
	// Sealed: encrypted, and there is no key.
	Sealed
	// Malformed: the checksum fits and the header is not one, so that there is
	// nothing to echo.
	Malformed
	// Answer: a frame that only receivers send. It is never answered, or two
	// receivers, or one that is shown its own address, would answer for ever.
	Answer
	// Fault: it could not be stored. Ours, whatever the cause.
	Fault
)

var verdictNames = [...]string{
	Stored: "stored", Alive: "alive", WrongTime: "wrong_time", UnknownToken: "unknown_token",
	Unusable: "unusable", Sealed: "sealed", Malformed: "malformed", Answer: "answer", Fault: "fault",
}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) && verdictNames[v] != "" {
		return verdictNames[v]
	}
	return "none"
}

// Reply is the whole map from outcomes to the wire. Silence makes the panel send
// again, so whatever is our fault is silence. DUH ends its tries for ever, so it
// is kept for frames that no repeat can mend; an unknown event code is none of
// them (one maker's hub stops reporting when its code is refused). NAK is for a
// wrong time and nothing else.
func (v Verdict) Reply() dc09.Reply {
	switch v {
	case Stored, Alive:
		return dc09.ACK
	case WrongTime:
		return dc09.NAK
	case UnknownToken, Unusable:
		return dc09.DUH
	default:
		return dc09.Silence
	}
}
