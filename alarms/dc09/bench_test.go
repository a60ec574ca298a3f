package dc09_test

import (
	"testing"
	"time"

	"nabat/alarms/dc09"
)

var fixedNow = time.Date(2025, 5, 6, 10, 20, 50, 0, time.UTC)

// The hot path: one frame cut, read and acknowledged.
func BenchmarkFrame(b *testing.B) {
	in := dc09.AppendFrame(nil, []byte(`"ADM-CID"0101R1L2#4521[#4521|1110 01 007]_10:20:30,05-06-2025`), dc09.CRCHex)
	out := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		f, _, err := dc09.Next(in, false)
		if err != nil {
			b.Fatal(err)
		}
		m, err := dc09.Parse(f)
		if err != nil {
			b.Fatal(err)
		}
		out = dc09.AppendReply(out[:0], dc09.ACK, &m, fixedNow)
	}
}
