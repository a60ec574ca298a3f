package media

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtp"
	"go.uber.org/zap"
)

const (
	frame       = 20 * time.Millisecond
	frameOctets = 160 // 8000 samples a second, one octet each
	maxBehind   = 10 * frame
)

// Session is the sound of one call.
type Session struct {
	pool     *Pool
	conn     net.PacketConn
	reserved port

	// Only the player's goroutine touches these.
	ssrc  uint32
	seq   uint16
	stamp uint32

	mu      sync.Mutex
	local   Local
	remote  Remote // guarded by mu
	latched stream // the caller's packets, guarded by mu
	stats   Stats  // guarded by mu
	closed  bool   // guarded by mu
}

// stream is a sender of RTP: its address, and the number it gave itself.
type stream struct {
	from netip.AddrPort
	ssrc uint32
}

// Stats are a session's counts.
type Stats struct {
	Received, Sent, Foreign, Late, Invalid uint64
	Silences                               int
	LastReceived                           time.Time
}

// Local is our side for SDP.
func (s *Session) Local() Local {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.local
}

// Stats gives the counts so far.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// SetRemote takes a new description of the other side. Another address than
// before opens the latch again. It tells whether our next description must be a
// new version.
func (s *Session) SetRemote(r Remote) (changed bool) {
	s.mu.Lock()
	old := s.remote
	s.remote = r
	if old.Addr != r.Addr && r.Addr.IsValid() {
		s.latched = stream{}
	}
	changed = old.Codec != "" && (old.Codec != r.Codec || old.Payload != r.Payload || old.Direction != r.Direction ||
		old.Telephone != r.Telephone || len(old.lines) != len(r.lines))
	if changed {
		s.local.Version++
	}
	s.mu.Unlock()
	return changed
}

// Close gives the port back. Run does it itself; Close is for a session that was
// never run. A second Close does nothing.
func (s *Session) Close() {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	if s.latched.from.IsValid() {
		s.reserved.former = s.latched
	}
	s.mu.Unlock()
	if was {
		return
	}
	s.conn.Close()
	s.pool.release(s.reserved, time.Now())
	s.pool.met.sessions.Dec()
}

// Run plays the prompt and takes the caller's packets until ctx ends. log names
// the call.
func (s *Session) Run(ctx context.Context, log *zap.Logger) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.Close()
	wg.Go(s.read)
	s.play(ctx, log)
}

// read takes packets until the socket is closed.
func (s *Session) read() {
	buf := make([]byte, 2048)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || s.isClosed() {
				return
			}
			// A datagram socket may report an ICMP error of an earlier packet; the
			// next read can work. A broken one must not spin.
			time.Sleep(frame)
			continue
		}
		if src, err := netip.ParseAddrPort(from.String()); err == nil {
			s.take(buf[:n], netip.AddrPortFrom(src.Addr().Unmap(), src.Port()), time.Now())
		}
	}
}

func (s *Session) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// take counts one packet and latches onto the caller: onto the address that its
// description names, else onto the first valid source. What still comes from the
// call that had the port before is neither heard nor answered.
func (s *Session) take(b []byte, from netip.AddrPort, now time.Time) {
	var h rtp.Header
	_, err := h.Unmarshal(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	described := from == s.remote.Addr
	switch sent := (stream{from, h.SSRC}); {
	case err != nil || h.Version != 2 || !s.agreed(h.PayloadType):
		s.stats.Invalid++
		s.pool.met.invalid.Inc()
		return
	case sent == s.reserved.former && !described:
		s.stats.Late++
		s.pool.met.late.Inc()
		return
	case described, !s.latched.from.IsValid(), s.latched.from == from:
		s.latched = sent
	default:
		s.stats.Foreign++
		s.pool.met.foreign.Inc()
		return
	}
	s.stats.Received++
	s.stats.LastReceived = now
	s.pool.met.received.Inc()
}

// agreed: the codec, telephone events, and comfort noise (RFC 3389) which some
// gateways send without asking.
func (s *Session) agreed(pt uint8) bool {
	return s.remote.Codec != "" && (pt == s.remote.Payload || int(pt) == s.remote.Telephone || pt == 13)
}

// sound is what the player needs to know for one frame.
type sound struct {
	to      net.Addr
	codec   Codec
	payload uint8
	on      bool
}

func (s *Session) sound() sound {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := s.remote.Addr
	if s.latched.from.IsValid() {
		to = s.latched.from
	}
	return sound{
		to: net.UDPAddrFromAddrPort(to), codec: s.remote.Codec, payload: s.remote.Payload,
		on: to.IsValid() && s.remote.Codec != "" && s.remote.Hears(),
	}
}

// play sends the prompt in 20 ms packets on a clock of its own: each packet's
// moment is counted from the start, so that no delay adds up.
func (s *Session) play(ctx context.Context, log *zap.Logger) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	marker, heard := true, start
	silent := false
	played := 0 // frames of the prompt
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		// After a stall the frames that are late are left out, not sent in a burst:
		// the timestamp moves on, the sequence does not (RFC 3550 §5.1).
		if behind := now.Sub(start.Add(time.Duration(n) * frame)); behind > maxBehind {
			skip := int(behind / frame)
			n, s.stamp, marker = n+skip, s.stamp+uint32(skip*frameOctets), true
		}
		if snd := s.sound(); snd.on {
			s.send(snd, played, marker)
			marker = false
			played++
		} else {
			marker = true // what follows is the start of a talkspurt
		}
		s.stamp += frameOctets
		heard, silent = s.watch(log, now, heard, silent)
		n++
		timer.Reset(time.Until(start.Add(time.Duration(n) * frame)))
	}
}

func (s *Session) send(snd sound, played int, marker bool) {
	prompt := s.pool.prompt[snd.codec]
	p := rtp.Packet{
		Header: rtp.Header{
			Version: 2, Marker: marker, PayloadType: snd.payload,
			SequenceNumber: s.seq, Timestamp: s.stamp, SSRC: s.ssrc,
		},
		Payload: promptFrame(prompt, played, s.pool.cfg.Pause, snd.codec.silence()),
	}
	s.seq++
	b, err := p.Marshal()
	if err == nil {
		_, err = s.conn.WriteTo(b, snd.to)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.pool.met.sendErrors.Inc()
		return
	}
	s.stats.Sent++
	s.pool.met.sent.Inc()
}

// promptFrame is the n-th frame of the prompt, repeated for ever with a pause.
// The pause is sent as silence: a stream without gaps keeps address translators
// and impatient gateways content.
func promptFrame(prompt []byte, n int, pause time.Duration, silence byte) []byte {
	round := (len(prompt)+frameOctets-1)/frameOctets + int(pause/frame)
	from := min(n%round*frameOctets, len(prompt))
	out := make([]byte, frameOctets)
	for i := copy(out, prompt[from:]); i < frameOctets; i++ {
		out[i] = silence
	}
	return out
}

// watch notes a spell without RTP from the caller, once.
func (s *Session) watch(log *zap.Logger, now, heard time.Time, silent bool) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats.LastReceived.After(heard) {
		if silent {
			log.Info("caller's RTP is back")
		}
		return s.stats.LastReceived, false
	}
	if !silent && now.Sub(heard) >= s.pool.cfg.SilenceAfter {
		s.stats.Silences++
		s.pool.met.silences.Inc()
		log.Warn("no RTP from the caller; the call goes on", zap.Duration("since", now.Sub(heard)))
		return heard, true
	}
	return heard, silent
}
