package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// phones is a generator of calls: INVITE → 180 → 200 → ACK → BYE → 200 over a
// few UDP sockets, as trunks are. It keeps no goroutine for a call.
type phones struct {
	trunks []*trunk
	rtp    net.PacketConn // where voice is told to go; nobody listens
	run    string
	total  int
}

// Timers of RFC 3261 §17.1.1.1, and the end of a phone's patience.
const (
	repeatAfter = 500 * time.Millisecond
	giveUpAfter = 8 * time.Second
)

func openPhones(ctx context.Context, peer string, trunks int) (*phones, error) {
	var lc net.ListenConfig
	rtp, err := lc.ListenPacket(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &phones{rtp: rtp, run: strconv.FormatInt(time.Now().UnixNano(), 36)}
	var d net.Dialer
	for range trunks {
		conn, err := d.DialContext(ctx, "udp", peer)
		if err != nil {
			p.close()
			return nil, err
		}
		_ = conn.(*net.UDPConn).SetReadBuffer(4 << 20) // as far as the kernel allows
		t := &trunk{p: p, conn: conn, peer: peer, local: conn.LocalAddr().String(), calls: map[string]*ringing{}, gone: make(chan struct{})}
		p.trunks = append(p.trunks, t)
		go t.read()
	}
	return p, nil
}

// close ends the sockets and waits for their readers.
func (p *phones) close() {
	p.rtp.Close()
	for _, t := range p.trunks {
		t.conn.Close()
		<-t.gone
	}
}

// step is what one rate of calls gave.
type step struct {
	offered     float64
	began       int
	done        int
	rung        int // heard 180: their contacts are durable
	failed      int
	repeated    int // requests sent again by a timer
	perSecond   float64
	ringing     []time.Duration
	why         string // the first failure
	lateRinging time.Duration
}

// good says whether a rate was held: nothing failed, one in a thousand at most
// was sent again, 99 in 100 rang in half a second, and the ends kept up.
func (s step) good() bool {
	return s.failed == 0 && s.repeated*1000 <= s.began && s.done == s.began && s.lateRinging <= 500*time.Millisecond &&
		s.perSecond >= 0.8*s.offered
}

func (s step) String() string {
	return fmt.Sprintf("%.0f/s offered: %.0f/s done, %d failed, %d sent again, 180 p99 %.0f ms %s",
		s.offered, s.perSecond, s.failed, s.repeated, ms(s.lateRinging), s.why)
}

// call begins calls at a rate for d and waits for the end of each. Times count
// from the moment at which a call was due.
func (p *phones) call(ctx context.Context, rate float64, d time.Duration) (step, error) {
	s := step{offered: rate}
	for _, t := range p.trunks {
		t.reset()
	}
	began := time.Now()
	n := int(rate * d.Seconds())
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	sweep := began
	for left := n; ; {
		now := time.Now()
		due := min(n, int(now.Sub(began).Seconds()*rate)+1)
		for ; s.began < due; s.began++ {
			at := began.Add(time.Duration(float64(s.began) / rate * float64(time.Second)))
			p.trunks[s.began%len(p.trunks)].begin(p.total, at)
			p.total++
		}
		if now.Sub(sweep) > 20*time.Millisecond {
			sweep, left = now, n-s.began
			for _, t := range p.trunks {
				left += t.sweep(now)
			}
		}
		if left == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-tick.C:
		}
	}
	last := began
	for _, t := range p.trunks {
		t.mu.Lock()
		s.done, s.failed, s.repeated = s.done+t.done, s.failed+t.failed, s.repeated+t.repeated
		s.rung += len(t.rung)
		s.ringing = append(s.ringing, t.rung...)
		if s.why == "" {
			s.why = t.why
		}
		if t.last.After(last) {
			last = t.last
		}
		t.mu.Unlock()
	}
	s.perSecond = float64(s.done) / max(d, last.Sub(began)).Seconds()
	s.lateRinging = time.Duration(latencyOf(s.ringing).P99 * float64(time.Millisecond))
	return s, nil
}

// trunk is one socket with its calls.
type trunk struct {
	p           *phones
	conn        net.Conn
	peer, local string
	gone        chan struct{}

	mu                     sync.Mutex
	calls                  map[string]*ringing
	done, failed, repeated int
	rung                   []time.Duration
	why                    string
	last                   time.Time
}

// ringing is one call under way.
type ringing struct {
	id, number  string
	due, again  time.Time
	gap         time.Duration
	invite, bye []byte
	heard       bool // any answer to the INVITE: no more repeats
	rang        bool
}

func (t *trunk) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done, t.failed, t.repeated, t.rung, t.why = 0, 0, 0, nil, ""
}

