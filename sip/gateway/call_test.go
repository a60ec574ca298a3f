package gateway

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nabat/dispatch"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// bubble runs a story in virtual time; the gateway ends with it.
func bubble(t *testing.T, house *fakeHouse, change func(*Config), story func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, house, change)
		story(t, r)
	})
}

func TestCallIsStoredThenRingsThenAnswers(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		rtp, err := r.net.listen("udp", "192.0.2.9:4000")
		require.NoError(t, err)
		defer rtp.Close()
		r.phone.send(r.phone.write(r.phone.invite("c1")))
		trying := r.phone.wait("SIP/2.0 100", time.Second)
		require.Equal(t, "c1", header(trying, "Call-ID"))
		ringing := r.phone.wait("SIP/2.0 180", time.Second)
		require.Len(t, house.all(), 1, "stored before it rings")
		ok := r.phone.wait("SIP/2.0 200", time.Second)
		require.Equal(t, toTag(t, ringing), toTag(t, ok))
		require.Equal(t, "<sip:112@192.0.2.1:5060>", header(ok, "Contact"))
		require.Contains(t, ok, "m=audio 30002 RTP/AVP 8\r\n")
		r.phone.ack("c1", toTag(t, ok))
		buf := make([]byte, 1500)
		n, _, err := rtp.ReadFrom(buf)
		require.NoError(t, err)
		require.Equal(t, 172, n)
		require.Equal(t, byte(0x80|8), buf[1], "marker, A-law")
		synctest.Wait()
		c := house.only(t)
		require.Equal(t, dispatch.ContactCall, c.Kind)
		require.Equal(t, dispatch.ContactAnswered, c.State)
		require.Equal(t, "+78121234567", c.Caller)
		require.Equal(t, "112", c.Called)
		require.Equal(t, "192.0.2.9:5060", c.Peer)

		time.Sleep(10 * time.Minute) // no RTP from the caller all the time
		r.phone.drain()
		require.Equal(t, 1, r.gw.Live())
		r.phone.send(r.phone.write(req{method: "BYE", callID: "c1", cseq: 2, toTag: toTag(t, ok)}))
		r.phone.wait("SIP/2.0 200", time.Second)
		synctest.Wait()
		c = house.only(t)
		require.Equal(t, dispatch.ContactEnded, c.State)
		require.Equal(t, dispatch.EndCallerHungUp, c.EndReason)
		require.False(t, c.CallbackDue)
		require.Equal(t, dispatch.Actor("caller:+78121234567"), house.actors[len(house.actors)-1])
		require.Zero(t, r.gw.Live())

		r.phone.send(r.phone.write(req{method: "BYE", callID: "c1", cseq: 3, toTag: toTag(t, ok)}))
		r.phone.wait("SIP/2.0 481", time.Second)
	})
}

func TestAnswerIsRepeatedInTheRhythmOfTheStandardAndThenGivenUp(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		r.phone.send(r.phone.write(r.phone.invite("c1")))
		r.phone.wait("SIP/2.0 200", time.Second)
		start := time.Now()
		var at []time.Duration
		for {
			m := <-r.phone.seen
			if strings.HasPrefix(m, "BYE ") {
				require.Equal(t, 32*time.Second, time.Since(start))
				require.Equal(t, "sip:anna@192.0.2.9:5060", strings.Fields(m)[1])
				require.Contains(t, header(m, "From"), ";tag=")
				require.Contains(t, header(m, "To"), ";tag=ft")
				r.phone.okTo(m)
				break
			}
			require.Equal(t, 200, status(m))
			at = append(at, time.Since(start))
		}
		ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
		require.Equal(t, []time.Duration{ms(500), ms(1500), ms(3500), ms(7500), ms(11500), ms(15500), ms(19500), ms(23500), ms(27500), ms(31500)}, at)
		synctest.Wait()
		c := house.only(t)
		require.Equal(t, dispatch.EndNoAck, c.EndReason)
		require.True(t, c.CallbackDue)
		require.Zero(t, r.gw.Live())
	})
}

