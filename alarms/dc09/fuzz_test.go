package dc09_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"nabat/alarms/dc09"
)

// FuzzNext: every answer but ErrShort makes progress inside the buffer; a
// stream gives the same frames whole and octet by octet; a frame wrapped anew
// is the same frame.
func FuzzNext(f *testing.F) {
	for _, v := range vectors(f, "frames.json") {
		f.Add([]byte(v.Hex))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 3*dc09.MaxFrame {
			t.Skip()
		}
		var whole [][]byte
		for buf := in; ; {
			fr, n, err := dc09.Next(buf, false)
			require.LessOrEqual(t, n, len(buf))
			buf = buf[n:]
			if errors.Is(err, dc09.ErrShort) {
				require.Less(t, len(buf), dc09.MaxFrame, "a full buffer decides")
				break
			}
			require.Positive(t, n)
			if err != nil {
				continue
			}
			whole = append(whole, fr.Raw)
			require.LessOrEqual(t, len(fr.Body), dc09.MaxBody)
			again, n, err := dc09.Next(dc09.AppendFrame(nil, fr.Body, fr.Form), false)
			require.NoError(t, err)
			require.Equal(t, len(again.Raw), n)
			require.Equal(t, fr.Body, again.Body)
			require.Equal(t, fr.Form, again.Form)
			require.Zero(t, again.Quirks)
		}
		var buf []byte
		i := 0
		for _, b := range in {
			buf = append(buf, b)
			for {
				fr, n, err := dc09.Next(buf, false)
				if err == nil {
					require.Less(t, i, len(whole))
					require.True(t, bytes.Equal(whole[i], fr.Raw))
					i++
				}
				buf = buf[n:]
				if errors.Is(err, dc09.ErrShort) {
					break
				}
			}
		}
		require.Len(t, whole, i)
	})
}

// FuzzParse: a body that can be read is written back octet by octet, and its
// acknowledgement parses and echoes the header.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f, "frames.json") {
		fs, _ := frames(v.Hex)
		for _, fr := range fs {
			f.Add(fr.Body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < 2 || body[0] != '"' || len(body) > dc09.MaxBody {
			t.Skip()
		}
		fr, _, err := dc09.Next(dc09.AppendFrame(nil, body, dc09.CRCHex), false)
		require.NoError(t, err)
		m, err := dc09.Parse(fr)
		if err != nil {
			require.ErrorAs(t, err, new(*dc09.SyntaxError))
			return
		}
		_, content := dc09.SplitData(m.Data)
		require.LessOrEqual(t, len(content), len(m.Data))
		if m.Token != dc09.TokenNAK {
			require.Equal(t, string(body), string(m.AppendBody(nil)))
		}
		ack := dc09.AppendReply(nil, dc09.ACK, &m, fixedNow)
		fr, n, err := dc09.Next(ack, false)
		require.NoError(t, err)
		require.Len(t, ack, n)
		back, err := dc09.Parse(fr)
		require.NoError(t, err)
		require.Equal(t, m.Header, back.Header)
	})
}
