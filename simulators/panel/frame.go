package panel

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Tokens that this side writes and reads.
const (
	tokenContactID = "ADM-CID"
	tokenSIA       = "SIA-DCS"
	tokenNull      = "NULL"
	tokenACK       = "ACK"
	tokenNAK       = "NAK"
	tokenDUH       = "DUH"
)

// Frame is one message of a panel in clear text.
type Frame struct {
	Token    string
	Seq      int    // 0 for a link test, else 1 to 9999
	Receiver string // hex digits after R; empty: not sent
	Line     string // hex digits after L
	Account  string
	Data     string // what stands between the account and the closing bracket
	Extra    string // further bracket pairs and the timestamp, as they are sent
}

// Bytes writes the frame: LF, CRC, length, body, CR. Length and CRC count the
// octets from the first quote to the one before CR.
func (f Frame) Bytes() []byte {
	var b strings.Builder
	b.WriteByte('"')
	b.WriteString(f.Token)
	b.WriteByte('"')
	fmt.Fprintf(&b, "%04d", f.Seq)
	if f.Receiver != "" {
		b.WriteByte('R')
		b.WriteString(f.Receiver)
	}
	b.WriteByte('L')
	b.WriteString(f.Line)
	b.WriteByte('#')
	b.WriteString(f.Account)
	b.WriteByte('[')
	if f.Data != "" {
		b.WriteByte('#')
		b.WriteString(f.Account)
		b.WriteByte('|')
		b.WriteString(f.Data)
	}
	b.WriteByte(']')
	b.WriteString(f.Extra)
	body := b.String()
	return fmt.Appendf(nil, "\n%04X0%03X%s\r", checksum(body), len(body), body)
}

// checksum is CRC-16/ARC bit by bit: polynomial A001 from the right, start 0. It
// is slow and obvious on purpose: the engine's table must agree with it.
func checksum(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i])
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low == 1 {
				crc ^= 0xA001
			}
		}
	}
	return crc
}

// Reply is a receiver's answer.
type Reply struct {
	Token string // ACK, NAK, DUH or whatever came
	Seq   int
	// Receiver, Line and Account echo the request; Receiver is empty when there
	// was no R.
	Receiver, Line, Account string
	Time                    string // of a NAK
}

// ErrReply is an answer that no panel could read.
var ErrReply = errors.New("unreadable reply")

// ParseReply reads exactly one frame, from LF to CR.
func ParseReply(raw []byte) (Reply, error) {
	bad := func(why string) (Reply, error) { return Reply{}, fmt.Errorf("%w: %s: %q", ErrReply, why, raw) }
	if len(raw) < 11 || raw[0] != '\n' || raw[len(raw)-1] != '\r' {
		return bad("no envelope")
	}
	body := string(raw[9 : len(raw)-1])
	if n, err := strconv.ParseUint(string(raw[5:9]), 16, 16); err != nil || int(n) != len(body) {
		return bad("length")
	}
	if crc, err := strconv.ParseUint(string(raw[1:5]), 16, 16); err != nil || crc != uint64(checksum(body)) {
		return bad("CRC")
	}
	quoted, rest, ok := strings.Cut(strings.TrimPrefix(body, `"`), `"`)
	if !ok || len(rest) < 4 || body[0] != '"' {
		return bad("token")
	}
	r := Reply{Token: quoted}
	var err error
	if r.Seq, err = strconv.Atoi(rest[:4]); err != nil || r.Seq < 0 {
		return bad("sequence")
	}
	head, tail, ok := strings.Cut(rest[4:], "[")
	if !ok {
		return bad("no data block")
	}
	if head, r.Account, ok = strings.Cut(head, "#"); !ok && r.Token != tokenNAK {
		return bad("no account")
	}
	r.Receiver, r.Line, _ = strings.Cut(head, "L")
	r.Receiver = strings.TrimPrefix(r.Receiver, "R")
	if r.Token == tokenNAK {
		_, r.Time, _ = strings.Cut(tail, "_")
	}
	return r, nil
}

// maxReply bounds what is read for one answer; a receiver's answers are short.
const maxReply = 512

// byteReader is what a buffered connection offers.
type byteReader interface {
	io.Reader
	io.ByteReader
}

// readFrame reads the next frame of a stream by its length field.
func readFrame(r byteReader) ([]byte, error) {
	for {
		c, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		if c == '\n' {
			break
		}
		if c != 0 && c != '\r' {
			return nil, fmt.Errorf("%w: %q between frames", ErrReply, c)
		}
	}
	head := [9]byte{'\n'}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(string(head[5:9]), 16, 16)
	if err != nil || n > maxReply {
		return nil, fmt.Errorf("%w: length %q", ErrReply, head[5:9])
	}
	raw := make([]byte, 9+int(n)+1)
	copy(raw, head[:])
	if _, err := io.ReadFull(r, raw[9:]); err != nil {
		return nil, err
	}
	return raw, nil
}
