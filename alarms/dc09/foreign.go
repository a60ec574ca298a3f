package dc09

import "bytes"

// Foreign names the protocol of octets that are not DC-09, for a counter: what
// exposed ports are sent by scanners, and look-alikes of other makers. It looks
// at the first octets of a connection or datagram only; "" means not known.
func Foreign(head []byte) string {
	for _, p := range foreign {
		if bytes.HasPrefix(head, p.prefix) {
			return p.name
		}
	}
	return ""
}

var foreign = []struct {
	prefix []byte
	name   string
}{
	{[]byte("GET "), "http"},
	{[]byte("POST "), "http"},
	{[]byte("HEAD "), "http"},
	{[]byte("PUT "), "http"},
	{[]byte("OPTIONS "), "http"},
	{[]byte("CONNECT "), "http"},
	{[]byte("PRI * HTTP"), "http"},
	{[]byte{0x16, 0x03}, "tls"},
	{[]byte("SSH-"), "ssh"},
	{[]byte{0x03, 0x00, 0x00}, "rdp"},
	{[]byte("SR0"), "oh"}, // Osborne-Hoffman link test
	{[]byte("F#"), "dc03"},
}
