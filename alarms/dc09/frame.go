package dc09

import (
	"bytes"
	"errors"
)

const (
	lf = '\n'
	cr = '\r'

	// MaxBody is the longest body the length field can name.
	MaxBody = 0x0FFF
	// MaxFrame is the longest frame: LF, four CRC digits, four length digits,
	// body, CR. A buffer of this size always suffices for Next to decide.
	MaxFrame = 1 + 4 + 4 + MaxBody + 1
)

// Why Next returned no frame.
var (
	// ErrShort: what is there may become a frame; more octets are needed.
	ErrShort = errors.New("dc09: frame not complete")
	// ErrJunk: octets that belong to no frame.
	ErrJunk = errors.New("dc09: not a frame")
	// ErrLength: a frame began, but its length field does not lead to its CR.
	ErrLength = errors.New("dc09: length field wrong")
	// ErrCRC: the frame is whole and its CRC is wrong.
	ErrCRC = errors.New("dc09: CRC wrong")
)

// CRCForm is how a frame carries its CRC. A reply uses the form of the request.
type CRCForm uint8

// The two forms.
const (
	CRCHex CRCForm = iota // four hex digits, as the standard says
	CRCRaw                // two octets, high one first
)

// Quirks names what had to be forgiven to read the frame.
type Quirks uint8

// The quirks of the envelope.
const (
	LengthDecimal  Quirks = 1 << iota // the length is printed in decimal
	LengthCountsCR                    // the length counts the closing CR
	CRCOverCR                         // the CRC was taken over body and CR
)

// Frame is one envelope. Its slices alias the buffer given to Next.
type Frame struct {
	Raw    []byte // from LF to CR
	Body   []byte // from the first quote to the byte before CR
	Form   CRCForm
	Quirks Quirks
}

// Next cuts the next frame out of buf. The caller drops the first n octets of
// buf whatever the error, and calls again until ErrShort says to read more.
// Every answer but ErrShort makes progress (n > 0).
//
// With stalled the caller says that no more octets will come: the datagram ends
// here, or the stream has been idle for a while. Then nothing is waited for, and
// a length field that promises too much is read in the ways the field knows.
// Without it a stream gives the same frames however its reads are split.
func Next(buf []byte, stalled bool) (f Frame, n int, err error) {
	// CR and NUL between frames are padding that several panels add.
	for n < len(buf) && (buf[n] == 0 || buf[n] == cr) {
		n++
	}
	buf = buf[n:]
	if len(buf) == 0 {
		return Frame{}, n, ErrShort
	}
	if buf[0] != lf {
		return Frame{}, n + toLF(buf, 1), ErrJunk
	}
	h := readHead(buf)
	switch h.state {
	case headBad:
		return Frame{}, n + toLF(buf, 1), ErrJunk
	case headShort:
		if stalled {
			return Frame{}, n + len(buf), ErrJunk
		}
		return Frame{}, n, ErrShort
	}
	whole := h.at + h.length + 1
	if len(buf) < whole && !stalled {
		return Frame{}, n, ErrShort
	}
	if f, ok := h.cut(buf); ok {
		return f, n + len(f.Raw), nil
	}
	// A frame that lost its tail may have swallowed the head of the next one:
	// go on from the first LF inside.
	if whole > len(buf) {
		return Frame{}, n + toLF(buf, 1), ErrLength
	}
	err = ErrLength
	if buf[whole-1] == cr {
		err = ErrCRC
	}
	return Frame{}, n + toLF(buf[:whole], 1), err
}

// toLF returns the index of the first LF at or after from, or len(buf).
func toLF(buf []byte, from int) int {
	if i := bytes.IndexByte(buf[from:], lf); i >= 0 {
		return from + i
	}
	return len(buf)
}

type headState uint8

const (
	headBad headState = iota
	headShort
	headOK
)

// head is what stands before the body.
type head struct {
	state   headState
	form    CRCForm
	crc     uint16
	at      int // where the body begins
	length  int // as hex, the way of the standard
	decimal int // the same digits read as decimal, -1 if they are not
}