func TestCancelBeforeTheAnswer(t *testing.T) {
	release := make(chan struct{})
	house := &fakeHouse{hook: func(ctx context.Context) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}}
	synctest.Test(t, func(t *testing.T) {
		release = make(chan struct{})
		r := startRig(t, house, nil)
		inv := r.phone.invite("c1")
		r.phone.send(r.phone.write(inv))
		queued := r.phone.wait("SIP/2.0 182", 11*time.Second)
		require.Empty(t, house.all())
		r.phone.send(r.phone.write(req{method: "CANCEL", callID: "c1", cseq: 1, branch: "z9hG4bK-c1-1-INVITE"}))
		r.phone.wait("SIP/2.0 200", time.Second) // of the CANCEL
		refused := r.phone.wait("SIP/2.0 487", time.Second)
		require.Equal(t, toTag(t, queued), toTag(t, refused), "one tag for all answers of one INVITE")
		r.phone.send(r.phone.write(req{method: "ACK", callID: "c1", cseq: 1, toTag: toTag(t, refused), branch: "z9hG4bK-c1-1-INVITE"}))
		close(release)
		time.Sleep(time.Second)
		c := house.only(t)
		require.Equal(t, dispatch.EndCancelled, c.EndReason)
		for _, m := range r.phone.drain() {
			require.NotEqual(t, 200, status(m), m)
		}
		require.Zero(t, r.gw.Live())
	})
}

// The kill test found it: a commit that took longer than 300 ms rang first, and
// whoever rang then and lost the line with the engine was in no list.
func TestNobodyRingsBeforeTheCommit(t *testing.T) {
	const commit = 9 * time.Second
	house := &fakeHouse{hook: func(context.Context) { time.Sleep(commit) }}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		r.phone.send(r.phone.write(r.phone.invite("c1")))
		require.Equal(t, 100, status(r.phone.wait("SIP/2.0", time.Millisecond)))
		time.Sleep(2*time.Second - time.Millisecond)
		require.Empty(t, r.phone.drain())
		queued := r.phone.wait("SIP/2.0 182", 2*time.Millisecond)
		require.NotEmpty(t, toTag(t, queued))
		time.Sleep(commit - 2*time.Second - 10*time.Millisecond)
		require.Empty(t, r.phone.drain())
		ringing := r.phone.wait("SIP/2.0 180", time.Second)
		require.NotEmpty(t, house.all())
		ok := r.phone.wait("SIP/2.0 200", time.Second)
		require.Equal(t, toTag(t, ringing), toTag(t, ok))
		require.Equal(t, toTag(t, queued), toTag(t, ok))
		r.phone.ack("c1", toTag(t, ok))
	})
}

// sipgo repeats on timer G what it was last handed: a 200 that lost the race
// against a CANCEL would follow the 487.
func TestAnswerThatLosesTheRaceAgainstCancelIsNeverHeard(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		// The CANCEL is answered between the decision to answer and the 200.
		var tag string
		r.beforePort = func() {
			r.phone.send(r.phone.write(req{method: "CANCEL", callID: "c1", cseq: 1, branch: "z9hG4bK-c1-1-INVITE"}))
			tag = toTag(t, r.phone.wait("SIP/2.0 487", time.Second))
		}
		r.phone.send(r.phone.write(r.phone.invite("c1")))
		time.Sleep(20 * time.Second) // no ACK comes: timer G fires again and again
		again := 0
		for _, m := range r.phone.drain() {
			if header(m, "CSeq") == "1 INVITE" {
				require.Equal(t, 487, status(m))
				require.Equal(t, tag, toTag(t, m))
				again++
			}
		}
		require.GreaterOrEqual(t, again, 5)
		require.Equal(t, dispatch.EndCancelled, house.only(t).EndReason)
		require.Equal(t, []dispatch.ContactState{dispatch.ContactEnded}, house.states(), "never answered")
		require.Zero(t, r.gw.Live())
		require.Empty(t, r.gw.places)
	})
}

