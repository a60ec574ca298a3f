package dc09

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Tokens this house knows.
const (
	TokenContactID = "ADM-CID"
	TokenSIA       = "SIA-DCS"
	TokenNull      = "NULL"
	TokenACK       = "ACK"
	TokenNAK       = "NAK"
	TokenDUH       = "DUH"
)

// TimeLayout is the form of a timestamp: UTC, the month before the day.
const TimeLayout = "15:04:05,01-02-2006"

// ErrTime: a timestamp is no time.
var ErrTime = errors.New("dc09: impossible timestamp")

// Header is what a reply must echo, as it was sent: letter case, leading zeros,
// absent parts. A panel was seen to refuse an ACK whose missing receiver number
// had become a word.
type Header struct {
	Seq         string // four decimal digits
	Receiver    string // hex digits after R
	Line        string // hex digits after L
	Account     string // hex digits after #
	HasReceiver bool
	HasLine     bool // a bare "L" has a line that is empty
	HasAccount  bool
}

// Field is one extended field: [Vhttp://…] has kind V. Letters are not checked:
// makers use them as they like, and a broken field must never lose an alarm.
type Field struct {
	Kind  byte
	Value string
}

// Message is a parsed body. Its strings share one copy of the frame.
type Message struct {
	Header
	Token     string // without quotes and star
	Encrypted bool   // the token had its star
	Data      string // between the brackets
	Extended  []Field
	Time      string // the timestamp as sent, without underscore
	Trailer   string // octets after the last known part; kept, never trusted
	Cipher    string // of an encrypted message: all hex digits after the bracket
	Raw       string // the frame from LF to CR
	Form      CRCForm
	Quirks    Quirks
}

// SyntaxError says which part of a body could not be read. When Echo is true
// the header before that part is good, so that a reply can echo it.
type SyntaxError struct {
	Part string
	Echo bool
}

func (e *SyntaxError) Error() string { return "dc09: malformed " + e.Part }

// Parse reads the body of a frame. After a *SyntaxError the message holds what
// was read before it.
func Parse(f Frame) (Message, error) {
	raw := string(f.Raw)
	at := len(raw) - 1 - len(f.Body)
	m := Message{Raw: raw, Form: f.Form, Quirks: f.Quirks}
	rest, err := m.readHeader(raw[at : len(raw)-1])
	if err != nil {
		return m, err
	}
	if m.Encrypted {
		if len(rest) == 0 || len(rest)%32 != 0 || hexRun(rest) != len(rest) {
			return m, &SyntaxError{Part: "cipher text", Echo: true}
		}
		m.Cipher = rest
		return m, nil
	}
	err = m.readClear(rest)
	return m, err
}

// readHeader reads up to and with the bracket that opens the data block.
func (m *Message) readHeader(s string) (rest string, err error) {
	end := strings.IndexByte(s[1:], '"') // s begins with a quote: Next saw it
	if end < 1 || end > 17 {
		return "", &SyntaxError{Part: "token"}
	}
	m.Token, s = s[1:1+end], s[end+2:]
	if m.Token[0] == '*' {
		m.Encrypted, m.Token = true, m.Token[1:]
	}
	if len(s) < 4 || decRun(s[:4]) != 4 || decRun(s) != 4 {
		return "", &SyntaxError{Part: "sequence number"}
	}
	m.Seq, s = s[:4], s[4:]
	if s != "" && s[0] == 'R' {
		n := hexRun(s[1:])
		if n < 1 || n > 6 {
			return "", &SyntaxError{Part: "receiver number"}
		}
		m.HasReceiver, m.Receiver, s = true, s[1:1+n], s[1+n:]
	}
	if s != "" && s[0] == 'L' {
		n := hexRun(s[1:])
		line := s[1 : 1+n]
		if m.Token == TokenNAK { // "L0A0": A and a number stand in place of #
			line, _, _ = strings.Cut(line, "A")
		}
		if len(line) > 6 {
			return "", &SyntaxError{Part: "line number"}
		}
		m.HasLine, m.Line, s = true, line, s[1+n:]
	}
	if s != "" && s[0] == '#' {
		n := hexRun(s[1:])
		if n < 3 || n > 16 {
			return "", &SyntaxError{Part: "account"}
		}
		m.HasAccount, m.Account, s = true, s[1:1+n], s[1+n:]
	}
	if s == "" || s[0] != '[' {
		return "", &SyntaxError{Part: "header"}
	}
	return s[1:], nil
}

