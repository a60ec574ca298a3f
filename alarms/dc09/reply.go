package dc09

import "time"

// Reply is what a receiver says to a frame.
type Reply uint8

// The replies. Silence is one of them: it makes the panel send again.
const (
	Silence Reply = iota
	ACK           // taken for good
	NAK           // the frame's time is wrong; carries ours
	DUH           // the frame is good and we cannot use it; ends the panel's tries
)

func (r Reply) String() string {
	switch r {
	case ACK:
		return TokenACK
	case NAK:
		return TokenNAK
	case DUH:
		return TokenDUH
	default:
		return "silence"
	}
}

// AppendReply writes the frame that answers m; for Silence it writes nothing.
// now is the receiver's clock, of which only a NAK speaks.
func AppendReply(dst []byte, r Reply, m *Message, now time.Time) []byte {
	var token string
	switch r {
	case ACK:
		token = TokenACK
	case DUH:
		token = TokenDUH
	case NAK:
		return AppendNAK(dst, m.Form, now)
	default:
		return dst
	}
	var scratch [64]byte
	body := append(scratch[:0], '"')
	body = append(body, token...)
	body = append(body, '"')
	body = m.Header.append(body)
	body = append(body, "[]"...)
	return AppendFrame(dst, body, m.Form)
}

// AppendNAK writes a NAK. It echoes nothing and is never encrypted.
func AppendNAK(dst []byte, form CRCForm, now time.Time) []byte {
	var scratch [64]byte
	body := append(scratch[:0], `"NAK"0000R0L0A0[]_`...)
	body = now.UTC().AppendFormat(body, TimeLayout)
	return AppendFrame(dst, body, form)
}
