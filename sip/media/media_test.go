package media

import (
	"bytes"
	"math"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The prompt must be speech: as loud as a person, in both sentences.
func TestPromptIsNotSilence(t *testing.T) {
	t.Parallel()
	require.Greater(t, len(queuePrompt), 8*8000, "eight seconds at least")
	for second := range 10 {
		part := queuePrompt[second*8000 : (second+1)*8000]
		var sum float64
		for _, a := range part {
			s := float64(alawSample(a)) / 32768
			sum += s * s
		}
		require.Greater(t, math.Sqrt(sum/8000), 0.02, "second %d", second)
	}
}

func TestALawExpandsByTheStandard(t *testing.T) {
	t.Parallel()
	// ITU-T G.711 table 1a: first and last decision values, as 16-bit samples.
	require.Equal(t, int16(8), alawSample(0xD5))
	require.Equal(t, int16(-8), alawSample(0x55))
	require.Equal(t, int16(32256), alawSample(0xAA))
	require.Equal(t, int16(-32256), alawSample(0x2A))
	require.Equal(t, byte(0xFF), mulawOctet(0))
	require.Equal(t, byte(0x80), mulawOctet(32767))
	require.Equal(t, byte(0x00), mulawOctet(-32768))
}

// Another program's conversion is the judge: sox reads the same prompt.
func TestMuLawAgreesWithSox(t *testing.T) {
	t.Parallel()
	sox, err := exec.LookPath("sox")
	if err != nil {
		t.Skip("SKIPPED: sox is not installed; the µ-law table is not compared with another program's")
	}
	cmd := exec.CommandContext(t.Context(), sox, "-D", "-t", "al", "-r", "8000", "-c", "1", "-", "-t", "ul", "-")
	cmd.Stdin = bytes.NewReader(queuePrompt)
	want, err := cmd.Output()
	require.NoError(t, err)
	got := toMuLaw(queuePrompt)
	require.Len(t, got, len(want))
	differ := 0
	for i := range got {
		if got[i] != want[i] && got[i]&0x7F != want[i]&0x7F { // the sign of zero is free
			differ++
		}
	}
	require.Less(t, differ, len(got)/500, "the rounding of single steps may differ, nothing more")
}

const callerOffer = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"

func TestChoiceFollowsTheCallersOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, media string
		codec       Codec
		pt          uint8
		tel         int
	}{
		{"µ-law first", "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n", MuLaw, 0, 101},
		{"A-law first", "m=audio 4000 RTP/AVP 18 8 0\r\n", ALaw, 8, -1},
		{"after wide codecs", "m=audio 4000 RTP/AVP 96 97 0\r\na=rtpmap:96 EVS/16000\r\na=rtpmap:97 AMR-WB/16000/1\r\n", MuLaw, 0, -1},
		{"dynamic number", "m=audio 4000 RTP/AVP 99\r\na=rtpmap:99 pcma/8000/1\r\n", ALaw, 99, -1},
		{"number 8 mapped to something else", "m=audio 4000 RTP/AVP 8 0\r\na=rtpmap:8 opus/48000/2\r\n", MuLaw, 0, -1},
		{"second section", "m=audio 4000 RTP/SAVP 8\r\nm=audio 4002 RTP/AVP 8\r\n", ALaw, 8, -1},
		{"video beside it", "m=video 4000 RTP/AVP 31\r\nm=audio 4002 RTP/AVP 8\r\n", ALaw, 8, -1},
	} {
		r, err := ParseSDP([]byte(callerOffer + c.media))
		require.NoError(t, err, c.name)
		require.Equal(t, c.codec, r.Codec, c.name)
		require.Equal(t, c.pt, r.Payload, c.name)
		require.Equal(t, c.tel, r.Telephone, c.name)
	}
	for _, none := range []string{"m=audio 4000 RTP/AVP 18\r\n", "m=audio 0 RTP/AVP 8\r\n", "m=video 4000 RTP/AVP 8\r\n", ""} {
		_, err := ParseSDP([]byte(callerOffer + none))
		require.ErrorIs(t, err, ErrNoCodec, none)
	}
	_, err := ParseSDP([]byte("not a description"))
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrNoCodec)
}

func TestAnswerRefusesTheOtherSectionsAndTurnsTheDirection(t *testing.T) {
	t.Parallel()
	r, err := ParseSDP([]byte(callerOffer + "m=video 4000 RTP/AVP 31\r\nm=audio 4002 RTP/AVP 18 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n"))
	require.NoError(t, err)
	require.False(t, r.Hears())
	b, err := Answer(r, Local{ID: 7, Version: 2, Host: "198.51.100.1", Port: 20000})
	require.NoError(t, err)
	require.Equal(t, "v=0\r\no=- 7 2 IN IP4 198.51.100.1\r\ns=nabat\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n"+
		"m=video 0 RTP/AVP 31\r\n"+
		"m=audio 20000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=recvonly\r\n",
		string(b))
	again, err := ParseSDP(b)
	require.NoError(t, err)
	require.Equal(t, RecvOnly, again.Direction)
}

