package sip

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Allow lists the methods that the gateway answers, for 405 and OPTIONS.
const Allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, MESSAGE"

// Accept lists the bodies that the gateway reads.
const Accept = "application/sdp, multipart/mixed, text/plain"

// Supported lists the extensions (RFC 3261 §20.37).
const Supported = "timer"

// Refusal is a final answer that is not a success.
type Refusal struct {
	// Status 0: say nothing at all, not even an answer could be written safely.
	Status  int
	Reason  string
	Headers []Header // names as they are written
}

func refuse(status int, reason string, h ...Header) *Refusal {
	return &Refusal{Status: status, Reason: reason, Headers: h}
}

// Check looks at what every later step relies on; the parser below is lenient.
// nil means that the request may be acted on.
func Check(r Request) *Refusal {
	if !printable(r.Method) || !printable(r.URI) {
		return &Refusal{}
	}
	for _, h := range r.Headers {
		// An echoed bare LF would end the header for a lenient reader (header
		// injection). RFC 3261 §7.3.1 knows line ends only as CRLF. Other control
		// characters are legal within quotes (RFC 4475 §3.1.1.2).
		if strings.ContainsAny(h.Value, "\n\r") || !printable(h.Name) {
			return &Refusal{}
		}
	}
	if !strings.EqualFold(r.Version, "SIP/2.0") {
		return refuse(505, "Version Not Supported")
	}
	if len(r.Values("via")) == 0 {
		return &Refusal{}
	}
	for _, name := range []string{"from", "to", "call-id", "cseq"} {
		if n := len(r.Values(name)); n != 1 || strings.TrimSpace(r.First(name)) == "" {
			return refuse(400, fmt.Sprintf("Bad Request - %s must stand exactly once", name))
		}
	}
	if len(r.Values("max-forwards")) > 1 {
		return refuse(400, "Bad Request - max-forwards stands twice")
	}
	if n := r.Values("content-length"); len(n) > 1 && len(slices.Compact(slices.Clone(n))) > 1 {
		return refuse(400, "Bad Request - content-length stands twice")
	}
	number, method, ok := strings.Cut(strings.TrimSpace(r.First("cseq")), " ")
	if _, err := strconv.ParseUint(number, 10, 31); !ok || err != nil {
		return refuse(400, "Bad Request - cseq")
	}
	// The parser writes the method in capitals, but not the CSeq.
	if !strings.EqualFold(strings.TrimSpace(method), r.Method) {
		return refuse(400, "Bad Request - cseq names another method")
	}
	return nil
}

// CheckUse looks at what the request asks for: method, address scheme,
// extensions, in the order of RFC 3261 §8.2. ACK and CANCEL are never refused.
func CheckUse(r Request) *Refusal {
	switch r.Method {
	case MethodAck, MethodCancel:
		return nil
	case MethodInvite, MethodBye, MethodOptions, MethodInfo, MethodUpdate, MethodMessage:
	default:
		return refuse(405, "Method Not Allowed", Header{"Allow", Allow})
	}
	scheme, _, _ := strings.Cut(r.URI, ":")
	switch strings.ToLower(scheme) {
	case "sip", "sips", "tel", "urn":
	default:
		return refuse(416, "Unsupported URI Scheme")
	}
	var unknown []string
	for _, o := range r.List("require") {
		if !strings.EqualFold(o, "timer") {
			unknown = append(unknown, o)
		}
	}
	if len(unknown) > 0 {
		return refuse(420, "Bad Extension", Header{"Unsupported", strings.Join(unknown, ", ")})
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
