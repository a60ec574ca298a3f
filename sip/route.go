package sip

import (
	"cmp"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Target is where a request of ours within a dialog goes.
type Target struct {
	URI   string   // Request-URI
	Route []string // Route values in order
	Next  string   // host:port to send to
	// Fresh is where a new connection goes when the caller's own is gone: the port
	// that it came from was its own choice, and nobody listens there.
	Fresh string
}

// DialogTarget finds it from the caller's Contact and the Record-Route values of
// the INVITE, in their order (RFC 3261 §12.1.1 and §12.2.1.1). source is where
// the INVITE came from.
//
// Names are not looked up: an emergency line must not hang on DNS, and whoever
// sent the INVITE from source can take its BYE there.
func DialogTarget(contact string, recordRoute []string, source string) Target {
	t := Target{URI: contact, Route: recordRoute, Next: nextHop(contact, source), Fresh: freshHop(contact, source)}
	if t.URI == "" {
		t.URI = "sip:" + source
	}
	if len(recordRoute) == 0 {
		return t
	}
	first := ParseAddress(recordRoute[0]).URI
	t.Next, t.Fresh = nextHop(first, source), freshHop(first, source)
	if !hasParam(first, "lr") { // a strict router of RFC 2543
		t.Route = append(append([]string{}, recordRoute[1:]...), "<"+t.URI+">")
		t.URI = first
	}
	return t
}

// nextHop is the URI's own address when it is one that can be reached from here,
// otherwise the source: a private address behind NAT is of no use.
func nextHop(uri, source string) string {
	host, port := hostPort(uri)
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return source
	}
	src, err := netip.ParseAddrPort(source)
	if err != nil {
		return net.JoinHostPort(host, port)
	}
	local := func(a netip.Addr) bool { return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() }
	if ip.IsUnspecified() || ip.IsMulticast() || local(ip) && !local(src.Addr().Unmap()) {
		return source
	}
	return net.JoinHostPort(host, port)
}

// freshHop is nextHop for a new connection: where only the source's address is
// known, with the port that the URI names (RFC 3261 §18.2.2, RFC 5923 §5).
func freshHop(uri, source string) string {
	next := nextHop(uri, source)
	if next != source {
		return next
	}
	host, _, err := net.SplitHostPort(source)
	if err != nil {
		return source
	}
	_, port := hostPort(uri)
	return net.JoinHostPort(host, cmp.Or(port, "5060"))
}

func hostPort(uri string) (host, port string) {
	_, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return "", ""
	}
	rest, _, _ = strings.Cut(rest, "?")
	if _, after, found := cutLast(rest, '@'); found {
		rest = after
	}
	rest, _, _ = strings.Cut(rest, ";")
	if h, p, err := net.SplitHostPort(rest); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err == nil && n > 0 {
			return h, p
		}
		return h, "5060"
	}
	return strings.Trim(rest, "[]"), "5060"
}

func hasParam(uri, name string) bool {
	parts := strings.Split(uri, ";")
	for _, p := range parts[1:] {
		k, _, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return true
		}
	}
	return false
}