func TestHoldByZeroAddress(t *testing.T) {
	t.Parallel()
	r, err := ParseSDP([]byte("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"))
	require.NoError(t, err)
	require.False(t, r.Hears())
	require.False(t, r.Addr.IsValid())
}

func FuzzParseSDP(f *testing.F) {
	f.Add([]byte(callerOffer + "m=audio 4000 RTP/AVP 8\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseSDP(b)
		if err != nil {
			return
		}
		// Law: whatever was accepted can be answered, and the answer speaks the
		// chosen codec under the chosen number.
		a, err := Answer(r, Local{ID: 1, Version: 1, Host: "127.0.0.1", Port: 2000})
		require.NoError(t, err)
		again, err := ParseSDP(a)
		require.NoError(t, err)
		require.Equal(t, r.Codec, again.Codec)
		require.Equal(t, r.Payload, again.Payload)
		require.Len(t, again.lines, len(r.lines))
	})
}

func TestPortsRestAfterACall(t *testing.T) {
	t.Parallel()
	p, err := New(Config{PortMin: 20000, PortMax: 20005})
	require.NoError(t, err)
	now := time.Now()
	taken := func(at time.Duration) int {
		n, ok := p.take(now.Add(at))
		require.True(t, ok)
		return n.number
	}
	require.Equal(t, 20000, taken(0))
	require.Equal(t, 20002, taken(0))
	p.release(port{number: 20000}, now)
	p.release(port{number: 20002}, now.Add(time.Second))
	require.Equal(t, 20004, taken(time.Second), "one that rested is taken first")
	require.InDelta(t, 0, testutil.ToFloat64(p.met.early), 0)
	_, ok := p.take(now.Add(2*time.Second - 1))
	require.False(t, ok, "a late packet of the last call must not reach the next")
	require.Equal(t, 20000, taken(2*time.Second), "the one that has rested longest")
	_, ok = p.take(now.Add(3*time.Second - 1))
	require.False(t, ok)
	require.Equal(t, 20002, taken(31*time.Second))
	require.InDelta(t, 1, testutil.ToFloat64(p.met.early), 0)
	_, ok = p.take(now.Add(time.Hour))
	require.False(t, ok)
}

// The telephone of the last call has not heard our BYE and goes on sending: the
// next caller on that port must neither be heard by it nor be shut out by it.
func TestLatePacketsOfTheLastCallAreNotLatchedOnto(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	p, err := New(Config{PortMin: 20000, PortMax: 20001, Metrics: reg, Listen: func(network, _ string) (net.PacketConn, error) {
		var lc net.ListenConfig
		return lc.ListenPacket(t.Context(), network, "127.0.0.1:0") // the number does not matter here
	}})
	require.NoError(t, err)
	now := time.Now()
	old, next, nat := netip.MustParseAddrPort("192.0.2.1:4000"), netip.MustParseAddrPort("192.0.2.2:4000"), netip.MustParseAddrPort("192.0.2.3:61000")
	packet := func(ssrc uint32) []byte {
		b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 8, SSRC: ssrc}, Payload: make([]byte, 160)}).Marshal()
		require.NoError(t, err)
		return b
	}
	open := func(remote netip.AddrPort) *Session {
		p.mu.Lock()
		p.free[0].since = now.Add(-shortRest)
		p.mu.Unlock()
		s, err := p.Open("")
		require.NoError(t, err)
		s.SetRemote(Remote{Addr: remote, Codec: ALaw, Payload: 8, Telephone: -1, Direction: SendRecv})
		return s
	}
	s := open(old)
	s.take(packet(1), old, now)
	require.Equal(t, uint64(1), s.Stats().Received)
	s.Close()

	s = open(next)
	s.take(packet(1), old, now)
	require.Equal(t, uint64(1), s.Stats().Late)
	require.Zero(t, s.Stats().Received)
	require.Equal(t, net.UDPAddrFromAddrPort(next), s.sound().to, "the prompt goes where the description says")
	s.take(packet(2), nat, now) // the caller, behind address translation
	require.Equal(t, net.UDPAddrFromAddrPort(nat), s.sound().to)
	s.take(packet(1), old, now)
	require.Equal(t, uint64(2), s.Stats().Late)
	s.take(packet(3), old, now)
	require.Equal(t, uint64(1), s.Stats().Foreign)
	s.take(packet(4), next, now) // the described address itself is the better one
	require.Equal(t, net.UDPAddrFromAddrPort(next), s.sound().to)
	s.take(packet(2), nat, now)
	require.Equal(t, uint64(2), s.Stats().Foreign)
	s.Close()

	// The same telephone calls again and keeps its number: it is the caller now.
	s = open(next)
	s.take(packet(4), next, now)
	require.Equal(t, uint64(1), s.Stats().Received)
	s.Close()
}

func TestBadRangeIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{PortMin: 20000, PortMax: 20000}, {PortMin: 80, PortMax: 90}, {PortMin: 65000, PortMax: 70000},
	} {
		_, err := New(c)
		require.Error(t, err)
	}
}

func TestAnnouncedHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "127.0.0.1"},
		{Config{Host: "198.51.100.1"}, "198.51.100.1"},
		{Config{Bind: netip.IPv6Unspecified()}, "192.0.2.1"},
	} {
		p, err := New(c.cfg)
		require.NoError(t, err)
		s, err := p.Open("192.0.2.1")
		require.NoError(t, err)
		require.Equal(t, c.want, s.Local().Host)
		s.Close()
	}
}

func testSession(t *testing.T, reg prometheus.Registerer) *Session {
	p, err := New(Config{Metrics: reg, SilenceAfter: 200 * time.Millisecond})
	require.NoError(t, err)
	s, err := p.Open("")
	require.NoError(t, err)
	return s
}

// A caller behind address translation: the SDP's address is wrong, the first
// packet's source is right; a stranger is neither heard nor answered.
func TestSymmetricRTPLatchesOnceAndForOne(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s := testSession(t, reg)
	core, logs := observer.New(zap.WarnLevel)
	nowhere, caller, stranger := udp(t), udp(t), udp(t)
	s.SetRemote(Remote{Addr: addrOf(nowhere), Codec: MuLaw, Payload: 0, Telephone: 101, Direction: SendRecv})
	ctx, cancel := contextOf(t)
	done := make(chan struct{})
	go func() { s.Run(ctx, zap.New(core)); close(done) }()

	first := readRTP(t, nowhere)
	require.True(t, first.Marker)
	require.Equal(t, uint8(0), first.PayloadType)
	require.Equal(t, toMuLaw(queuePrompt)[:frameOctets], first.Payload)
	second := readRTP(t, nowhere)
	require.False(t, second.Marker)
	require.Equal(t, first.SequenceNumber+1, second.SequenceNumber)
	require.Equal(t, first.Timestamp+frameOctets, second.Timestamp)
	require.Equal(t, first.SSRC, second.SSRC)

	require.Eventually(t, func() bool { return s.Stats().Silences == 1 }, 5*time.Second, time.Millisecond)
	require.Equal(t, 1, logs.Len(), "one line for the whole spell")

	us := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(s.Local().Port)))
	_, err := stranger.WriteTo([]byte("no RTP at all"), us)
	require.NoError(t, err)
	sendRTP(t, stranger, us, 96) // RTP, but of a kind nobody agreed on
	require.Eventually(t, func() bool { return s.Stats().Invalid == 2 }, 5*time.Second, time.Millisecond)
	sendRTP(t, caller, us, 0)
	heard := readRTP(t, caller)
	require.Equal(t, first.SSRC, heard.SSRC)
	sendRTP(t, stranger, us, 0)
	require.Eventually(t, func() bool { return s.Stats().Foreign == 1 }, 5*time.Second, time.Millisecond)
	require.Equal(t, uint64(1), s.Stats().Received)
	readRTP(t, caller) // still the caller's

	cancel()
	<-done
	require.InDelta(t, 0, testutil.ToFloat64(s.pool.met.sessions), 0)
}

func TestHoldStopsTheSoundAndResumeMarksIt(t *testing.T) {
	t.Parallel()
	s := testSession(t, nil)
	caller := udp(t)
	r := Remote{Addr: addrOf(caller), Codec: ALaw, Payload: 8, Telephone: -1, Direction: SendRecv}
	require.False(t, s.SetRemote(r))
	ctx, cancel := contextOf(t)
	done := make(chan struct{})
	go func() { s.Run(ctx, zap.NewNop()); close(done) }()
	last := readRTP(t, caller)
	r.Direction = SendOnly
	require.True(t, s.SetRemote(r))
	require.Equal(t, uint64(2), s.Local().Version)
	untilQuiet(t, caller, &last)
	r.Direction = SendRecv
	require.True(t, s.SetRemote(r))
	again := readRTP(t, caller)
	require.True(t, again.Marker, "a talkspurt begins")
	require.Equal(t, last.SequenceNumber+1, again.SequenceNumber)
	require.Greater(t, again.Timestamp-last.Timestamp, uint32(frameOctets), "the media clock went on")
	cancel()
	<-done
}

// untilQuiet reads until nothing came for five frames.
func untilQuiet(t *testing.T, c net.PacketConn, last *rtp.Packet) {
	buf := make([]byte, 1500)
	for {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(5*frame)))
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		require.NoError(t, last.Unmarshal(bytes.Clone(buf[:n])))
	}
}

func TestPromptRepeatsAfterAPause(t *testing.T) {
	t.Parallel()
	prompt := bytes.Repeat([]byte{1}, frameOctets+10)
	const pause = 2 * frame
	silent := bytes.Repeat([]byte{0xD5}, frameOctets)
	require.Equal(t, bytes.Repeat([]byte{1}, frameOctets), promptFrame(prompt, 0, pause, 0xD5))
	require.Equal(t, append(bytes.Repeat([]byte{1}, 10), silent[10:]...), promptFrame(prompt, 1, pause, 0xD5))
	require.Equal(t, silent, promptFrame(prompt, 2, pause, 0xD5))
	require.Equal(t, silent, promptFrame(prompt, 3, pause, 0xD5))
	require.Equal(t, promptFrame(prompt, 0, pause, 0xD5), promptFrame(prompt, 4, pause, 0xD5))
}
