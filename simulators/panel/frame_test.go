package panel

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/alarms/dc09"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Frames that others printed: the worked example of the standard and public
// clients' tests.
func TestFrameAgainstPublishedFrames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want string
		f    Frame
	}{
		{
			"\n87CD0037\"ADM-CID\"9876R579BDFL789ABC#12345A[#12345A|1110 00 129]\r",
			Frame{Token: tokenContactID, Seq: 9876, Receiver: "579BDF", Line: "789ABC", Account: "12345A", Data: "1110 00 129"},
		},
		{
			"\n9EC40027\"ADM-CID\"0001L0#1002[#1002|1602 00 001]\r",
			Event{Kind: Test, Qualifier: Began, Code: "602", Zone: 1}.Frame(ContactID, "1002", 1),
		},
		{
			"\n75140027\"ADM-CID\"0001L0#1002[#1002|3354 00 004]\r",
			Event{Qualifier: Restored, Code: "354", Zone: 4}.Frame(ContactID, "1002", 1),
		},
	} {
		require.Equal(t, c.want, string(c.f.Bytes()))
	}
	require.Equal(t, uint16(0xBB3D), checksum("123456789"))
	require.Equal(t, uint16(0x3BAC), checksum(`"SIA-DCS"0002#0123[#0123|Nti20:50:26RP99]`))
}

// Two independent hands: what this package writes, the engine's codec reads, and
// what that one answers, this one reads.
func TestAgreesWithTheEnginesCodec(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	mix, err := NamedMix("all")
	require.NoError(t, err)
	for n := range 500 {
		protocol := ContactID
		if n%2 == 1 {
			protocol = SIA
		}
		f := mix.Draw(rng, n).Frame(protocol, "12AB", n%9999+1)
		if n%3 == 0 {
			f.Receiver = "0F"
		}
		raw := f.Bytes()
		frame, used, err := dc09.Next(raw, false)
		require.NoError(t, err, "%q", raw)
		require.Equal(t, len(raw), used)
		require.Zero(t, frame.Quirks)
		m, err := dc09.Parse(frame)
		require.NoError(t, err, "%q", raw)
		require.Equal(t, f.Token, m.Token)
		require.Equal(t, f.Account, m.Account)

		r, err := ParseReply(dc09.AppendReply(nil, dc09.ACK, &m, time.Now()))
		require.NoError(t, err)
		require.Equal(t, Reply{Token: tokenACK, Seq: f.Seq, Receiver: f.Receiver, Line: f.Line, Account: f.Account}, r)
	}
	nak, err := ParseReply(dc09.AppendNAK(nil, dc09.CRCHex, time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)))
	require.NoError(t, err)
	require.Equal(t, tokenNAK, nak.Token)
	require.Equal(t, "04:05:06,02-03-2026", nak.Time)
}

func TestSIADataBlocks(t *testing.T) {
	t.Parallel()
	fire := Event{Kind: Fire, Qualifier: Began, Code: "110", Area: 1, Zone: 5}
	require.Equal(t, "Nri01/FA005", fire.Frame(SIA, "1234", 1).Data)
	fire.Qualifier = Restored
	require.Equal(t, "Nri01/FR005", fire.Frame(SIA, "1234", 1).Data)
	require.Equal(t, "3110 01 005", fire.Frame(ContactID, "1234", 1).Data)
	odd := Event{Qualifier: Began, Code: "356", Zone: 7}
	require.Equal(t, tokenContactID, odd.Frame(SIA, "1234", 1).Token, "no twin: Contact ID")
	null := Plain(Heartbeat).Frame(SIA, "1234", 77)
	require.Equal(t, "\"NULL\"0000L0#1234[]", string(null.Bytes()[9:len(null.Bytes())-1]))
}

func TestParseReplyRefuses(t *testing.T) {
	t.Parallel()
	good := Frame{Token: tokenACK, Seq: 1, Line: "0", Account: "1234"}.Bytes()
	_, err := ParseReply(good)
	require.NoError(t, err)
	for _, bad := range [][]byte{
		nil, []byte("\n\r"), good[1:], good[:len(good)-1],
		bytes.Replace(good, []byte("ACK"), []byte("ACX"), 1), // CRC
		bytes.Replace(good, []byte("\n"), []byte("\nF"), 1),
		Frame{Token: tokenACK, Seq: 1, Line: "0"}.Bytes()[:20],
	} {
		_, err := ParseReply(bad)
		require.ErrorIs(t, err, ErrReply, "%q", bad)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(Frame{Token: tokenACK, Seq: 1, Line: "0", Account: "1234"}.Bytes())
	f.Add([]byte("\x00\r\n00000003\"A\"\r"))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := readFrame(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		require.True(t, bytes.Contains(b, raw[:len(raw)-1]))
		again, err := readFrame(bufio.NewReader(bytes.NewReader(raw)))
		require.NoError(t, err)
		require.Equal(t, raw, again)
		if r, err := ParseReply(raw); err == nil {
			require.GreaterOrEqual(t, r.Seq, 0)
		}
	})
}

// The receiver tells repeats by content: a panel must not repeat itself by chance.
func TestDrawRepeatsNothing(t *testing.T) {
	t.Parallel()
	for _, name := range MixNames() {
		if name == "heartbeat" {
			continue
		}
		mix, err := NamedMix(name)
		require.NoError(t, err)
		rng := rand.New(rand.NewPCG(3, 4))
		seen := map[string]bool{}
		for n := range 20_000 {
			data := mix.Draw(rng, n).Frame(ContactID, "1234", 1).Data
			require.False(t, seen[data], data)
			seen[data] = true
			require.Len(t, strings.Fields(data), 3)
		}
	}
	_, err := NamedMix("nonsense")
	require.Error(t, err)
}
