package gateway

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/dispatch"
)

// What we do not do is refused in the words of the standard, outside a dialog
// and within one.
func TestProperRefusals(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		raw := func(q req, change ...string) string {
			return strings.NewReplacer(change...).Replace(r.phone.write(q))
		}
		inv := func(id string, extra ...string) req {
			q := r.phone.invite(id)
			q.extra = extra
			return q
		}
		for _, c := range []struct {
			name, msg, want string
			header          [2]string
		}{
			{"SUBSCRIBE", raw(req{method: "SUBSCRIBE", callID: "a1", cseq: 1, extra: []string{"Event: presence"}}), "405", [2]string{"Allow", "INVITE, ACK"}},
			{"REFER", raw(req{method: "REFER", callID: "a2", cseq: 1, extra: []string{"Refer-To: <sip:a@b>"}}), "405", [2]string{"Allow", "INVITE, ACK"}},
			{"NOTIFY", raw(req{method: "NOTIFY", callID: "a3", cseq: 1}), "405", [2]string{"Allow", "INVITE, ACK"}},
			{"PUBLISH", raw(req{method: "PUBLISH", callID: "a4", cseq: 1}), "405", [2]string{"Allow", "INVITE, ACK"}},
			{"PRACK", raw(req{method: "PRACK", callID: "a5", cseq: 1, toTag: "x"}), "405", [2]string{"Allow", "INVITE, ACK"}},
			{"100rel required", raw(inv("a6", "Require: 100rel")), "420", [2]string{"Unsupported", "100rel"}},
			{"another version", raw(inv("a7"), " SIP/2.0\r\nVia", " SIP/3.0\r\nVia"), "505", [2]string{}},
			{"no From", raw(inv("a8"), "From: ", "X-From: "), "400", [2]string{}},
			{"no To", raw(inv("a9"), "\r\nTo: ", "\r\nX-To: "), "400", [2]string{}},
			{"no Call-ID", raw(inv("a10"), "Call-ID: ", "X-Call-ID: "), "400", [2]string{}},
			{"two To", raw(inv("a11", "To: <sip:other@x>")), "400", [2]string{}},
			{"CSeq of another method", raw(inv("a12"), "CSeq: 1 INVITE", "CSeq: 1 BYE"), "400", [2]string{}},
			{"CSeq beyond 31 bits", raw(inv("a13"), "CSeq: 1 INVITE", "CSeq: 2147483648 INVITE"), "400", [2]string{}},
			{"a scheme we do not know", raw(req{method: "INVITE", callID: "a14", cseq: 1, uri: "http://x"}), "416", [2]string{}},
			{"a body nobody reads", raw(req{method: "INVITE", callID: "a15", cseq: 1, body: "x", kind: "application/x-unknown"}), "415", [2]string{"Accept", "application/sdp"}},
			{"an answer nobody asked us to read", raw(inv("a16", "Accept: text/html")), "406", [2]string{}},
			{"re-INVITE of nothing", raw(req{method: "INVITE", callID: "a17", cseq: 2, toTag: "x", body: r.phone.sdp("8")}), "481", [2]string{}},
		} {
			r.phone.drain()
			r.phone.send(c.msg)
			got := r.phone.wait("SIP/2.0 "+c.want, time.Second)
			if c.header[0] != "" {
				require.Contains(t, header(got, c.header[0]), c.header[1], c.name)
			}
		}
		require.Empty(t, house.all())
	})
}

