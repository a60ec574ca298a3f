package gateway

import (
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"nabat/dispatch"
)

// asked makes the telephone answer the gateway's questions, and counts them.
func (p *phone) asked(answer func(question string) string) *atomic.Int64 {
	n := &atomic.Int64{}
	f := func(q string) string { n.Add(1); return answer(q) }
	p.alive.Store(&f)
	return n
}

func refuseWith(status string) func(string) string {
	return func(q string) string { return strings.Replace(okFor(q), "200 OK", status, 1) }
}

func nothing(string) string { return "" }

// speak sends one packet of sound to the call that the answer ok describes.
func (r *rig) speak(from net.PacketConn, seq uint16) {
	p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 8, SequenceNumber: seq, SSRC: 5}, Payload: make([]byte, 160)}
	b, err := p.Marshal()
	require.NoError(r.t, err)
	_, err = from.WriteTo(b, &net.UDPAddr{IP: net.ParseIP("192.0.2.1"), Port: 30002})
	require.NoError(r.t, err)
}

// A review found it: a telephone whose battery died stayed «answered» for ever.
func TestACallerThatVanishedIsFoundOut(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(string) string
		after  time.Duration
		bye    bool
		why    string
	}{
		{"no answer", nothing, 15*time.Second + ackTime, true, "no sound from the caller; no answer to OPTIONS"},
		{"forgotten", refuseWith("481 Call/Transaction Does Not Exist"), 15 * time.Second, false, "OPTIONS answered by 481"},
		{"a proxy that waited in vain", refuseWith("408 Request Timeout"), 15 * time.Second, true, "OPTIONS answered by 408"},
	} {
		t.Run(c.name, func(t *testing.T) {
			house := &fakeHouse{}
			bubble(t, house, nil, func(t *testing.T, r *rig) {
				r.phone.asked(c.answer)
				r.phone.call("c1")
				synctest.Wait()
				time.Sleep(c.after - time.Millisecond)
				require.Equal(t, dispatch.ContactAnswered, house.only(t).State)
				time.Sleep(time.Second)
				got := house.only(t)
				require.Equal(t, dispatch.EndLineLost, got.EndReason)
				require.True(t, got.CallbackDue, "listed as the calls of a dead run are")
				require.Contains(t, house.facts[len(house.facts)-1].Why, c.why)
				require.Empty(t, r.gw.places)
				said := strings.Join(r.phone.drain(), "\n")
				require.Equal(t, c.bye, strings.Contains(said, "BYE sip:anna@192.0.2.9:5060"), said)
				time.Sleep(ackTime) // the BYE's own patience
				require.Zero(t, r.gw.Live())
			})
		})
	}
}

// Muted, on hold, a codec that sends nothing while nobody speaks: all of them
// are silent, and none may be cut off.
func TestASilentCallerIsAskedAndStays(t *testing.T) {
	for _, status := range []string{"200 OK", "405 Method Not Allowed", "501 Not Implemented", "486 Busy Here"} {
		house := &fakeHouse{}
		bubble(t, house, nil, func(t *testing.T, r *rig) {
			asked := r.phone.asked(refuseWith(status))
			r.phone.call("c1")
			time.Sleep(10*time.Minute + time.Second)
			require.Equal(t, dispatch.ContactAnswered, house.only(t).State)
			require.EqualValues(t, 40, asked.Load(), "once in 15 s, no more")
		})
	}
}

func TestWhoIsHeardIsNotAskedAndNotCutOff(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		rtp, err := r.net.listen("udp", "192.0.2.9:4000")
		require.NoError(t, err)
		defer rtp.Close()
		asked := r.phone.asked(nothing)
		inv := r.phone.invite("c1")
		inv.extra = []string{"Supported: timer", "Session-Expires: 90"}
		r.phone.send(r.phone.write(inv))
		r.phone.ack("c1", toTag(t, r.phone.wait("SIP/2.0 200", time.Second)))
		for i := range 9 {
			time.Sleep(9 * time.Second)
			r.speak(rtp, uint16(i))
		}
		require.Zero(t, asked.Load())
		// The session is not refreshed: that makes us ask, and nobody answers, but the
		// voice is still there.
		for i := range 20 {
			time.Sleep(9 * time.Second)
			r.speak(rtp, uint16(9+i))
		}
		require.Positive(t, asked.Load())
		require.Equal(t, dispatch.ContactAnswered, house.only(t).State)
		// Then it goes, and the call with it.
		time.Sleep(15*time.Second + 2*ackTime)
		require.Equal(t, dispatch.EndLineLost, house.only(t).EndReason)
	})
}

func TestASessionThatIsNotRefreshedIsAskedFor(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, func(c *Config) { c.Silence = time.Hour }, func(t *testing.T, r *rig) {
		asked := r.phone.asked(okFor)
		inv := r.phone.invite("c1")
		inv.extra = []string{"Supported: timer", "Session-Expires: 90"}
		r.phone.send(r.phone.write(inv))
		tag := toTag(t, r.phone.wait("SIP/2.0 200", time.Second))
		r.phone.ack("c1", tag)
		time.Sleep(89 * time.Second)
		r.phone.send(r.phone.write(req{method: "UPDATE", callID: "c1", cseq: 2, toTag: tag, extra: inv.extra}))
		time.Sleep(89 * time.Second)
		require.Zero(t, asked.Load(), "refreshed")
		time.Sleep(2 * time.Second)
		require.EqualValues(t, 1, asked.Load())
		require.Equal(t, dispatch.ContactAnswered, house.only(t).State)
		r.phone.asked(refuseWith("481 Gone"))
		time.Sleep(90 * time.Second)
		require.Equal(t, dispatch.EndLineLost, house.only(t).EndReason)
		require.Contains(t, house.facts[len(house.facts)-1].Why, "did not refresh the session")
	})
}

