package caller

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	gosip "github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/simulators/sipwire"
	"nabat/simulators/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick are timers for tests: a lost datagram comes again soon.
var quick = sipwire.Timers{T1: 50 * time.Millisecond, B: 5 * time.Second}

// exchange is a telephone exchange made of another library: it rings, answers
// after a while, plays a tone or silence, and may hang up by itself.
type exchange struct {
	ringFor  time.Duration
	talkFor  time.Duration // hangs up after this; 0: never
	status   int           // refuses with it instead of answering
	silence  bool
	addr     string
	mu       sync.Mutex
	invites  int
	byes     int
	cancels  int
	acks     int
	pai      string
	heardRTP int
}

func (x *exchange) count(f func()) { x.mu.Lock(); defer x.mu.Unlock(); f() }

func startExchange(t *testing.T, network string, x *exchange) string {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	ua, err := sipgo.NewUA(sipgo.WithUserAgentTransactionLayerOptions(gosip.WithTransactionLayerLogger(quiet)),
		sipgo.WithUserAgentTransportLayerOptions(gosip.WithTransportLayerLogger(quiet)))
	require.NoError(t, err)
	srv, err := sipgo.NewServer(ua, sipgo.WithServerLogger(quiet))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	hang, err := sipgo.NewClient(ua, sipgo.WithClientLogger(quiet))
	require.NoError(t, err)

	srv.OnInvite(func(req *gosip.Request, tx gosip.ServerTransaction) {
		wg.Add(1)
		defer wg.Done()
		x.count(func() {
			x.invites++
			if h := req.GetHeader("P-Asserted-Identity"); h != nil {
				x.pai = h.Value()
			}
		})
		gone := make(chan struct{})
		tx.OnCancel(func(*gosip.Request) {
			x.count(func() { x.cancels++ })
			close(gone)
		})
		tx.Respond(gosip.NewResponseFromRequest(req, 180, "Ringing", nil))
		select {
		case <-time.After(x.ringFor):
		case <-gone:
			return
		case <-ctx.Done():
			return
		}
		if x.status != 0 {
			tx.Respond(gosip.NewResponseFromRequest(req, x.status, "No", nil))
			return
		}
		media, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return
		}
		wg.Go(func() { x.play(ctx, media, req.Body()) })
		port := media.LocalAddr().(*net.UDPAddr).Port
		ok := gosip.NewResponseFromRequest(req, 200, "OK", fmt.Appendf(nil,
			"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 8\r\n", port))
		ok.AppendHeader(gosip.NewHeader("Content-Type", "application/sdp"))
		host, p, _ := net.SplitHostPort(x.addr)
		contact := gosip.ContactHeader{Address: gosip.Uri{Scheme: "sip", User: "112", Host: host}}
		fmt.Sscan(p, &contact.Address.Port)
		if network == "tcp" {
			contact.Address.UriParams = gosip.HeaderParams{{K: "transport", V: "tcp"}}
		}
		ok.AppendHeader(&contact)
		tx.Respond(ok)
		if x.talkFor > 0 {
			wg.Go(func() {
				select {
				case <-time.After(x.talkFor):
				case <-ctx.Done():
					return
				}
				bye := gosip.NewRequest(gosip.BYE, req.Contact().Address)
				from, to := ok.To(), ok.From()
				bye.AppendHeader(gosip.NewHeader("From", from.Value()))
				bye.AppendHeader(gosip.NewHeader("To", to.Value()))
				bye.AppendHeader(gosip.NewHeader("Call-ID", req.CallID().Value()))
				bye.AppendHeader(gosip.NewHeader("CSeq", "1 BYE"))
				_, _ = hang.Do(ctx, bye)
			})
		}
		select {
		case <-tx.Acks():
			x.count(func() { x.acks++ })
		case <-tx.Done():
		case <-ctx.Done():
		}
	})
	srv.OnAck(func(*gosip.Request, gosip.ServerTransaction) { x.count(func() { x.acks++ }) })
	srv.OnBye(func(req *gosip.Request, tx gosip.ServerTransaction) {
		x.count(func() { x.byes++ })
		tx.Respond(gosip.NewResponseFromRequest(req, 200, "OK", nil))
	})
	srv.OnMessage(func(req *gosip.Request, tx gosip.ServerTransaction) {
		tx.Respond(gosip.NewResponseFromRequest(req, 200, "OK", nil))
	})

	if network == "udp" {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		x.addr = pc.LocalAddr().String()
		wg.Go(func() { srv.ServeUDP(pc) })
		t.Cleanup(func() { cancel(); pc.Close(); ua.Close(); wg.Wait() })
	} else {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		x.addr = ln.Addr().String()
		wg.Go(func() { srv.ServeTCP(ln) })
		t.Cleanup(func() { cancel(); ln.Close(); ua.Close(); wg.Wait() })
	}
	return x.addr
}