// An optional body that we cannot read is no reason to refuse a call
// (RFC 3261 §20.11), nor is Max-Forwards: 0 to whoever forwards nothing.
func TestWhatMustNotRefuseACall(t *testing.T) {
	for name, change := range map[string]func(q *req){
		"optional body": func(q *req) {
			q.body, q.kind = "<x/>", "application/x-unknown\r\nContent-Disposition: render; Handling = optional"
		},
		"last hop":                   func(q *req) { q.extra = []string{"X: y\r\nMax-Forwards: 0"} },
		"extensions for proxies":     func(q *req) { q.extra = []string{"Proxy-Require: foo", "Supported: 100rel, outbound, gruu"} },
		"a short session":            func(q *req) { q.extra = []string{"Supported: timer", "Session-Expires: 30", "Min-SE: 30"} },
		"a session we would refresh": func(q *req) { q.extra = []string{"Supported: timer", "Session-Expires: 90;refresher=uas"} },
	} {
		t.Run(name, func(t *testing.T) {
			house := &fakeHouse{}
			bubble(t, house, nil, func(t *testing.T, r *rig) {
				q := r.phone.invite("c1")
				change(&q)
				msg := r.phone.write(q)
				if name == "last hop" {
					msg = strings.Replace(msg, "Max-Forwards: 70\r\n", "", 1)
				}
				r.phone.send(msg)
				r.phone.wait("SIP/2.0 200", time.Second)
			})
		})
	}
}

// Hold and resume, in both dialects, and what an offer within the call may be.
func TestHoldAndResume(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		tag := r.phone.call("c1")
		synctest.Wait() // the ACK is there
		cseq := 1
		offer := func(body, want string) string {
			cseq++
			q := req{method: "INVITE", callID: "c1", cseq: cseq, toTag: tag, body: body}
			r.phone.send(r.phone.write(q))
			ok := r.phone.wait("SIP/2.0 200", time.Second)
			require.Contains(t, ok, want)
			answer := ""
			if body == "" {
				answer = r.phone.sdp("8")
			}
			r.phone.send(r.phone.write(req{method: "ACK", callID: "c1", cseq: cseq, toTag: tag, branch: "z9hG4bK-ack-" + want, body: answer}))
			synctest.Wait()
			return ok
		}
		offer(r.phone.sdp("8")+"a=sendonly\r\n", "a=recvonly")
		offer(r.phone.sdp("8")+"a=sendrecv\r\n", "a=sendrecv")
		offer(r.phone.sdp("8")+"a=inactive\r\n", "a=inactive")
		offer(strings.Replace(r.phone.sdp("8"), "c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0", 1), "a=recvonly")
		offer(r.phone.sdp("0"), "RTP/AVP 0")
		require.Contains(t, offer("", "m=audio"), "a=sendrecv")
		// One that overtook the ACK of the one before waits for it.
		cseq++
		r.phone.send(r.phone.write(req{method: "INVITE", callID: "c1", cseq: cseq, toTag: tag, body: r.phone.sdp("8")}))
		r.phone.wait("SIP/2.0 200", time.Second)
		cseq++
		r.phone.send(r.phone.write(req{method: "INVITE", callID: "c1", cseq: cseq, toTag: tag, body: r.phone.sdp("8") + "a=sendonly\r\n"}))
		synctest.Wait()
		require.Empty(t, r.phone.drain())
		r.phone.send(r.phone.write(req{method: "ACK", callID: "c1", cseq: cseq - 1, toTag: tag, branch: "z9hG4bK-ack-overtaken"}))
		require.Contains(t, r.phone.wait("SIP/2.0 200", 100*time.Millisecond), "a=recvonly")
		r.phone.send(r.phone.write(req{method: "ACK", callID: "c1", cseq: cseq, toTag: tag, branch: "z9hG4bK-ack-overtaking"}))
		synctest.Wait()
		// Another before the first is acknowledged at all must come again later (§14.2).
		r.phone.send(r.phone.write(req{method: "INVITE", callID: "c1", cseq: cseq + 1, toTag: tag, body: r.phone.sdp("8")}))
		r.phone.wait("SIP/2.0 200", time.Second)
		r.phone.send(r.phone.write(req{method: "INVITE", callID: "c1", cseq: cseq + 2, toTag: tag, body: r.phone.sdp("8")}))
		require.NotEmpty(t, header(r.phone.wait("SIP/2.0 500", 600*time.Millisecond), "Retry-After"))
		// An old number is refused whatever it asks for, but an ACK (§12.2.2).
		r.phone.send(r.phone.write(req{method: "BYE", callID: "c1", cseq: 2, toTag: tag}))
		r.phone.wait("SIP/2.0 500", time.Second)
		require.Equal(t, dispatch.ContactAnswered, house.only(t).State)
	})
}

