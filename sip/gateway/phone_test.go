package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"nabat/dispatch"
	"nabat/sip/media"
)

const usAddr = "192.0.2.1:5060"

// rig is a gateway in the in-memory network, with one telephone.
type rig struct {
	t     *testing.T
	net   *memNet
	house *fakeHouse
	gw    *Gateway
	pool  *media.Pool
	stop  func()
	phone *phone

	beforePort func() // runs when the gateway opens an RTP port
}

// startRig is for a synctest bubble, whose goroutines must all end with it.
func startRig(t *testing.T, house *fakeHouse, change func(*Config)) *rig {
	r := &rig{t: t, net: newMemNet(), house: house}
	r.start(change)
	r.phone = r.newPhone("192.0.2.9:5060")
	t.Cleanup(func() { // within the bubble
		r.stop()
		r.phone.close()
	})
	return r
}

func (r *rig) start(change func(*Config)) {
	var err error
	r.pool, err = media.New(media.Config{Bind: netip.MustParseAddr("192.0.2.1"), Listen: func(n, a string) (net.PacketConn, error) {
		if r.beforePort != nil {
			r.beforePort()
		}
		return r.net.listen(n, a)
	}})
	require.NoError(r.t, err)
	cfg := Config{Intake: r.house, Media: r.pool, Run: dispatch.NewRunID(), Log: zaptest.NewLogger(r.t)}
	if change != nil {
		change(&cfg)
	}
	r.gw, err = New(cfg)
	require.NoError(r.t, err)
	conn, err := r.net.listen("udp", usAddr)
	require.NoError(r.t, err)
	ctx, cancel := contextOf(r.t)
	done := make(chan error, 1)
	go func() { done <- r.gw.Run(ctx, conn, nil) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(r.t, <-done)
		})
	}
}

// phone speaks SIP as text, independent of the library under test.
type phone struct {
	t    *testing.T
	addr string
	conn net.PacketConn
	seen chan string
	pump sync.WaitGroup

	// alive answers the gateway's question whether it is still there; nil: by 200.
	alive atomic.Pointer[func(question string) (answer string)]
}

func (r *rig) newPhone(addr string) *phone {
	c, err := r.net.listen("udp", addr)
	require.NoError(r.t, err)
	p := &phone{t: r.t, addr: addr, conn: c, seen: make(chan string, 1000)}
	p.pump.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if m := string(buf[:n]); strings.HasPrefix(m, "OPTIONS ") {
				p.answer(m)
				continue
			}
			p.seen <- string(buf[:n])
		}
	})
	return p
}

func (p *phone) answer(question string) {
	answer := okFor
	if f := p.alive.Load(); f != nil {
		answer = *f
	}
	if a := answer(question); a != "" {
		p.send(a)
	}
}

func (p *phone) close() {
	p.conn.Close()
	p.pump.Wait()
}

func (p *phone) send(msg string) {
	to, err := net.ResolveUDPAddr("udp", usAddr)
	require.NoError(p.t, err)
	_, err = p.conn.WriteTo([]byte(msg), to)
	require.NoError(p.t, err)
}

// wait takes messages until one starts so.
func (p *phone) wait(start string, within time.Duration) string {
	p.t.Helper()
	limit := time.After(within)
	var others []string
	for {
		select {
		case m := <-p.seen:
			if strings.HasPrefix(m, start) {
				return m
			}
			line, _, _ := strings.Cut(m, "\r\n")
			others = append(others, line)
		case <-limit:
			require.FailNow(p.t, "not seen", "%q within %s; seen %q", start, within, others)
		}
	}
}

// drain takes all that is there.
func (p *phone) drain() []string {
	var out []string
	for {
		select {
		case m := <-p.seen:
			out = append(out, m)
		default:
			return out
		}
	}
}

// req writes a request. extra are whole lines.
type req struct {
	method, callID, branch, toTag string
	cseq                          int
	extra                         []string
	body, kind                    string
	from                          string
	uri                           string
}

func (p *phone) write(q req) string {
	if q.uri == "" {
		q.uri = "sip:112@192.0.2.1"
	}
	if q.from == "" {
		q.from = `"Anna" <sip:+78121234567@192.0.2.9;user=phone>`
	}
	if q.branch == "" {
		q.branch = fmt.Sprintf("z9hG4bK-%s-%d-%s", q.callID, q.cseq, q.method)
	}
	to := "<sip:112@192.0.2.1>"
	if q.toTag != "" {
		to += ";tag=" + q.toTag
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nFrom: %s;tag=ft\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:anna@%s>\r\nMax-Forwards: 70\r\n",
		q.method, q.uri, p.addr, q.branch, q.from, to, q.callID, q.cseq, q.method, p.addr)
	for _, e := range q.extra {
		b.WriteString(e + "\r\n")
	}
	if q.body != "" {
		if q.kind == "" {
			q.kind = "application/sdp"
		}
		fmt.Fprintf(&b, "Content-Type: %s\r\n", q.kind)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(q.body), q.body)
	return b.String()
}

func (p *phone) sdp(formats string) string {
	host, _, _ := strings.Cut(p.addr, ":")
	return "v=0\r\no=- 1 1 IN IP4 " + host + "\r\ns=-\r\nc=IN IP4 " + host + "\r\nt=0 0\r\nm=audio 4000 RTP/AVP " + formats + "\r\n"
}

func (p *phone) invite(callID string) req {
	return req{method: "INVITE", callID: callID, cseq: 1, body: p.sdp("8 0")}
}

func (p *phone) ack(callID, toTag string) {
	p.send(p.write(req{method: "ACK", callID: callID, cseq: 1, toTag: toTag, branch: "z9hG4bK-ack-" + callID}))
}

var tagPattern = regexp.MustCompile(`(?m)^To: .*;tag=([^;\r]+)`)

func toTag(t *testing.T, msg string) string {
	m := tagPattern.FindStringSubmatch(msg)
	require.Len(t, m, 2, msg)
	return m[1]
}

func header(msg, name string) string {
	for l := range strings.SplitSeq(msg, "\r\n") {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// okTo answers a request of the gateway.
func (p *phone) okTo(msg string) { p.send(okFor(msg)) }

func okFor(msg string) string {
	var b strings.Builder
	b.WriteString("SIP/2.0 200 OK\r\n")
	for l := range strings.SplitSeq(msg, "\r\n") {
		if k, _, ok := strings.Cut(l, ":"); ok {
			switch strings.ToLower(k) {
			case "via", "from", "to", "call-id", "cseq":
				b.WriteString(l + "\r\n")
			}
		}
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.String()
}

// call sets up a call and returns its To tag.
func (p *phone) call(callID string) string {
	p.send(p.write(p.invite(callID)))
	ok := p.wait("SIP/2.0 200", 5*time.Second)
	tag := toTag(p.t, ok)
	p.ack(callID, tag)
	return tag
}

func status(msg string) int {
	n, _ := strconv.Atoi(strings.Fields(msg)[1])
	return n
}
