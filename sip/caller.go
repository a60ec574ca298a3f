package sip

import (
	"net"
	"net/url"
	"strings"
)

const maxParty = 128 // bytes of a number or address on a card

// Caller is who calls, as the network gave it: P-Asserted-Identity first
// (RFC 3325; the tel: value when there are two), From otherwise. Empty when the
// caller is hidden. A trunk that is not trusted must strip P-Asserted-Identity
// itself; restrict the gateway's peers accordingly.
func Caller(r Request) string {
	var asserted string
	for _, v := range r.List("p-asserted-identity") {
		uri := ParseAddress(v).URI
		n := Party(uri)
		if n != "" && (asserted == "" || strings.HasPrefix(strings.ToLower(uri), "tel:")) {
			asserted = n
		}
	}
	if asserted != "" {
		return asserted
	}
	return Party(ParseAddress(r.First("from")).URI)
}

// Called is the number or service that was dialled: the Request-URI.
func Called(r Request) string {
	if p := Party(r.URI); p != "" {
		return p
	}
	return Clean(r.URI, maxParty, false)
}

// Party reads the number out of a tel: or sip: URI. A SIP user that is not a
// number stays user@host; an anonymous one is empty.
func Party(uri string) string {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return ""
	}
	switch strings.ToLower(scheme) {
	case "tel":
		n, _, _ := strings.Cut(rest, ";")
		return Clean(number(n), maxParty, false)
	case "sip", "sips":
	default:
		return ""
	}
	rest, _, _ = strings.Cut(rest, "?")
	user, host, found := cutLast(rest, '@')
	if !found {
		return ""
	}
	user, _, _ = strings.Cut(user, ":") // a password, deprecated and never shown
	user, _, _ = strings.Cut(user, ";") // parameters of a telephone number in a sip: URI
	if u, err := url.PathUnescape(user); err == nil {
		user = u
	}
	host, _, _ = strings.Cut(host, ";")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if hidden(user, host) {
		return ""
	}
	if n := number(user); n != "" {
		return Clean(n, maxParty, false)
	}
	return Clean(user+"@"+host, maxParty, false)
}

// hidden: RFC 3323 §4.1.1.3 uses anonymous@anonymous.invalid; the other words
// are what exchanges send in practice.
func hidden(user, host string) bool {
	switch strings.ToLower(user) {
	case "", "anonymous", "unavailable", "restricted", "unknown", "private", "withheld":
		return true
	}
	return strings.EqualFold(host, "anonymous.invalid")
}

// number drops visual separators (RFC 3966 §3); anything but a telephone number
// gives the empty string.
func number(s string) string {
	var b strings.Builder
	digits := 0
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
			b.WriteRune(c)
		case c == '+' && i == 0, c == '*', c == '#':
			b.WriteRune(c)
		case c == '-', c == '.', c == '(', c == ')', c == ' ':
		default:
			return ""
		}
	}
	if digits == 0 {
		return ""
	}
	return b.String()
}

func cutLast(s string, c byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, c); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
