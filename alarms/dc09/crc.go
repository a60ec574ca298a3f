package dc09

// CRC-16/ARC: polynomial 8005 reflected, start 0, no final xor. The check value
// of "123456789" is BB3D. Several public programs use the 1021 family instead;
// panels do not.
var crcTable = func() (t [256]uint16) {
	for i := range t {
		c := uint16(i)
		for range 8 {
			if c&1 != 0 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
		t[i] = c
	}
	return t
}()

// CRC returns the CRC-16/ARC of body.
func CRC(body []byte) uint16 {
	var c uint16
	for _, b := range body {
		c = c>>8 ^ crcTable[byte(c)^b]
	}
	return c
}

// crcCR continues c over the closing CR, as one family of panels does.
func crcCR(c uint16) uint16 {
	return c>>8 ^ crcTable[byte(c)^cr]
}