// readHead tells the two CRC forms apart by the place of the first quote: after
// LF it stands at offset 6 behind two raw octets and "0LLL", or at offset 8
// behind four hex digits and "0LLL". A quote is no hex digit, so never at both.
func readHead(buf []byte) head {
	raw := matchHead(buf, 3)
	if raw == headOK {
		h := head{state: headOK, form: CRCRaw, crc: uint16(buf[1])<<8 | uint16(buf[2]), at: 7}
		h.length, h.decimal = readLength(buf[3:7])
		return h
	}
	hex := matchHead(buf, 5)
	for i := 1; i < min(len(buf), 5) && hex != headBad; i++ {
		if _, ok := hexDigit(buf[i]); !ok {
			hex = headBad
		}
	}
	if hex == headOK {
		h := head{state: headOK, form: CRCHex, at: 9}
		c, _ := readLength(buf[1:5])
		h.crc = uint16(c)
		h.length, h.decimal = readLength(buf[5:9])
		return h
	}
	if raw == headShort || hex == headShort {
		return head{state: headShort}
	}
	return head{}
}

// matchHead checks «0LLL"» at offset at, as far as buf goes.
func matchHead(buf []byte, at int) headState {
	for i := range 5 {
		if at+i >= len(buf) {
			return headShort
		}
		b := buf[at+i]
		_, digit := hexDigit(b)
		switch {
		case i == 0 && b != '0', i > 0 && i < 4 && !digit, i == 4 && b != '"':
			return headBad
		}
	}
	return headOK
}

func readLength(digits []byte) (hex, dec int) {
	for _, b := range digits {
		d, _ := hexDigit(b)
		hex = hex<<4 | int(d)
		if d > 9 || dec < 0 {
			dec = -1
		} else {
			dec = dec*10 + int(d)
		}
	}
	return hex, dec
}

// cut tries the length as the standard says, then as seen from ELDES: decimal,
// then counting the CR. Only a fitting CRC accepts a reading.
func (h head) cut(buf []byte) (Frame, bool) {
	if f, ok := h.try(buf, h.length, 0); ok {
		return f, true
	}
	if h.decimal >= 0 && h.decimal != h.length {
		if f, ok := h.try(buf, h.decimal, LengthDecimal); ok {
			return f, true
		}
	}
	return h.try(buf, h.length-1, LengthCountsCR)
}

func (h head) try(buf []byte, length int, q Quirks) (Frame, bool) {
	end := h.at + length
	if length < 2 || end >= len(buf) || buf[end] != cr {
		return Frame{}, false
	}
	body := buf[h.at:end:end]
	c := CRC(body)
	if c != h.crc {
		if crcCR(c) != h.crc {
			return Frame{}, false
		}
		q |= CRCOverCR
	}
	return Frame{Raw: buf[: end+1 : end+1], Body: body, Form: h.form, Quirks: q}, true
}

func hexDigit(b byte) (byte, bool) {
	switch {
	case b >= '0' && b <= '9':
		return b - '0', true
	case b >= 'A' && b <= 'F':
		return b - 'A' + 10, true
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10, true
	}
	return 0, false
}

const upperHex = "0123456789ABCDEF"

// AppendFrame wraps body, which must begin with a quote and be no longer than
// MaxBody, in an envelope of the given form.
func AppendFrame(dst, body []byte, form CRCForm) []byte {
	c := CRC(body)
	dst = append(dst, lf)
	if form == CRCRaw {
		dst = append(dst, byte(c>>8), byte(c))
	} else {
		dst = append(dst, upperHex[c>>12], upperHex[c>>8&15], upperHex[c>>4&15], upperHex[c&15])
	}
	n := len(body)
	dst = append(dst, '0', upperHex[n>>8&15], upperHex[n>>4&15], upperHex[n&15])
	dst = append(dst, body...)
	return append(dst, cr)
}