// One source that floods us, or hangs, must leave the others their part.
func TestOneSourceCannotTakeEverything(t *testing.T) {
	house := &fakeHouse{}
	bubble(t, house, func(c *Config) { c.Calls, c.Legs = 4, 8 }, func(t *testing.T, r *rig) {
		for n := range 6 {
			r.phone.send(r.phone.write(r.phone.invite("c" + strconv.Itoa(n))))
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		require.Len(t, r.gw.places, 3, "the fourth place is somebody else's")
		r.phone.drain()
		refused := r.phone.invite("c6")
		for range 2 { // it comes again, and gets the same answer: nothing is remembered of it
			r.phone.send(r.phone.write(refused))
			require.NotEmpty(t, header(r.phone.wait("SIP/2.0 503", time.Second), "Retry-After"))
		}
		time.Sleep(20 * time.Second) // no ACK comes
		for _, m := range r.phone.drain() {
			require.NotEqual(t, "c6", header(m, "Call-ID"), "no transaction repeats it")
		}
		require.Len(t, house.all(), 6)

		other := r.newPhone("192.0.2.10:5060")
		defer other.close()
		tag := other.call("other")
		other.send(other.write(req{method: "BYE", callID: "other", cseq: 2, toTag: tag}))
		other.wait("SIP/2.0 200", time.Second)
		time.Sleep(time.Second)
		require.Len(t, r.gw.places, 3)
		r.gw.table.mu.Lock()
		defer r.gw.table.mu.Unlock()
		require.Len(t, r.gw.table.origins, 1)
	})
	// A source that the configuration names may take all.
	bubble(t, &fakeHouse{}, func(c *Config) {
		c.Calls, c.Peers = 4, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	}, func(t *testing.T, r *rig) {
		for n := range 6 {
			r.phone.send(r.phone.write(r.phone.invite("c" + strconv.Itoa(n))))
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		require.Len(t, r.gw.places, 4)
	})
}

func TestByeAfterTheEnd(t *testing.T) {
	house := &fakeHouse{failFact: func(p dispatch.Progress, try int) error {
		if p.State == dispatch.ContactEnded && try < 12 {
			return errors.New("the database is away") // so that the ended call stays for a while
		}
		return nil
	}}
	bubble(t, house, nil, func(t *testing.T, r *rig) {
		tag := r.phone.call("c1")
		bye := req{method: "BYE", callID: "c1", cseq: 2, toTag: tag}
		r.phone.send(r.phone.write(bye))
		r.phone.wait("SIP/2.0 200", time.Second)
		r.phone.send(r.phone.write(bye)) // our answer was lost
		r.phone.wait("SIP/2.0 200", time.Second)
		bye.branch = "z9hG4bK-by-another-way"
		r.phone.send(r.phone.write(bye))
		r.phone.wait("SIP/2.0 200", time.Second)
		require.Equal(t, 1, r.gw.Live())
		for n, m := range []string{"BYE", "OPTIONS", "INFO"} { // new requests of a dialog that is over
			r.phone.send(r.phone.write(req{method: m, callID: "c1", cseq: 3 + n, toTag: tag}))
			require.Contains(t, header(r.phone.wait("SIP/2.0 481", time.Second), "CSeq"), m)
		}
		// Both hang up at once: either is answered.
		tag = r.phone.call("c2")
		synctest.Wait()
		require.NoError(t, r.gw.HangUp(t.Context(), house.all()[1].ID, "operator:ivanova", "test"))
		ours := r.phone.wait("BYE", time.Second)
		r.phone.send(r.phone.write(req{method: "BYE", callID: "c2", cseq: 2, toTag: tag}))
		r.phone.wait("SIP/2.0 200", time.Second)
		r.phone.okTo(ours)
	})
}