// play sends sound to where the offer says, and counts what comes.
func (x *exchange) play(ctx context.Context, media *net.UDPConn, offer []byte) {
	defer media.Close()
	to, _, err := parseAnswer(offer)
	if err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			if _, _, err := media.ReadFromUDP(buf); err != nil {
				return
			}
			x.count(func() { x.heardRTP++ })
		}
	}()
	p := make([]byte, 12+160)
	p[0], p[1] = 0x80, pcma
	for i := range 160 {
		p[12+i] = 0x35
		if x.silence {
			p[12+i] = 0xD5
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		p[3]++
		media.WriteToUDP(p, to)
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	media.Close()
	<-done
}

// line opens a transport to the exchange for the test's life.
func line(t *testing.T, network, addr string) *Caller {
	t.Helper()
	e, err := sipwire.Dial(t.Context(), network, addr)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return New(e, addr, quick)
}

func TestCallWithSound(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp"} {
		x := &exchange{ringFor: 10 * time.Millisecond}
		c := line(t, network, startExchange(t, network, x))
		r := c.Ring(t.Context(), "call-1", "a", Plan{From: "+70001234567", Hold: 200 * time.Millisecond})
		require.Empty(t, r.Err, "%s: %+v", network, r)
		require.True(t, r.Good())
		require.Equal(t, ByCaller, r.EndedBy)
		require.Positive(t, r.Ringing)
		require.GreaterOrEqual(t, r.Answered, r.Ringing)
		require.Positive(t, r.Heard.Packets)
		require.False(t, r.Heard.Silent())
		x.count(func() {
			require.Equal(t, 1, x.invites)
			require.Equal(t, 1, x.byes)
			require.Positive(t, x.heardRTP)
			require.Equal(t, "<tel:+70001234567>", x.pai)
		})
	}
}

func TestSilenceIsNoticed(t *testing.T) {
	t.Parallel()
	x := &exchange{silence: true}
	c := line(t, "udp", startExchange(t, "udp", x))
	r := c.Ring(t.Context(), "call-1", "a", Plan{From: "+70001234567", Hold: 150 * time.Millisecond})
	require.Empty(t, r.Err)
	require.Positive(t, r.Heard.Packets)
	require.True(t, r.Heard.Silent())
}

func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp"} {
		x := &exchange{ringFor: time.Minute}
		c := line(t, network, startExchange(t, network, x))
		r := c.Ring(t.Context(), "call-1", "a", Plan{From: "+7", Cancel: 20 * time.Millisecond})
		require.Empty(t, r.Err, "%+v", r)
		require.Equal(t, 487, r.Status)
		require.Equal(t, ByCancel, r.EndedBy)
		require.True(t, r.Good())
		x.count(func() { require.Equal(t, 1, x.cancels) })
	}
}

// An engine that answers at once leaves nothing to cancel, and that is told.
func TestAnsweredBeforeTheCancel(t *testing.T) {
	t.Parallel()
	x := &exchange{}
	addr := startExchange(t, "udp", x)
	tl := tally.New("calls")
	l, err := NewLoad(Options{Network: "udp", Peer: addr, Count: 2, Timers: quick, Plan: Plan{Cancel: time.Minute}}, tl)
	require.NoError(t, err)
	require.NoError(t, l.Run(t.Context()))
	require.EqualValues(t, 2, tl.Report().Notes[TooLate])
	x.count(func() { require.Zero(t, x.cancels) })
}

// Ctrl-C while it rings withdraws the call, and while people talk hangs it up.
func TestStoppedCallsAreEnded(t *testing.T) {
	t.Parallel()
	x := &exchange{ringFor: time.Minute}
	c := line(t, "udp", startExchange(t, "udp", x))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	r := c.Ring(ctx, "call-1", "a", Plan{From: "+7", Hold: time.Minute})
	require.Equal(t, 487, r.Status)
	require.Contains(t, r.Err, "canceled")

	x = &exchange{}
	c = line(t, "udp", startExchange(t, "udp", x))
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	r = c.Ring(ctx, "call-1", "a", Plan{From: "+7", Hold: time.Minute})
	require.Equal(t, 200, r.Status)
	require.Contains(t, r.Err, "canceled")
	x.count(func() { require.Equal(t, 1, x.byes) })
}