func TestRepeatedInviteMakesNoSecondCard(t *testing.T) {
	house := &fakeHouse{}
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, house, nil)
		inv := r.phone.write(r.phone.invite("c1"))
		for range 3 {
			r.phone.send(inv)
		}
		ok := r.phone.wait("SIP/2.0 200", time.Second)
		// The same INVITE by another path is a merged request.
		other := r.phone.invite("c1")
		other.branch = "z9hG4bK-another-path"
		r.phone.send(r.phone.write(other))
		r.phone.wait("SIP/2.0 482", time.Second)
		r.phone.ack("c1", toTag(t, ok))
		synctest.Wait()
		require.Len(t, house.all(), 1)

		// Our process dies and comes back: the caller's INVITE, sent again, finds its
		// contact and is served.
		before := house.only(t)
		r.stop()
		require.Equal(t, dispatch.EndShutdown, house.only(t).EndReason)
		r.start(nil)
		r.phone.drain()
		r.phone.send(inv)
		r.phone.wait("SIP/2.0 180", time.Second)
		ok = r.phone.wait("SIP/2.0 200", time.Second)
		r.phone.ack("c1", toTag(t, ok))
		synctest.Wait()
		after := house.only(t)
		require.Equal(t, before.ID, after.ID)
		require.Equal(t, dispatch.ContactAnswered, after.State)
		require.NotEqual(t, before.Run, after.Run)
		require.Equal(t, r.gw.cfg.Run, after.Run)
		require.NoError(t, r.gw.HangUp(t.Context(), before.ID, "operator:ivanova", "the operator pressed the key"))
		bye := r.phone.wait("BYE", time.Second)
		r.phone.okTo(bye)
		synctest.Wait()
		require.Equal(t, dispatch.EndOperator, house.only(t).EndReason)
		require.Equal(t, dispatch.Actor("operator:ivanova"), house.actors[len(house.actors)-1])
		require.ErrorIs(t, r.gw.HangUp(t.Context(), before.ID, "operator:ivanova", "again"), dispatch.ErrNotFound)
	})
}

func TestDatabaseAwayQueuesAndAnswersWhenItIsBack(t *testing.T) {
	down := true
	house := &fakeHouse{fail: func(int) error {
		if down {
			return dispatch.ErrBusy
		}
		return nil
	}}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		r.phone.send(r.phone.write(r.phone.invite("c1")))
		r.phone.wait("SIP/2.0 182", 100*time.Millisecond)
		time.Sleep(3*time.Minute + 10*time.Second)
		again := 0
		for _, m := range r.phone.drain() {
			require.Equal(t, 182, status(m), "nothing is stored: no ringing")
			again++
		}
		require.Equal(t, 3, again, "once a minute, so that no proxy gives the call up")
		house.mu.Lock()
		down = false
		house.mu.Unlock()
		r.phone.wait("SIP/2.0 180", 5*time.Second)
		ok := r.phone.wait("SIP/2.0 200", time.Second)
		r.phone.ack("c1", toTag(t, ok))
		synctest.Wait()
		require.Equal(t, dispatch.ContactAnswered, house.only(t).State)
	})
}

// A copy of the INVITE that comes when the call is over is no call any more.
func TestALateCopyRevivesNobody(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		tag := r.phone.call("c1")
		r.phone.send(r.phone.write(req{method: "BYE", callID: "c1", cseq: 2, toTag: tag}))
		r.phone.wait("SIP/2.0 200", time.Second)
		time.Sleep(time.Minute)
		before := house.only(t)
		r.phone.drain()
		copied := r.phone.invite("c1")
		copied.branch = "z9hG4bK-late"
		r.phone.send(r.phone.write(copied))
		refused := r.phone.wait("SIP/2.0 482", time.Second)
		r.phone.send(r.phone.write(req{method: "ACK", callID: "c1", cseq: 1, toTag: toTag(t, refused), branch: "z9hG4bK-late"}))
		time.Sleep(time.Minute)
		require.Equal(t, before, house.only(t))
		require.Empty(t, r.phone.drain())
		require.Zero(t, r.gw.Live())
	})
}

// What was refused is told, with the peer, and a flood of it is not told for ever.
func TestRefusalsAreToldAndBounded(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	bubble(t, &fakeHouse{}, func(c *Config) { c.Log = zap.New(core) }, func(t *testing.T, r *rig) {
		for i := range 20 {
			q := r.phone.invite("c" + strconv.Itoa(i))
			q.extra = []string{"Require: 100rel"}
			r.phone.send(r.phone.write(q))
			r.phone.wait("SIP/2.0 420", time.Second)
		}
		told := logs.FilterMessage("request refused: 420").All()
		require.Len(t, told, 1)
		fields := told[0].ContextMap()
		require.Equal(t, "192.0.2.9:5060", fields["peer"])
		require.Equal(t, "Bad Extension", fields["reason"])
		require.Equal(t, "c0", fields["call"])
	})
}

