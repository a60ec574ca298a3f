package media

import (
	"bytes"
	"strings"
)

// essence is what the sound hangs on in a session description with a formal
// fault: its connection, media and attribute lines, in a frame without faults.
// It is nil when there is no media line at all. RFC 4566 §5 lets a reader refuse a description whose lines are missing, unknown
// or out of order; a caller in need would then stay unheard for a missing «s=».
func essence(b []byte) []byte {
	var session, media bytes.Buffer
	for text := range strings.SplitSeq(string(b), "\n") {
		text = strings.TrimSpace(text)
		if len(text) < 3 || text[1] != '=' {
			continue
		}
		into := &session
		if media.Len() > 0 {
			into = &media
		}
		switch text[0] {
		case 'm':
			into, text = &media, upperProtocol(text)
		case 'a', 'c':
		default:
			continue
		}
		into.WriteString(text)
		into.WriteString("\r\n")
	}
	if media.Len() == 0 {
		return nil
	}
	// The order of a session: c= before t=, a= after it (RFC 4566 §5).
	var connection, attributes strings.Builder
	for text := range strings.Lines(session.String()) {
		if text[0] == 'c' {
			if connection.Len() == 0 {
				connection.WriteString(text)
			}
			continue
		}
		attributes.WriteString(text)
	}
	return []byte("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\n" + connection.String() + "t=0 0\r\n" +
		attributes.String() + media.String())
}

// upperProtocol: «m=audio 9 rtp/avp 8».
func upperProtocol(text string) string {
	words := strings.Fields(text)
	if len(words) > 2 {
		words[2] = strings.ToUpper(words[2])
	}
	return strings.Join(words, " ")
}
