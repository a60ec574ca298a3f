package sip

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Methods that the gateway knows.
const (
	MethodInvite  = "INVITE"
	MethodAck     = "ACK"
	MethodCancel  = "CANCEL"
	MethodBye     = "BYE"
	MethodOptions = "OPTIONS"
	MethodInfo    = "INFO"
	MethodUpdate  = "UPDATE"
	MethodMessage = "MESSAGE"
)

// Header is one header line. Name is the long form in lower case.
type Header struct {
	Name  string
	Value string
}

// Request is a request as text, as much of it as the house looks at.
type Request struct {
	Method  string
	URI     string
	Version string
	Headers []Header
	Body    []byte
}

// longNames are the compact forms (RFC 3261 §7.3.3 and the extensions' own). The
// library below understands only some of them, so all are expanded here, once.
var longNames = map[string]string{
	"a": "accept-contact", "b": "referred-by", "c": "content-type", "e": "content-encoding",
	"f": "from", "i": "call-id", "k": "supported", "l": "content-length", "m": "contact",
	"o": "event", "r": "refer-to", "s": "subject", "t": "to", "u": "allow-events",
	"v": "via", "x": "session-expires",
}

// HeaderName is the long name in lower case.
func HeaderName(name string) string {
	name = strings.ToLower(name)
	if long, ok := longNames[name]; ok {
		return long
	}
	return name
}

// Values gives the values of every line of a header.
func (r Request) Values(name string) []string {
	var out []string
	for _, h := range r.Headers {
		if h.Name == name {
			out = append(out, h.Value)
		}
	}
	return out
}

// First is the first line's value, or empty.
func (r Request) First(name string) string {
	for _, h := range r.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// List gives the comma-separated elements of all lines of a header.
func (r Request) List(name string) []string {
	var out []string
	for _, v := range r.Values(name) {
		for _, e := range splitOutside(v, ',') {
			if e = strings.TrimSpace(e); e != "" {
				out = append(out, e)
			}
		}
	}
	return out
}

// Has tells whether a list header names a token, without regard to case.
func (r Request) Has(name, token string) bool {
	for _, e := range r.List(name) {
		if strings.EqualFold(e, token) {
			return true
		}
	}
	return false
}

// splitOutside splits at sep where it stands outside quotes and angle brackets.
func splitOutside(s string, sep byte) []string {
	var out []string
	quoted, angle, from := false, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == sep && !angle:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}

// Address is a name-addr or addr-spec with its parameters (RFC 3261 §20.10).
type Address struct {
	Display string
	URI     string
	Params  map[string]string // names in lower case
}

// ParseAddress reads one address. It is lenient: what it cannot read is empty.
func ParseAddress(s string) Address {
	var a Address
	rest := strings.TrimSpace(s)
	parts := splitOutside(rest, ';')
	head := parts[0]
	if i := indexOutside(head, '<'); i >= 0 {
		a.Display = unquote(strings.TrimSpace(head[:i]))
		uri, _, _ := strings.Cut(head[i+1:], ">")
		a.URI = strings.TrimSpace(uri)
	} else {
		a.URI = strings.TrimSpace(head)
	}
	a.Params = parseParams(parts[1:])
	return a
}

// Tighten drops the white space around «;» and «=» after an address, outside
// quotes and angle brackets (RFC 3261 §7.3.1).
func Tighten(s string) string {
	parts := splitOutside(s, ';')
	for i, p := range parts {
		if k, v, ok := strings.Cut(p, "="); ok && i > 0 {
			p = strings.TrimSpace(k) + "=" + strings.TrimSpace(v)
		}
		parts[i] = strings.TrimSpace(p)
	}
	return strings.Join(parts, ";")
}

func indexOutside(s string, c byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == c:
			return i
		}
	}
	return -1
}

func parseParams(parts []string) map[string]string {
	m := make(map[string]string, len(parts))
	for _, p := range parts {
		k, v, _ := strings.Cut(p, "=")
		if k = strings.ToLower(strings.TrimSpace(k)); k != "" {
			m[k] = unquote(strings.TrimSpace(v))
		}
	}
	return m
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// FromTag is the caller's tag; empty from an RFC 2543 client.
func (r Request) FromTag() string { return ParseAddress(r.First("from")).Params["tag"] }

// ToTag is set on a request within a dialog.
func (r Request) ToTag() string { return ParseAddress(r.First("to")).Params["tag"] }

// Clean makes outside text fit for the database and for a screen: valid UTF-8,
// no control characters (line ends stay when lines is set), at most limit bytes.
func Clean(s string, limit int, lines bool) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if lines && (r == '\n' || r == '\t') {
			return r
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