func TestFactsOfAnEndedCallWaitForTheDatabase(t *testing.T) {
	lost := errors.New("connection lost")
	house := &fakeHouse{failFact: func(_ dispatch.Progress, try int) error {
		if try < 6 {
			return lost
		}
		return nil
	}}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		tag := r.phone.call("c1")
		r.phone.send(r.phone.write(req{method: "BYE", callID: "c1", cseq: 2, toTag: tag}))
		r.phone.wait("SIP/2.0 200", time.Second)
		time.Sleep(time.Minute)
		require.Equal(t, []dispatch.ContactState{dispatch.ContactAnswered, dispatch.ContactEnded}, house.states())
		require.Zero(t, r.gw.Live())
	})
}

func TestNoCommonCodecKeepsTheContact(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		inv := r.phone.invite("c1")
		inv.body = r.phone.sdp("18 4")
		r.phone.send(r.phone.write(inv))
		r.phone.wait("SIP/2.0 488", time.Second)
		synctest.Wait()
		c := house.only(t)
		require.Equal(t, dispatch.EndNoMedia, c.EndReason)
		require.True(t, c.CallbackDue)
	})
}

func TestDelayedOffer(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		rtp, err := r.net.listen("udp", "192.0.2.9:4000")
		require.NoError(t, err)
		defer rtp.Close()
		inv := r.phone.invite("c1")
		inv.body = ""
		r.phone.send(r.phone.write(inv))
		ok := r.phone.wait("SIP/2.0 200", time.Second)
		require.Contains(t, ok, "RTP/AVP 8 0 101")
		r.phone.send(r.phone.write(req{method: "ACK", callID: "c1", cseq: 1, toTag: toTag(t, ok), branch: "z9hG4bK-x", body: r.phone.sdp("0")}))
		buf := make([]byte, 1500)
		_, _, err = rtp.ReadFrom(buf)
		require.NoError(t, err)
		require.Equal(t, byte(0x80), buf[1], "marker, µ-law")

		// And one whose ACK brings nothing that we can speak.
		inv = r.phone.invite("c2")
		inv.body = ""
		r.phone.send(r.phone.write(inv))
		ok = r.phone.wait("SIP/2.0 200", time.Second)
		r.phone.send(r.phone.write(req{method: "ACK", callID: "c2", cseq: 1, toTag: toTag(t, ok), branch: "z9hG4bK-y"}))
		r.phone.okTo(r.phone.wait("BYE", time.Second))
		synctest.Wait()
		require.Equal(t, dispatch.EndNoMedia, house.all()[1].EndReason)
	})
}

func TestRequestsWithinTheDialog(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		inv := r.phone.invite("c1")
		inv.extra = []string{"k: timer", "x: 1800;refresher=uac"}
		r.phone.send(r.phone.write(inv))
		ok := r.phone.wait("SIP/2.0 200", time.Second)
		require.Equal(t, "1800;refresher=uac", header(ok, "Session-Expires"))
		tag := toTag(t, ok)
		// A request that overtakes the ACK is answered; the 200 goes on repeating.
		r.phone.send(r.phone.write(req{method: "INFO", callID: "c1", cseq: 2, toTag: tag, body: "Signal=1", kind: "application/dtmf-relay"}))
		require.Equal(t, "2 INFO", header(r.phone.wait("SIP/2.0 200", 400*time.Millisecond), "CSeq"))
		require.Equal(t, "1 INVITE", header(r.phone.wait("SIP/2.0 200", time.Second), "CSeq"))
		r.phone.ack("c1", tag)
		time.Sleep(10 * time.Second)
		require.Empty(t, r.phone.drain())

		hold := req{method: "INVITE", callID: "c1", cseq: 3, toTag: tag, body: r.phone.sdp("8") + "a=sendonly\r\n"}
		r.phone.send(r.phone.write(hold))
		held := r.phone.wait("SIP/2.0 200", time.Second)
		require.Contains(t, held, "a=recvonly")
		require.Contains(t, held, " 2 IN IP4", "a new version of our description")
		// Its own ACK is lost: the 200 is repeated, and the call lives on after 32 s.
		require.Equal(t, "3 INVITE", header(r.phone.wait("SIP/2.0 200", time.Second), "CSeq"))
		time.Sleep(40 * time.Second)
		r.phone.drain()
		require.Equal(t, 1, r.gw.Live())

		for _, c := range []struct {
			q    req
			want string
		}{
			{req{method: "INVITE", cseq: 4, body: r.phone.sdp("18")}, "488"},
			{req{method: "UPDATE", cseq: 5}, "200"},
			{req{method: "UPDATE", cseq: 6, body: r.phone.sdp("8")}, "200"},
			{req{method: "INFO", cseq: 7, extra: []string{"Info-Package: foo"}}, "469"},
			{req{method: "INFO", cseq: 3}, "500"},
			{req{method: "OPTIONS", cseq: 8}, "200"},
			{req{method: "REFER", cseq: 9}, "405"},
			{req{method: "MESSAGE", cseq: 10, body: "I am in the cellar", kind: "text/plain"}, "200"},
		} {
			c.q.callID, c.q.toTag = "c1", tag
			r.phone.send(r.phone.write(c.q))
			got := r.phone.wait("SIP/2.0 "+c.want, time.Second)
			require.Contains(t, header(got, "CSeq"), c.q.method)
		}
		for _, m := range []string{"BYE", "INFO", "UPDATE", "INVITE", "OPTIONS", "MESSAGE"} {
			r.phone.send(r.phone.write(req{method: m, callID: "unknown", cseq: 1, toTag: "x"}))
			r.phone.wait("SIP/2.0 481", time.Second)
		}
		r.phone.send(r.phone.write(req{method: "CANCEL", callID: "unknown", cseq: 1}))
		r.phone.wait("SIP/2.0 481", time.Second)
		require.Len(t, house.all(), 2, "the call and the message")
	})
}