// call sets up a call over TCP whose requests are to reach contact.
func (k *trunk) call(contact string) (tag string) {
	inv := strings.Replace(tcpInvite, "anna@127.0.0.1:9", "anna@"+contact, 1)
	offer := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"
	k.send(strings.Replace(inv, "Content-Length: 0\r\n\r\n", "Content-Type: application/sdp\r\nContent-Length: "+strconv.Itoa(len(offer))+"\r\n\r\n"+offer, 1))
	tag = toTag(k.t, k.wait("SIP/2.0 200"))
	k.send("ACK sip:112@x SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK-ack\r\nFrom: <sip:+7812@x>;tag=ft\r\nTo: <sip:112@x>;tag=" + tag +
		"\r\nCall-ID: tcp\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")
	return tag
}

func (k *trunk) reset() {
	require.NoError(k.t, k.conn.(*net.TCPConn).SetLinger(0))
	k.conn.Close()
}

// talking waits until the house knows the answer and the gateway its ACK.
func talking(t *testing.T, gw *realGateway, house *fakeHouse) {
	require.Eventually(t, func() bool {
		all := house.all()
		return len(all) == 1 && all[0].State == dispatch.ContactAnswered && gw.logs.FilterMessage("acknowledged").Len() > 0
	}, 10*time.Second, time.Millisecond)
}

// Nobody listens where the Contact says: the trunk is dead.
func TestACallWhoseConnectionDiedEnds(t *testing.T) {
	t.Parallel()
	house := &fakeHouse{}
	gw := startReal(t, house)
	k := dial(t, gw.tcp)
	k.call("127.0.0.1:9")
	talking(t, gw, house)
	k.reset()
	settled(t, gw)
	c := house.only(t)
	require.Equal(t, dispatch.EndLineLost, c.EndReason)
	require.True(t, c.CallbackDue)
	require.Contains(t, house.facts[len(house.facts)-1].Why, "TCP connection was lost")
}

// A firewall cut the connection, the trunk lives: it is asked by a new one, at
// the address that its Contact names, and hung up by it too.
func TestACallSurvivesItsConnection(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "pbx.example"} { // a name is the caller's own: its address, with that port
		t.Run(host, func(t *testing.T) { t.Parallel(); survives(t, host) })
	}
}

func survives(t *testing.T, host string) {
	house := &fakeHouse{}
	gw := startReal(t, house)
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	contact := net.JoinHostPort(host, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	k := dial(t, gw.tcp)
	k.call(contact)
	talking(t, gw, house)
	k.reset()
	require.NoError(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(10*time.Second)))
	conn, err := l.Accept()
	require.NoError(t, err)
	defer conn.Close()
	fresh := &trunk{t, conn, newReader(conn)}
	question := fresh.wait("OPTIONS sip:anna@" + contact)
	fresh.send(okFor(question))
	require.NoError(t, gw.HangUp(t.Context(), house.only(t).ID, "operator:ivanova", "test"))
	bye := fresh.wait("BYE")
	require.Equal(t, "2 BYE", header(bye, "CSeq"))
	fresh.send(okFor(bye))
	settled(t, gw)
	require.Equal(t, dispatch.EndOperator, house.only(t).EndReason)
	require.InDelta(t, 1, testutil.ToFloat64(gw.met.probes), 0)
}

// The other maker's telephone is killed in the middle of a call.
func TestSippIsKilled(t *testing.T) {
	path := needSipp(t)
	t.Parallel()
	house := &fakeHouse{}
	gw := startReal(t, house)
	file, err := filepath.Abs(filepath.Join("testdata", "hangup.xml")) // it waits for our BYE
	require.NoError(t, err)
	var cmd *exec.Cmd
	ended := make(chan error, 1)
	for range 5 { // somebody may take a port between the question and sipp
		cmd = exec.CommandContext(t.Context(), path, gw.tcp, "-sf", file, "-m", "1", "-t", "t1", "-i", "127.0.0.1", "-p", strconv.Itoa(freePort(t)),
			"-mi", "127.0.0.1", "-mp", strconv.Itoa(freePort(t)), "-nostdin")
		cmd.Dir = t.TempDir()
		require.NoError(t, cmd.Start())
		go func() { ended <- cmd.Wait() }()
		require.Eventually(t, func() bool { return len(ended) > 0 || len(house.all()) > 0 }, 10*time.Second, time.Millisecond)
		if len(ended) == 0 {
			break
		}
		<-ended
	}
	talking(t, gw, house)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, <-ended)
	// Its connection ends before its listener does: the question may just have
	// reached that, and then waits its whole 32 s.
	require.Eventually(t, func() bool { return house.only(t).State == dispatch.ContactEnded }, ackTime+10*time.Second, 5*time.Millisecond)
	c := house.only(t)
	require.Equal(t, dispatch.EndLineLost, c.EndReason)
	require.True(t, c.CallbackDue)
}
