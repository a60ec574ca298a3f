package sipwire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Header is one header line, its name as written.
type Header struct{ Name, Value string }

// Message is a request (Method set) or a response (Status set).
type Message struct {
	Method, URI string
	Status      int
	Reason      string
	Headers     []Header
	Body        []byte
}

// ErrMessage is what no SIP message looks like.
var ErrMessage = errors.New("not a SIP message")

// compact are the short forms of header names (RFC 3261 §7.3.3).
var compact = map[string]string{
	"i": "call-id", "m": "contact", "f": "from", "t": "to", "v": "via", "l": "content-length", "c": "content-type", "k": "supported", "s": "subject",
}

func canonical(name string) string {
	low := strings.ToLower(name)
	if long, ok := compact[low]; ok {
		return long
	}
	return low
}

// Get is the first value of a header; names are compared without regard to case
// and in both forms.
func (m *Message) Get(name string) string {
	for _, h := range m.Headers {
		if canonical(h.Name) == canonical(name) {
			return h.Value
		}
	}
	return ""
}

// All lists every value of a header.
func (m *Message) All(name string) []string {
	var out []string
	for _, h := range m.Headers {
		if canonical(h.Name) == canonical(name) {
			out = append(out, h.Value)
		}
	}
	return out
}

// Add appends a header line.
func (m *Message) Add(name, value string) { m.Headers = append(m.Headers, Header{name, value}) }

// Bytes writes the message; Content-Length is added.
func (m *Message) Bytes() []byte {
	var b bytes.Buffer
	if m.Method != "" {
		fmt.Fprintf(&b, "%s %s SIP/2.0\r\n", m.Method, m.URI)
	} else {
		fmt.Fprintf(&b, "SIP/2.0 %d %s\r\n", m.Status, m.Reason)
	}
	for _, h := range m.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(m.Body))
	b.Write(m.Body)
	return b.Bytes()
}

// Parse reads one whole message. Octets after the body are an error.
func Parse(raw []byte) (*Message, error) {
	head, body, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !ok {
		return nil, fmt.Errorf("%w: no end of the headers", ErrMessage)
	}
	m, err := parseHead(string(head))
	if err != nil {
		return nil, err
	}
	n := len(body)
	if l := m.Get("Content-Length"); l != "" {
		if n, err = strconv.Atoi(strings.TrimSpace(l)); err != nil || n < 0 || n > len(body) {
			return nil, fmt.Errorf("%w: Content-Length %q, body %d octets", ErrMessage, l, len(body))
		}
	}
	m.Body = bytes.Clone(body[:n])
	return m, nil
}

func parseHead(head string) (*Message, error) {
	lines := strings.Split(head, "\r\n")
	m := &Message{}
	first := strings.SplitN(lines[0], " ", 3)
	switch {
	case len(first) >= 2 && first[0] == "SIP/2.0":
		var err error
		if m.Status, err = strconv.Atoi(first[1]); err != nil || m.Status < 100 || m.Status > 699 {
			return nil, fmt.Errorf("%w: %q", ErrMessage, lines[0])
		}
		if len(first) == 3 {
			m.Reason = first[2]
		}
	case len(first) == 3 && first[2] == "SIP/2.0" && first[0] != "":
		m.Method, m.URI = first[0], first[1]
	default:
		return nil, fmt.Errorf("%w: %q", ErrMessage, lines[0])
	}
	for _, line := range lines[1:] {
		if line != "" && (line[0] == ' ' || line[0] == '\t') && len(m.Headers) > 0 {
			last := &m.Headers[len(m.Headers)-1]
			last.Value = strings.TrimSpace(last.Value + " " + strings.TrimSpace(line))
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("%w: header %q", ErrMessage, line)
		}
		m.Headers = append(m.Headers, Header{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return m, nil
}

// Tag is the tag parameter of a From or To value.
func Tag(value string) string {
	// The tag is a header parameter, so it stands after any angle bracket.
	if i := strings.LastIndexByte(value, '>'); i >= 0 {
		value = value[i:]
	}
	return param(value, "tag")
}

func param(value, name string) string {
	for _, p := range strings.Split(value, ";")[1:] {
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Branch is the branch parameter of the topmost Via.
func (m *Message) Branch() string { return param(m.Get("Via"), "branch") }

// Renew gives the topmost Via's branch a suffix: the n-th transaction of the same
// request, as a queue that sends it again makes.
func (m *Message) Renew(n int) {
	for i := range m.Headers {
		if canonical(m.Headers[i].Name) == "via" {
			m.Headers[i].Value += fmt.Sprintf("r%d", n) // the branch stands last
			return
		}
	}
}

// CSeq reads the sequence number and its method.
func (m *Message) CSeq() (n int, method string) {
	num, method, _ := strings.Cut(m.Get("CSeq"), " ")
	n, err := strconv.Atoi(num)
	if err != nil {
		return -1, ""
	}
	return n, strings.TrimSpace(method)
}

// AddressURI is the URI of a Contact, From, To or Route value.
func AddressURI(value string) string {
	if _, rest, ok := strings.Cut(value, "<"); ok {
		uri, _, _ := strings.Cut(rest, ">")
		return uri
	}
	uri, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(uri)
}

// Answer makes the response to a request, with what it must copy (RFC 3261 §8.2.6).
func Answer(req *Message, status int, reason string) *Message {
	r := &Message{Status: status, Reason: reason}
	for _, h := range req.Headers {
		switch canonical(h.Name) {
		case "via", "from", "to", "call-id", "cseq":
			r.Headers = append(r.Headers, h)
		}
	}
	return r
}
