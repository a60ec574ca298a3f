package contactid

import (
	"errors"
	"strings"
)

// ErrMalformed: the text is not «QXYZ GG CCC».
var ErrMalformed = errors.New("contactid: not an event")

// Qualifiers of an event.
const (
	New     = '1' // a new event, or an opening
	Restore = '3' // a restore, or a closing
	Still   = '6' // reported before and still so
)

// Event is one Contact ID event. Digits are kept as sent, leading zeros too.
type Event struct {
	Qualifier byte   // as sent; see Known
	Code      string // three digits
	Area      string // two digits; 00 means none
	Number    string // three digits: a zone or a user, as the code says
}

// Parse reads an event, with single spaces between its groups or with none.
// Whether the qualifier means anything is for Entry.Condition to say.
func Parse(s string) (Event, error) {
	s = strings.Trim(s, " ")
	gap := 0
	switch len(s) {
	case len("QXYZ GG CCC"):
		if s[4] != ' ' || s[7] != ' ' {
			return Event{}, ErrMalformed
		}
		gap = 1
	case len("QXYZGGCCC"):
	default:
		return Event{}, ErrMalformed
	}
	e := Event{Qualifier: s[0], Code: s[1:4], Area: s[4+gap : 6+gap], Number: s[6+2*gap:]}
	if !digits(s[:4]) || !digits(e.Area) || !digits(e.Number) {
		return Event{}, ErrMalformed
	}
	return e, nil
}

// digits allows hex letters: the telephone form of the protocol has them.
func digits(s string) bool {
	for i := range len(s) {
		if b := s[i]; (b < '0' || b > '9') && (b < 'A' || b > 'F') {
			return false
		}
	}
	return true
}

// String writes the event as it stands in a data block.
func (e Event) String() string {
	return string(e.Qualifier) + e.Code + " " + e.Area + " " + e.Number
}