func TestOutsideADialog(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		r.phone.send(r.phone.write(req{method: "OPTIONS", callID: "o", cseq: 1}))
		ok := r.phone.wait("SIP/2.0 200", time.Second)
		for _, h := range []string{"Allow", "Accept", "Supported"} {
			require.NotEmpty(t, header(ok, h), h)
		}
		r.phone.send(r.phone.write(req{method: "REGISTER", callID: "r", cseq: 1}))
		require.Contains(t, header(r.phone.wait("SIP/2.0 405", time.Second), "Allow"), "INVITE")
		r.phone.send(r.phone.write(req{method: "NEWMETHOD", callID: "n", cseq: 1}))
		require.Contains(t, header(r.phone.wait("SIP/2.0 405", time.Second), "Allow"), "MESSAGE")
		inv := r.phone.invite("c")
		inv.extra = []string{"Require: 100rel, timer", "Require: foo"}
		r.phone.send(r.phone.write(inv))
		require.Equal(t, "100rel, foo", header(r.phone.wait("SIP/2.0 420", time.Second), "Unsupported"))
		require.Empty(t, house.all())
		// A bare line feed in what would be echoed: no word.
		inv = r.phone.invite("evil\nX-Injected: yes")
		r.phone.drain()
		r.phone.send(r.phone.write(inv))
		time.Sleep(40 * time.Second)
		for _, m := range r.phone.drain() {
			require.NotContains(t, m, "X-Injected")
		}
		require.Empty(t, house.all())
	})
}

