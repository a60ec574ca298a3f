package media

import "math/bits"

// Codec is how a call's sound is written on the wire.
type Codec string

// Codecs, by their names in SDP.
const (
	ALaw  Codec = "PCMA" // static payload type 8 (RFC 3551 §6)
	MuLaw Codec = "PCMU" // static payload type 0
)

// silence is the octet of digital nothing.
func (c Codec) silence() byte {
	if c == MuLaw {
		return 0xFF
	}
	return 0xD5
}

// alawSample expands one A-law octet to 13 significant bits at the top of a
// 16-bit sample (ITU-T G.711 table 1a; even bits are inverted on the wire).
func alawSample(a byte) int16 {
	a ^= 0x55
	mantissa := int(a&0x0F)<<4 + 8
	if seg := a >> 4 & 7; seg > 0 {
		mantissa = (mantissa + 0x100) << (seg - 1)
	}
	if a&0x80 == 0 {
		return int16(-mantissa)
	}
	return int16(mantissa)
}

// mulawOctet compresses a 16-bit sample (ITU-T G.711 table 2a: 14 bits, bias 33,
// all bits inverted).
func mulawOctet(s int16) byte {
	const bias, clip = 0x84, 32635
	v, sign := int(s), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, clip) + bias
	seg := bits.Len(uint(v)) - 8 // v lies within 0x84..0x7FFF
	return ^(sign | byte(seg<<4) | byte(v>>(seg+3)&0x0F))
}

// toMuLaw rewrites A-law octets as µ-law.
func toMuLaw(alaw []byte) []byte {
	var table [256]byte
	for i := range table {
		table[i] = mulawOctet(alawSample(byte(i)))
	}
	out := make([]byte, len(alaw))
	for i, a := range alaw {
		out[i] = table[a]
	}
	return out
}