func (t *trunk) begin(n int, due time.Time) {
	c := &ringing{id: fmt.Sprintf("%s-%d@bench", t.p.run, n), number: fmt.Sprintf("+7000%07d", n%10_000_000), due: due, gap: repeatAfter}
	c.again = time.Now().Add(c.gap)
	_, port, err := net.SplitHostPort(t.p.rtp.LocalAddr().String())
	if err != nil {
		port = "9"
	}
	sdp := fmt.Sprintf("v=0\r\no=- %d 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %s RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n", n+1, port)
	c.invite = fmt.Appendf(nil, "INVITE sip:112@%[1]s SIP/2.0\r\n%[2]sTo: <sip:112@%[1]s>\r\nCSeq: 1 INVITE\r\n"+
		"Contact: <sip:%[3]s@%[4]s>\r\nP-Asserted-Identity: <tel:%[3]s>\r\nContent-Type: application/sdp\r\nContent-Length: %[5]d\r\n\r\n%[6]s",
		t.peer, t.head(c, "i"), c.number, t.local, len(sdp), sdp)
	t.mu.Lock()
	t.calls[c.id] = c
	t.mu.Unlock()
	t.send(c.invite)
}

// head is what all requests of a call have; branch tells its transactions apart.
func (t *trunk) head(c *ringing, branch string) string {
	return fmt.Sprintf("Via: SIP/2.0/UDP %[1]s;rport;branch=z9hG4bK%[2]s%[3]s\r\nMax-Forwards: 70\r\nFrom: <sip:%[4]s@%[1]s>;tag=phone\r\nCall-ID: %[3]s\r\n",
		t.local, branch, c.id, c.number)
}

func (t *trunk) send(m []byte) { _, _ = t.conn.Write(m) } // a datagram that was not sent is a lost one

// sweep repeats what had no answer, gives up what never gets one, and says how
// many calls are still under way.
func (t *trunk) sweep(now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, c := range t.calls {
		if now.Sub(c.due) > giveUpAfter {
			t.end(id, "no answer in "+giveUpAfter.String())
			continue
		}
		if now.Before(c.again) || c.heard && c.bye == nil {
			continue
		}
		c.gap *= 2
		c.again = now.Add(c.gap)
		t.repeated++
		if c.bye != nil {
			t.send(c.bye)
		} else {
			t.send(c.invite)
		}
	}
	return len(t.calls)
}

// end takes a call off the list; why is empty for a good one.
func (t *trunk) end(id, why string) {
	delete(t.calls, id)
	t.last = time.Now()
	if why == "" {
		t.done++
		return
	}
	t.failed++
	if t.why == "" {
		t.why = why
	}
}

func (t *trunk) read() {
	defer close(t.gone)
	for buf := make([]byte, 65536); ; {
		n, err := t.conn.Read(buf)
		switch {
		case err == nil:
			t.take(buf[:n])
		case strings.Contains(err.Error(), "closed"):
			return
		default: // an ICMP error of an earlier datagram
		}
	}
}

// take reads just enough of a response; the engine's own tests read the rest.
func (t *trunk) take(m []byte) {
	rest, ok := bytes.CutPrefix(m, []byte("SIP/2.0 "))
	if !ok || len(rest) < 3 {
		return // a request of the other side's: it repeats, and the call fails
	}
	status, err := strconv.Atoi(string(rest[:3]))
	if err != nil {
		return
	}
	invite := bytes.Contains(header(m, "CSeq:"), []byte("INVITE"))
	id := string(header(m, "Call-ID:"))
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.calls[id]
	switch {
	case c == nil:
	case !invite && status/100 == 2:
		t.end(id, "")
	case !invite:
		t.end(id, fmt.Sprintf("BYE answered by %d", status))
	case status < 200:
		c.heard = true
		t.rings(c, status)
	case status < 300:
		c.heard = true
		t.rings(c, 180) // a lost 180 was as durable
		t.hangUp(c, m)
	default:
		t.send(fmt.Appendf(nil, "ACK sip:112@%s SIP/2.0\r\n%sTo: %s\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n", t.peer, t.head(c, "i"), header(m, "To:")))
		t.end(id, fmt.Sprintf("INVITE answered by %d", status))
	}
}

func (t *trunk) rings(c *ringing, status int) {
	if status == 180 && !c.rang {
		c.rang = true
		t.rung = append(t.rung, time.Since(c.due))
	}
}

// hangUp acknowledges the answer and ends the call at once.
func (t *trunk) hangUp(c *ringing, answer []byte) {
	to, target := header(answer, "To:"), header(answer, "Contact:")
	if _, after, ok := bytes.Cut(target, []byte("<")); ok {
		target, _, _ = bytes.Cut(after, []byte(">"))
	}
	t.send(fmt.Appendf(nil, "ACK %s SIP/2.0\r\n%sTo: %s\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n", target, t.head(c, "a"), to))
	if c.bye == nil {
		c.bye = fmt.Appendf(nil, "BYE %s SIP/2.0\r\n%sTo: %s\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n", target, t.head(c, "b"), to)
		c.gap = repeatAfter
		c.again = time.Now().Add(c.gap)
		t.send(c.bye)
	}
}

// header is a header's first value, by the name as the library writes it.
func header(m []byte, name string) []byte {
	at := bytes.Index(m, []byte("\r\n"+name))
	if at < 0 {
		return nil
	}
	value, _, _ := bytes.Cut(m[at+2+len(name):], []byte("\r\n"))
	return bytes.TrimSpace(value)
}