func TestMessages(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		sms := req{method: "MESSAGE", callID: "m1", cseq: 1, body: "Пожар на Садовой, 5", kind: "text/plain;charset=UTF-8",
			extra: []string{"P-Asserted-Identity: <tel:+79110000001>"}}
		r.phone.send(r.phone.write(sms))
		r.phone.wait("SIP/2.0 200", time.Second)
		c := house.only(t)
		require.Equal(t, dispatch.ContactSMS, c.Kind)
		require.Equal(t, dispatch.ContactEnded, c.State)
		require.Equal(t, dispatch.EndDelivered, c.EndReason)
		require.Equal(t, "Пожар на Садовой, 5", c.Text)
		require.Equal(t, "+79110000001", c.Caller)
		require.False(t, c.EndedAt.IsZero())

		sms.branch = "z9hG4bK-sent-again" // the gateway of the operator did not see the answer
		r.phone.send(r.phone.write(sms))
		r.phone.wait("SIP/2.0 200", time.Second)
		require.Len(t, house.all(), 1)

		r.phone.send(r.phone.write(req{method: "MESSAGE", callID: "m2", cseq: 1, body: "\x00\x01", kind: "application/vnd.3gpp.sms"}))
		require.Equal(t, "text/plain", header(r.phone.wait("SIP/2.0 415", time.Second), "Accept"))

		require.Equal(t, "text/plain;charset=utf-8", header(r.phone.refusedText("m4", "x", "text/plain;charset=klingon", "415"), "Accept"))
		r.phone.refusedText("m5", strings.Repeat("x", 16<<10+1), "text/plain", "413")
		require.InDelta(t, 1, testutil.ToFloat64(r.gw.met.messages.WithLabelValues("too long")), 0)

		// A letter that its charset does not hold: taken, with the octets as they came.
		r.phone.send(r.phone.write(req{method: "MESSAGE", callID: "m6", cseq: 1, body: "\xcf\xee\x98", kind: "text/plain;charset=windows-1251"}))
		r.phone.wait("SIP/2.0 200", time.Second)
		c = house.all()[1]
		require.Equal(t, "По\uFFFD", c.Text)
		require.Equal(t, []byte("\xcf\xee\x98"), c.Body)
		require.Equal(t, "text/plain;charset=windows-1251", c.ContentType)

		house.mu.Lock()
		house.fail = func(int) error { return dispatch.ErrBusy }
		house.mu.Unlock()
		r.phone.send(r.phone.write(req{method: "MESSAGE", callID: "m3", cseq: 1, body: "help", kind: "text/plain"}))
		require.NotEmpty(t, header(r.phone.wait("SIP/2.0 503", time.Second), "Retry-After"))
		require.Len(t, house.all(), 2)
	})
}

func (p *phone) refusedText(callID, body, kind, status string) string {
	p.send(p.write(req{method: "MESSAGE", callID: callID, cseq: 1, body: body, kind: kind}))
	return p.wait("SIP/2.0 "+status, time.Second)
}

func TestWithoutAPlaceACallRingsUntilOneIsFree(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, func(c *Config) { c.Calls, c.Legs = 1, 2 }, func(t *testing.T, r *rig) {
		first := r.phone.call("c1")
		r.phone.send(r.phone.write(r.phone.invite("c2")))
		r.phone.wait("SIP/2.0 180", time.Second)
		r.phone.send(r.phone.write(r.phone.invite("c3")))
		require.NotEmpty(t, header(r.phone.wait("SIP/2.0 503", time.Second), "Retry-After"))
		time.Sleep(time.Second)
		require.Len(t, house.all(), 2, "the waiting call is stored")
		r.phone.send(r.phone.write(req{method: "BYE", callID: "c1", cseq: 2, toTag: first}))
		ok := r.phone.wait("SIP/2.0 200", time.Second)
		if header(ok, "CSeq") == "2 BYE" {
			ok = r.phone.wait("SIP/2.0 200", time.Second)
		}
		require.Equal(t, "c2", header(ok, "Call-ID"))
	})
}

func TestShutdownEndsEveryCallInGoodOrder(t *testing.T) {
	house := &fakeHouse{}
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, house, func(c *Config) { c.Calls = 1 })
		r.phone.call("talking")
		r.phone.send(r.phone.write(r.phone.invite("ringing")))
		r.phone.wait("SIP/2.0 180", time.Second)
		synctest.Wait()
		start := time.Now()
		done := make(chan struct{})
		go func() { r.stop(); close(done) }()
		bye := r.phone.wait("BYE", time.Second) // never answered: the drain is bounded
		require.Equal(t, "talking", header(bye, "Call-ID"))
		<-done
		require.LessOrEqual(t, time.Since(start), 6*time.Second)
		for _, c := range house.all() {
			require.Equal(t, dispatch.EndShutdown, c.EndReason)
			require.True(t, c.CallbackDue)
		}
		require.Len(t, house.all(), 2)
	})
}

func TestAPanicEndsOneCallOnly(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		tag := r.phone.call("good")
		house.mu.Lock()
		house.hook = func(context.Context) { panic("a bug in the house") }
		house.mu.Unlock()
		r.phone.send(r.phone.write(r.phone.invite("bad")))
		r.phone.wait("SIP/2.0 503", time.Second)
		house.mu.Lock()
		house.hook = nil
		house.mu.Unlock()
		synctest.Wait()
		require.Equal(t, 1, r.gw.Live())
		r.phone.send(r.phone.write(req{method: "BYE", callID: "good", cseq: 2, toTag: tag}))
		r.phone.wait("SIP/2.0 200", time.Second)
	})
}
