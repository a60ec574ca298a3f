package caller

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Payload types of G.711 (RFC 3551 §6).
const (
	pcmu = 0
	pcma = 8
)

// Heard is what came from the other side.
type Heard struct {
	Packets int64         `json:"packets"`
	Foreign int64         `json:"foreign,omitempty"` // no RTP of an agreed codec
	Loud    int64         `json:"loud"`              // packets with a voice or a tone in them
	Missing int64         `json:"missing,omitempty"` // gaps in the sequence numbers
	First   time.Duration `json:"firstNs"`           // after the call was answered
}

// Silent tells that nothing but silence, or nothing at all, was heard.
func (h Heard) Silent() bool { return h.Loud == 0 }

// sound is one call's media: a UDP socket, a sender and a listener.
type sound struct {
	conn *net.UDPConn
	wg   sync.WaitGroup
	stop context.CancelFunc

	mu       sync.Mutex
	heard    Heard
	answered time.Time
	last     int // sequence number, -1 before the first
}

// openSound takes a port on the local address. Nothing is sent yet.
func openSound(local string) (*sound, error) {
	host, _, err := net.SplitHostPort(local)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		return nil, fmt.Errorf("open a port for sound: %w", err)
	}
	return &sound{conn: conn, last: -1}, nil
}

// offer is the SDP of the call: A-law and mu-law, both directions.
func (s *sound) offer(session uint64) []byte {
	a, _ := s.conn.LocalAddr().(*net.UDPAddr)
	family := "IP4"
	if a.IP.To4() == nil {
		family = "IP6"
	}
	return fmt.Appendf(nil, "v=0\r\no=caller %d 1 IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n"+
		"m=audio %d RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n",
		session, family, a.IP, family, a.IP, a.Port)
}

// errSDP is an answer that no sound can follow.
var errSDP = errors.New("unusable SDP answer")

// parseAnswer reads where sound goes and how it is coded.
func parseAnswer(body []byte) (to *net.UDPAddr, payload byte, err error) {
	var host, media string
	for line := range strings.SplitSeq(string(body), "\n") {
		line = strings.TrimRight(line, "\r")
		if v, ok := strings.CutPrefix(line, "c="); ok {
			f := strings.Fields(v)
			if len(f) == 3 && (host == "" || media != "") {
				host = f[2] // the media's own line counts more than the session's
			}
		}
		if v, ok := strings.CutPrefix(line, "m="); ok && media == "" {
			media = v
		}
	}
	f := strings.Fields(media)
	ip := net.ParseIP(host)
	if len(f) < 4 || f[0] != "audio" || ip == nil {
		return nil, 0, fmt.Errorf("%w: %q", errSDP, body)
	}
	port, err := strconv.Atoi(f[1])
	if err != nil || port <= 0 || port > 65535 {
		return nil, 0, fmt.Errorf("%w: port %q", errSDP, f[1])
	}
	for _, pt := range f[3:] {
		switch pt {
		case "8":
			return &net.UDPAddr{IP: ip, Port: port}, pcma, nil
		case "0":
			return &net.UDPAddr{IP: ip, Port: port}, pcmu, nil
		}
	}
	return nil, 0, fmt.Errorf("%w: no G.711 in %q", errSDP, media)
}

const (
	frameTime    = 20 * time.Millisecond
	frameSamples = 160
)

// start begins to send and to hear.
func (s *sound) start(ctx context.Context, to *net.UDPAddr, payload byte) {
	ctx, s.stop = context.WithCancel(ctx)
	s.mu.Lock()
	s.answered = time.Now()
	s.mu.Unlock()
	s.wg.Go(func() { s.send(ctx, to, payload) })
	s.wg.Go(func() { s.listen(payload) })
}

// close ends the sound and says what was heard.
func (s *sound) close() Heard {
	if s.stop != nil {
		s.stop()
	}
	s.conn.Close()
	s.wg.Wait()
	return s.heard
}

// send hums: a quiet square wave is voice enough for any detector.
func (s *sound) send(ctx context.Context, to *net.UDPAddr, payload byte) {
	packet := make([]byte, 12+frameSamples)
	packet[0], packet[1] = 0x80, payload|0x80 // the first packet is marked (RFC 3551 §4.1)
	seq, stamp := rand.Uint32(), rand.Uint32()
	binary.BigEndian.PutUint32(packet[8:], rand.Uint32())
	for i := range frameSamples {
		packet[12+i] = 0xB5
		if i/10%2 == 0 {
			packet[12+i] = 0x35
		}
	}
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for {
		binary.BigEndian.PutUint16(packet[2:], uint16(seq))
		binary.BigEndian.PutUint32(packet[4:], stamp)
		if _, err := s.conn.WriteToUDP(packet, to); errors.Is(err, net.ErrClosed) {
			return
		}
		packet[1] = payload
		seq++
		stamp += frameSamples
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *sound) listen(payload byte) {
	buf := make([]byte, 2048)
	for {
		n, _, err := s.conn.ReadFromUDP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			s.hear(buf[:n], payload)
		}
	}
}

func (s *sound) hear(p []byte, payload byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p) < 12 || p[0]>>6 != 2 || p[1]&0x7F != payload {
		s.heard.Foreign++
		return
	}
	head := 12 + 4*int(p[0]&0x0F)
	if p[0]&0x10 != 0 && len(p) >= head+4 {
		head += 4 + 4*int(binary.BigEndian.Uint16(p[head+2:]))
	}
	if head > len(p) {
		s.heard.Foreign++
		return
	}
	if s.heard.Packets == 0 {
		s.heard.First = time.Since(s.answered)
	}
	s.heard.Packets++
	seq := int(binary.BigEndian.Uint16(p[2:]))
	if gap := (seq - s.last - 1) & 0xFFFF; s.last >= 0 && gap < 1000 {
		s.heard.Missing += int64(gap)
	}
	s.last = seq
	if loud(p[head:], payload) {
		s.heard.Loud++
	}
}

// loud tells sound from silence: the mean level above that of line noise.
func loud(samples []byte, payload byte) bool {
	if len(samples) == 0 {
		return false
	}
	sum := 0
	for _, b := range samples {
		sum += level(b, payload)
	}
	return sum/len(samples) > 64
}

// level is a sample's absolute value on a scale of 32,768 (ITU-T G.711).
func level(b, payload byte) int {
	if payload == pcma {
		b ^= 0x55
		exp, low := int(b>>4)&7, int(b&0x0F)<<4+8
		if exp == 0 {
			return low
		}
		return (low + 0x100) << (exp - 1)
	}
	b = ^b
	return (int(b&0x0F)<<3+0x84)<<(int(b>>4)&7) - 0x84
}
