package dc09_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/alarms/dc09"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type octets []byte

func (o *octets) UnmarshalText(text []byte) (err error) {
	*o, err = hex.DecodeString(string(text))
	return err
}

type facts struct {
	CRC       string   `json:"crc"`
	Token     string   `json:"token"`
	Encrypted bool     `json:"encrypted"`
	Seq       string   `json:"seq"`
	Receiver  *string  `json:"rcvr"`
	Line      *string  `json:"line"`
	Account   *string  `json:"acct"`
	Time      string   `json:"timestamp"`
	Data      string   `json:"data"`
	Extended  []string `json:"xdata"`
}

type vector struct {
	ID     string `json:"id"`
	Expect string `json:"expect"`
	Hex    octets `json:"hex"`
	ACK    octets `json:"ack"`
	Facts  facts  `json:"facts"`
}

func vectors(t testing.TB, name string) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	var vs []vector
	require.NoError(t, json.Unmarshal(text, &vs))
	return vs
}

// frames collects what a receiver would cut out of a stream that then falls
// silent, and every error on the way.
func frames(buf []byte) (fs []dc09.Frame, errs []error) {
	for {
		f, n, err := dc09.Next(buf, true)
		buf = buf[n:]
		switch {
		case err == nil:
			fs = append(fs, f)
		case errors.Is(err, dc09.ErrShort):
			return fs, errs
		default:
			errs = append(errs, err)
		}
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t, "frames.json") {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			fs, errs := frames(v.Hex)
			switch v.Expect {
			case "REJECT", "NOT-DC09":
				require.Empty(t, fs)
				require.NotEmpty(t, errs)
			case "ACCEPT-2-FRAMES":
				require.Len(t, fs, 2)
				require.Empty(t, errs)
			case "ACCEPT-AFTER-RESYNC":
				require.Len(t, fs, 1)
				require.Equal(t, []error{dc09.ErrJunk}, errs)
			case "REJECT-OR-DUH", "INVALID-REPLY":
				require.Len(t, fs, 1)
				_, err := dc09.Parse(fs[0])
				require.ErrorAs(t, err, new(*dc09.SyntaxError))
			default:
				require.Len(t, fs, 1)
				require.Empty(t, errs)
				m, err := dc09.Parse(fs[0])
				require.NoError(t, err)
				requireFacts(t, v, m)
			}
		})
	}
}

func requireFacts(t *testing.T, v vector, m dc09.Message) {
	t.Helper()
	want := v.Facts
	require.Equal(t, want.CRC == "bin", m.Form == dc09.CRCRaw, "form of the CRC")
	require.Equal(t, strings.TrimPrefix(want.Token, "*"), m.Token)
	require.Equal(t, want.Encrypted, m.Encrypted)
	require.Equal(t, want.Seq, m.Seq)
	requirePart(t, "receiver", want.Receiver, m.Receiver, m.HasReceiver)
	requirePart(t, "line", want.Line, m.Line, m.HasLine)
	requirePart(t, "account", want.Account, m.Account, m.HasAccount)
	if m.Encrypted {
		require.NotEmpty(t, m.Cipher)
		return
	}
	require.Equal(t, want.Data, m.Data)
	require.Equal(t, want.Time, m.Time)
	require.Empty(t, m.Trailer)
	var fields []string
	for _, f := range m.Extended {
		fields = append(fields, string(f.Kind)+f.Value)
	}
	require.ElementsMatch(t, want.Extended, fields)
	if v.ACK != nil {
		got := dc09.AppendReply(nil, dc09.ACK, &m, time.Time{})
		require.Equal(t, string(v.ACK), string(got))
	}
}

func requirePart(t *testing.T, part string, want *string, got string, has bool) {
	t.Helper()
	require.Equal(t, want != nil, has, part)
	if want != nil {
		require.Equal(t, *want, got, part)
	}
}

// A stream gives the same frames however it is split.
func TestVectorsOctetByOctet(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t, "frames.json") {
		if v.ID == "P-33" || v.ID == "P-34" {
			continue // need the pause: see TestFallbackNeedsThePause
		}
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			whole, _ := frames(v.Hex)
			var buf []byte
			var got int
			for _, b := range v.Hex {
				buf = append(buf, b)
				for {
					f, n, err := dc09.Next(buf, false)
					if err == nil {
						require.Equal(t, whole[got].Raw, f.Raw)
						got++
					}
					buf = buf[n:]
					if errors.Is(err, dc09.ErrShort) {
						break
					}
				}
			}
			require.Len(t, whole, got)
		})
	}
}

func TestFallbackNeedsThePause(t *testing.T) {
	t.Parallel()
	want := map[string]dc09.Quirks{
		"P-33": dc09.LengthDecimal | dc09.CRCOverCR,
		"P-34": dc09.LengthCountsCR | dc09.CRCOverCR,
	}
	for _, v := range vectors(t, "frames.json") {
		q, ok := want[v.ID]
		if !ok {
			continue
		}
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			_, n, err := dc09.Next(v.Hex, false)
			require.ErrorIs(t, err, dc09.ErrShort)
			require.Zero(t, n)
			f, n, err := dc09.Next(v.Hex, true)
			require.NoError(t, err)
			require.Len(t, v.Hex, n)
			require.Equal(t, q, f.Quirks)
		})
	}
}

