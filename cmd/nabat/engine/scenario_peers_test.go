package engine_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// panel is a DC-09 device on a persistent connection.
type panel struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	seq  int
}

func (h *house) panel() *panel {
	conn, err := h.alarms.dial(h.t.Context(), "", "")
	require.NoError(h.t, err)
	h.t.Cleanup(func() { conn.Close() })
	return &panel{t: h.t, conn: conn, in: bufio.NewReader(conn)}
}

// signal sends an event and is acknowledged.
func (p *panel) signal(event string) {
	p.t.Helper()
	p.tell(event)
	require.Equal(p.t, fmt.Sprintf(`"ACK"%04dL0#4521[]`, p.seq), p.answer())
}

// alive sends a heartbeat and is acknowledged.
func (p *panel) alive() {
	p.seq++
	p.write(fmt.Sprintf(`"NULL"%04dL0#4521[]`, p.seq))
	require.Equal(p.t, fmt.Sprintf(`"ACK"%04dL0#4521[]`, p.seq), p.answer())
}

// tell sends an event and does not wait.
func (p *panel) tell(event string) {
	p.seq++
	p.write(fmt.Sprintf(`"ADM-CID"%04dL0#4521[#4521|%s]`, p.seq, event))
}

func (p *panel) answer() string {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(time.Minute)))
	answer, err := p.in.ReadString('\r')
	require.NoError(p.t, err)
	require.NoError(p.t, p.conn.SetReadDeadline(time.Time{}))
	return strings.TrimSuffix(answer[9:], "\r")
}

// write sends a frame, whose checksum is computed here and not by the engine's
// codec.
func (p *panel) write(body string) {
	_, err := fmt.Fprintf(p.conn, "\n%04X%04X%s\r", crc16([]byte(body)), len(body), body)
	require.NoError(p.t, err)
}

// silent waits for an answer that must not come.
func (p *panel) silent(within time.Duration, why string) {
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(within)))
	answer, err := p.in.ReadString('\r')
	require.ErrorIs(p.t, err, os.ErrDeadlineExceeded, "%s, and the panel hears %q", why, answer)
	require.NoError(p.t, p.conn.SetReadDeadline(time.Time{}))
}

// crc16 is CRC-16/ARC.
func crc16(b []byte) (crc uint16) {
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// phone speaks SIP as text.
type phone struct {
	t    *testing.T
	conn net.PacketConn
	sent int // requests, each in a transaction of its own
}

func (h *house) phone(addr string) *phone {
	conn, err := h.ether.listen("udp", addr)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { conn.Close() })
	return &phone{t: h.t, conn: conn}
}

func (p *phone) request(method, callID string, cseq int, toTag, extra, body string) {
	to, err := net.ResolveUDPAddr("udp", usSIP)
	require.NoError(p.t, err)
	p.sent++
	tag := ""
	if toTag != "" {
		tag = ";tag=" + toTag
	}
	msg := fmt.Sprintf("%s sip:112@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%s%d%d;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:+79210000001@%s>;tag=f\r\nTo: <sip:112@%s>%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:a@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		method, usSIP, p.conn.LocalAddr(), callID, method, cseq, p.sent, p.conn.LocalAddr(), usSIP, tag, callID, cseq, method, p.conn.LocalAddr(), extra, len(body), body)
	_, err = p.conn.WriteTo([]byte(msg), to)
	require.NoError(p.t, err)
}

// heard gives the first lines of what has arrived by now.
func (p *phone) heard() (lines []string) {
	for {
		select {
		case d := <-p.conn.(*endpoint).in:
			line, _, _ := strings.Cut(string(d.octets), "\r\n")
			lines = append(lines, line)
		default:
			return lines
		}
	}
}

// wait takes messages until one starts so.
func (p *phone) wait(start string) string {
	p.t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case d := <-p.conn.(*endpoint).in:
			if strings.HasPrefix(string(d.octets), start) {
				return string(d.octets)
			}
		case <-limit:
			require.FailNow(p.t, "the phone hears nothing of the kind", start)
		}
	}
}

func toTag(answer string) string {
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "To:") {
			_, tag, _ := strings.Cut(strings.TrimSpace(line), ";tag=")
			return tag
		}
	}
	return ""
}
