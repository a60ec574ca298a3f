package sip

import (
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// maxText bounds a message, as it came and as UTF-8. A concatenated SMS has at
// most 39,015 octets of UCS-2, in practice ten parts.
const maxText = 16 << 10

// Text is the text of a MESSAGE (RFC 3428) in UTF-8. Octets that the declared
// charset does not hold become replacement characters: a cry for help is not
// refused for a wrong letter. A text that would have to be cut is refused, so that
// the sender knows.
func Text(r Request) (string, *Refusal) {
	if f := unreadable(r); f != nil {
		return "", f
	}
	t, params := r.MediaType()
	if t != "text/plain" && (t != "" || len(r.Body) > 0) {
		return "", refuse(415, "Unsupported Media Type", Header{"Accept", "text/plain"})
	}
	if len(r.Body) > maxText {
		return "", refuse(413, "Request Entity Too Large")
	}
	text, ok := decode(r.Body, params["charset"])
	if !ok {
		return "", refuse(415, "Unsupported Media Type", Header{"Accept", "text/plain;charset=utf-8"})
	}
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\uFEFF"), "\r\n", "\n")
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > maxText {
		return "", refuse(413, "Request Entity Too Large")
	}
	return strings.TrimRight(Clean(text, maxText, true), "\n"), nil
}

// decode reads octets in a charset; none is UTF-8 (RFC 3261 §7.4.1), and what
// says that it is ASCII but is not, most likely is UTF-8 too. ok is false for a
// charset that is not known.
func decode(b []byte, charset string) (text string, ok bool) {
	var e encoding.Encoding
	switch charset = strings.ToLower(strings.TrimSpace(charset)); charset {
	case "", "utf-8", "us-ascii":
		return string(b), true
	case "iso-10646-ucs-2", "ucs-2", "csunicode":
		// Big-endian where no mark says otherwise; the second index has it for
		// little-endian, as pages on the web need it.
		e = unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	default:
		// The registered names, then those that people write: «cp1251», «utf8».
		var err error
		if e, err = ianaindex.IANA.Encoding(charset); err != nil || e == nil {
			if e, err = htmlindex.Get(charset); err != nil {
				return "", false
			}
		}
	}
	if e == encoding.Replacement { // what the second index gives for charsets that it will not read
		return "", false
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil { // replaced already, where the decoder could
		return string(out) + "\uFFFD", true
	}
	return string(out), true
}