func TestWhatWasWrong(t *testing.T) {
	t.Parallel()
	want := map[string]error{
		"P-44": dc09.ErrLength, "P-45": dc09.ErrLength, "P-46": dc09.ErrLength,
		"P-56": dc09.ErrCRC, "P-57": dc09.ErrLength, "P-58": dc09.ErrJunk,
		"P-48": dc09.ErrJunk, "P-52": dc09.ErrJunk,
	}
	for _, v := range vectors(t, "frames.json") {
		if err, ok := want[v.ID]; ok {
			t.Run(v.ID, func(t *testing.T) {
				t.Parallel()
				_, errs := frames(v.Hex)
				require.ErrorIs(t, errs[0], err)
			})
		}
	}
}

// A frame that lost its tail must not take the next one with it.
func TestALostTailDoesNotSwallowTheNextFrame(t *testing.T) {
	t.Parallel()
	next := dc09.AppendFrame(nil, []byte(`"NULL"0000L0#1234[]`), dc09.CRCHex)
	for _, form := range []dc09.CRCForm{dc09.CRCHex, dc09.CRCRaw} {
		whole := dc09.AppendFrame(nil, []byte(`"SIA-DCS"0022L0#4521[#4521|Nri1/FA007]`), form)
		for cut := range len(whole) {
			fs, _ := frames(append(append([]byte{}, whole[:cut]...), next...))
			require.NotEmpty(t, fs, "cut at %d", cut)
			require.Equal(t, next, fs[len(fs)-1].Raw, "cut at %d", cut)
		}
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	require.Equal(t, "http", dc09.Foreign([]byte("GET / HTTP/1.1\r\n")))
	require.Equal(t, "tls", dc09.Foreign([]byte{0x16, 0x03, 0x01, 0x02}))
	require.Equal(t, "oh", dc09.Foreign([]byte("SR0001L0001    006969XX    [ID00000000]")))
	require.Empty(t, dc09.Foreign([]byte("\n54230012")))
}

func TestReplies(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 5, 6, 10, 20, 50, 0, time.UTC)
	require.Equal(t, "\n89270025\"NAK\"0000R0L0A0[]_10:20:50,05-06-2025\r",
		string(dc09.AppendReply(nil, dc09.NAK, &dc09.Message{}, now)))
	require.Empty(t, dc09.AppendReply(nil, dc09.Silence, &dc09.Message{}, now))

	f, _, err := dc09.Next(dc09.AppendFrame(nil, []byte(`"XYZ-ABC"0027R0aL#45aB[#45aB|x]`), dc09.CRCRaw), false)
	require.NoError(t, err)
	m, err := dc09.Parse(f)
	require.NoError(t, err)
	want := dc09.AppendFrame(nil, []byte(`"DUH"0027R0aL#45aB[]`), dc09.CRCRaw)
	require.Equal(t, want, dc09.AppendReply(nil, dc09.DUH, &m, now))
}

func TestSplitData(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"#1234|NFA0001", "1234", "NFA0001"},
		{"36214|NRP", "36214", "NRP"},
		{"#0001|0|NRP", "0001", "0|NRP"},
		{"|Nri1/CL501", "", "Nri1/CL501"},
		{"Nri1/WA000", "", "Nri1/WA000"},
		{"#1234", "1234", ""},
		{"", "", ""},
		{"NRR|Atest", "", "NRR|Atest"},
	} {
		account, content := dc09.SplitData(c[0])
		require.Equal(t, c[1], account, c[0])
		require.Equal(t, c[2], content, c[0])
	}
}

func TestTextMayHoldBrackets(t *testing.T) {
	t.Parallel()
	f, _, err := dc09.Next(dc09.AppendFrame(nil, []byte(`"SIA-DCS"0001L0#1234[#1234|NFA1^a]b^][Vx]y]_junk`), dc09.CRCHex), false)
	require.NoError(t, err)
	m, err := dc09.Parse(f)
	require.NoError(t, err)
	require.Equal(t, "#1234|NFA1^a]b^", m.Data)
	require.Equal(t, []dc09.Field{{Kind: 'V', Value: "x]y"}}, m.Extended)
	require.Equal(t, "junk", m.Time)
	_, err = dc09.ParseTime(m.Time)
	require.Error(t, err)
}

func TestParseTimeRefusesImpossibleDates(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"13:61:00,05-06-2025", "13:01:00,02-29-2025", "", "13:01:00,00-09-2020"} {
		_, err := dc09.ParseTime(s)
		require.Error(t, err, s)
	}
	at, err := dc09.ParseTime("10:20:50,05-06-2025")
	require.NoError(t, err)
	require.Equal(t, time.Date(2025, 5, 6, 10, 20, 50, 0, time.UTC), at)
}