// readClear reads data, extended fields and timestamp. Only a data block that
// never ends is an error; what follows it is optional and cannot fail.
func (m *Message) readClear(s string) error {
	end := closing(s)
	if end < 0 {
		return &SyntaxError{Part: "data block", Echo: true}
	}
	m.Data, s = s[:end], s[end+1:]
	for s != "" && s[0] == '[' {
		end := closing(s)
		if end < 2 {
			break
		}
		m.Extended = append(m.Extended, Field{Kind: s[1], Value: s[2:end]})
		s = s[end+1:]
	}
	if len(s) > 1 && s[0] == '_' {
		m.Time, s = s[1:], ""
		if len(m.Time) > len(TimeLayout) {
			m.Time, s = m.Time[:len(TimeLayout)], m.Time[len(TimeLayout):]
		}
	}
	m.Trailer = s
	return nil
}

// closing finds the bracket that ends a block: the first one that is followed
// by another block, a timestamp or the end. Text may hold the others.
func closing(s string) int {
	last := -1
	for i := 0; i < len(s); i++ {
		if s[i] != ']' {
			continue
		}
		if i+1 == len(s) || s[i+1] == '[' || s[i+1] == '_' {
			return i
		}
		last = i
	}
	return last
}

// SplitData cuts a data block into its account and what follows the first bar.
// Some panels leave out the "#", the account, or both.
func SplitData(data string) (account, content string) {
	left, right, found := strings.Cut(data, "|")
	digits := strings.TrimPrefix(left, "#")
	if n := len(digits); n >= 3 && n <= 16 && hexRun(digits) == n && (found || left != digits) {
		return digits, right
	}
	if found && digits == "" {
		return "", right
	}
	return "", data
}

// ParseTime reads a timestamp as UTC. It refuses impossible dates and times.
// (time.Parse cannot: it takes the comma after the seconds for a fraction.)
func ParseTime(s string) (time.Time, error) {
	const shape = "00:00:00,00-00-0000"
	if len(s) != len(shape) {
		return time.Time{}, fmt.Errorf("%w %q", ErrTime, s)
	}
	for i := range len(s) {
		if digit := s[i] >= '0' && s[i] <= '9'; digit != (shape[i] == '0') || !digit && s[i] != shape[i] {
			return time.Time{}, fmt.Errorf("%w %q", ErrTime, s)
		}
	}
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }
	hour, minute, sec, month, day, year := two(0), two(3), two(6), two(9), two(12), two(15)*100+two(17)
	t := time.Date(year, time.Month(month), day, hour, minute, sec, 0, time.UTC)
	if hour > 23 || minute > 59 || sec > 59 || t.Day() != day || int(t.Month()) != month {
		return time.Time{}, fmt.Errorf("%w %q", ErrTime, s)
	}
	return t, nil
}

// Occurred returns the value of the first H field, the time at which the event
// happened when the panel could not send it at once.
func (m *Message) Occurred() (string, bool) {
	for _, f := range m.Extended {
		if f.Kind == 'H' {
			return f.Value, true
		}
	}
	return "", false
}

// AppendBody writes a clear message as a body: what a panel sends. It is the
// inverse of Parse for messages without quirks.
func (m *Message) AppendBody(dst []byte) []byte {
	dst = append(dst, '"')
	if m.Encrypted {
		dst = append(dst, '*')
	}
	dst = append(dst, m.Token...)
	dst = append(dst, '"')
	dst = m.Header.append(dst)
	dst = append(dst, '[')
	if m.Encrypted {
		return append(dst, m.Cipher...)
	}
	dst = append(dst, m.Data...)
	dst = append(dst, ']')
	for _, f := range m.Extended {
		dst = append(dst, '[', f.Kind)
		dst = append(dst, f.Value...)
		dst = append(dst, ']')
	}
	if m.Time != "" {
		dst = append(dst, '_')
		dst = append(dst, m.Time...)
	}
	return append(dst, m.Trailer...)
}

func (h *Header) append(dst []byte) []byte {
	dst = append(dst, h.Seq...)
	if h.HasReceiver {
		dst = append(dst, 'R')
		dst = append(dst, h.Receiver...)
	}
	if h.HasLine {
		dst = append(dst, 'L')
		dst = append(dst, h.Line...)
	}
	if h.HasAccount {
		dst = append(dst, '#')
		dst = append(dst, h.Account...)
	}
	return dst
}

func hexRun(s string) int {
	for i := range len(s) {
		if _, ok := hexDigit(s[i]); !ok {
			return i
		}
	}
	return len(s)
}

func decRun(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}