func TestPeerHangsUp(t *testing.T) {
	t.Parallel()
	x := &exchange{talkFor: 60 * time.Millisecond}
	c := line(t, "udp", startExchange(t, "udp", x))
	r := c.Ring(t.Context(), "call-1", "a", Plan{From: "+7", Hold: 20 * time.Second, WaitForBye: true})
	require.Empty(t, r.Err)
	require.Equal(t, ByPeer, r.EndedBy)
}

func TestRefusedCall(t *testing.T) {
	t.Parallel()
	x := &exchange{status: 486}
	c := line(t, "udp", startExchange(t, "udp", x))
	r := c.Ring(t.Context(), "call-1", "a", Plan{From: "+7"})
	require.Equal(t, 486, r.Status)
	require.Contains(t, r.Err, "486")
	require.False(t, r.Good())
}

// The same INVITE several times over is one call.
func TestRepeatedInvite(t *testing.T) {
	t.Parallel()
	x := &exchange{ringFor: 50 * time.Millisecond}
	c := line(t, "udp", startExchange(t, "udp", x))
	r := c.Ring(t.Context(), "call-1", "a", Plan{From: "+7", Hold: 10 * time.Millisecond, Repeats: 5})
	require.Empty(t, r.Err)
	require.GreaterOrEqual(t, r.Repeats, 5)
	x.count(func() { require.Equal(t, 1, x.invites) })
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	e, err := sipwire.Dial(t.Context(), "udp", pc.LocalAddr().String())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	c := New(e, "127.0.0.1", sipwire.Timers{T1: 5 * time.Millisecond, B: 100 * time.Millisecond})
	r := c.Ring(t.Context(), "x", "a", Plan{From: "+7"})
	require.Contains(t, r.Err, sipwire.ErrTimeout.Error())
	require.Greater(t, r.Repeats, 1, "it was tried again")
	cancel()
	require.NoError(t, <-done)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	x := &exchange{ringFor: 30 * time.Millisecond}
	addr := startExchange(t, "udp", x)
	tl := tally.New("calls")
	l, err := NewLoad(Options{
		Network: "udp", Peer: addr, Count: 20, Rate: 200, Endpoints: 2, CancelShare: 0.3, WantSound: true, Timers: quick,
		Plan: Plan{Hold: 100 * time.Millisecond, Cancel: time.Millisecond},
	}, tl)
	require.NoError(t, err)
	require.NoError(t, l.Run(t.Context()))
	r := tl.Report()
	require.True(t, r.Whole(), "%+v", r)
	require.EqualValues(t, 20, r.Acknowledged)
	require.Positive(t, r.Notes["cancelled"])
	require.Positive(t, r.Notes["RTP heard"])
	x.count(func() { require.Equal(t, 20, x.invites) })
	_, err = NewLoad(Options{}, tl)
	require.Error(t, err)
}

func TestParseAnswer(t *testing.T) {
	t.Parallel()
	const head = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
	to, pt, err := parseAnswer([]byte(head + "m=audio 4000 RTP/AVP 0 8\r\nc=IN IP4 10.0.0.2\r\n"))
	require.NoError(t, err)
	require.Equal(t, "10.0.0.2:4000", to.String())
	require.EqualValues(t, pcmu, pt)
	for _, bad := range []string{"", head, head + "m=video 4000 RTP/AVP 8\r\n", head + "m=audio 0 RTP/AVP 8\r\n",
		head + "m=audio 4000 RTP/AVP 9\r\n", strings.Replace(head, "c=IN IP4 10.0.0.1", "c=IN IP4 host", 1) + "m=audio 4 RTP/AVP 8\r\n"} {
		_, _, err := parseAnswer([]byte(bad))
		require.ErrorIs(t, err, errSDP, "%q", bad)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	require.False(t, loud([]byte{0xD5, 0x55, 0xD5}, pcma))
	require.False(t, loud([]byte{0xFF, 0x7F, 0xFE}, pcmu))
	require.True(t, loud([]byte{0x35, 0xB5}, pcma))
	require.True(t, loud([]byte{0x80, 0x00}, pcmu))
	require.Equal(t, 32256, level(0x2A, pcma))
	require.Equal(t, 32124, level(0x80, pcmu))
}
