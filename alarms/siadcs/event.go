package siadcs

import (
	"errors"
	"strings"
)

// ErrMalformed: the block holds something, and no event can be made out in it.
var ErrMalformed = errors.New("siadcs: no event in the block")

// Event is one event of a block with the modifiers that stood before it.
type Event struct {
	Code       string // two capital letters
	Number     string // digits as sent; a zone or a user, as the code says
	Area       string // ri
	User       string // id
	Peripheral string // pi
	Time       string // ti, as sent
	Date       string // da, as sent
	Text       string
	Old        bool // the block said that the event is an earlier one
}

// Parse reads all events of a data block, given without its account. An empty
// block is no error and has no event: it keeps the line alive.
func Parse(block string) ([]Event, error) {
	if block == "" {
		return nil, nil
	}
	var room [2]Event
	p := parser{events: room[:0]}
	for rest := block; rest != ""; {
		n := item(rest, '|')
		p.segment(rest[:n])
		rest = rest[min(n+1, len(rest)):]
	}
	if len(p.events) == 0 {
		return nil, ErrMalformed
	}
	// Text that came after its event in a block of its own belongs to all.
	if p.free != "" {
		for i := range p.events {
			if p.events[i].Text == "" {
				p.events[i].Text = p.free
			}
		}
	}
	return append([]Event(nil), p.events...), nil
}

type parser struct {
	events []Event
	mod    Event // the modifiers that hold for the next code
	free   string
}

// segment reads what stands between two bars.
func (p *parser) segment(s string) {
	if s == "" {
		return
	}
	switch {
	case s[0] == 'A' && !starts(s):
		p.free = s[1:]
		return
	case s[0] == 'N' || s[0] == 'O':
		// Old panels leave the letter out; only then may a code begin with it.
		if starts(s[1:]) || !starts(s) {
			p.mod = Event{Old: s[0] == 'O'}
			s = s[1:]
		}
	case s[0] == 'A':
		if len(p.events) > 0 { // an event came: this is its text
			p.free = s[1:]
			return
		}
	}
	for s != "" {
		if s[0] == '/' {
			s = s[1:]
			continue
		}
		s = s[p.one(s):]
	}
}

// starts tells whether a modifier or a code begins here.
func starts(s string) bool {
	s = strings.TrimLeft(s, "/")
	return isModifier(s) || isCode(s)
}

func isCode(s string) bool {
	return len(s) >= 2 && upper(s[0]) && upper(s[1])
}

func isModifier(s string) bool {
	return len(s) >= 2 && lower(s[0]) && lower(s[1])
}

// one reads the item at the start of s and returns its length, at least 1.
func (p *parser) one(s string) int {
	switch {
	case isCode(s):
		return p.event(s)
	case isModifier(s):
		return p.modifier(s)
	}
	// Nothing known: the rest of the item is text of the event before it.
	n := item(s, '/')
	if last := len(p.events) - 1; last >= 0 && p.events[last].Text == "" {
		p.events[last].Text = plain(s[:n])
	}
	return n
}

// event reads code, number and text.
func (p *parser) event(s string) int {
	e := p.mod
	e.Code = s[:2]
	n := 2 + run(s[2:], isDigit)
	e.Number = s[2:n]
	end := n + item(s[n:], '/')
	if text := plain(s[n:end]); text != "" {
		e.Text = text
	}
	p.events = append(p.events, e)
	return max(end, 1)
}

// modifier reads two small letters and their value. Numbers end where letters
// begin, because panels leave out the slash: «ri1BA503», «ti20:50:26RP99».
func (p *parser) modifier(s string) int {
	name := s[:2]
	n := 2 + run(s[2:], isValue)
	// A value of an unknown kind may be anything up to the slash.
	if n < len(s) && s[n] != '/' && !starts(s[n:]) && s[n] != '^' && s[n] != '*' && s[n] != '\'' {
		n += item(s[n:], '/')
	}
	value := s[2:n]
	switch name {
	case "ri":
		p.mod.Area = value
	case "id":
		p.mod.User = value
	case "pi":
		p.mod.Peripheral = value
	case "ti":
		p.mod.Time = value
	case "da":
		p.mod.Date = value
	}
	if n < len(s) && s[n] != '/' && !starts(s[n:]) {
		end := n + item(s[n:], '/')
		if text := plain(s[n:end]); text != "" {
			p.mod.Text = text // the name of an area: text of the events in it
		}
		n = end
	}
	return n
}

// item returns where the item ends: at sep, or at the end. A separator inside
// ^…^ or '…' is text.
func item(s string, sep byte) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case sep:
			return i
		case '^', '\'':
			if j := strings.IndexByte(s[i+1:], s[i]); j >= 0 {
				i += 1 + j
			}
		}
	}
	return len(s)
}

// plain takes text out of its marks: ^…^, *'…'NM, or none.
func plain(s string) string {
	for _, mark := range []byte{'^', '\''} {
		if i := strings.IndexByte(s, mark); i >= 0 {
			if j := strings.IndexByte(s[i+1:], mark); j >= 0 {
				return s[i+1 : i+1+j]
			}
		}
	}
	if s == "NM" { // what is left of *'…'NM when the panel has no name to tell
		return ""
	}
	return strings.TrimPrefix(s, "*")
}

func run(s string, in func(byte) bool) int {
	for i := range len(s) {
		if !in(s[i]) {
			return i
		}
	}
	return len(s)
}

func upper(b byte) bool   { return b >= 'A' && b <= 'Z' }
func lower(b byte) bool   { return b >= 'a' && b <= 'z' }
func isDigit(b byte) bool { return b >= '0' && b <= '9' }
func isValue(b byte) bool { return isDigit(b) || b == ':' || b == '-' || b == '.' || b == ',' }
