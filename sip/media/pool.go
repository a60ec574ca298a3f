package media

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// ErrNoPort: every port of the range is in use or rests. Try again later.
var ErrNoPort = errors.New("no free RTP port")

//go:embed prompt/queue.al
var queuePrompt []byte

// Config is what a Pool needs. The zero value binds to the loopback interface on
// ports of the kernel's choice.
type Config struct {
	// Bind is the address of the sockets.
	Bind netip.Addr
	// Host is announced in SDP. When empty it is Bind, or, bound to every address,
	// what the caller of Open says.
	Host string
	// PortMin and PortMax bound the range, even ports only. Both 0: the kernel
	// chooses, which is for tests.
	PortMin, PortMax int
	// Quarantine is how long a port rests after a call while others are free, at
	// least shortRest of it even when none is; 30 s when 0.
	Quarantine time.Duration
	// SilenceAfter is when missing RTP is noted; 5 s when 0.
	SilenceAfter time.Duration
	// Pause is the silence between two rounds of the prompt; 4 s when 0.
	Pause time.Duration
	// Listen opens a socket; net.ListenPacket when nil.
	Listen func(network, address string) (net.PacketConn, error)

	Log     *zap.Logger
	Metrics prometheus.Registerer
}

// Pool hands out sessions. It is safe for concurrent use.
type Pool struct {
	cfg    Config
	log    *zap.Logger
	met    metrics
	prompt map[Codec][]byte

	mu   sync.Mutex
	free []port // oldest first; guarded by mu
}

type port struct {
	number int       // 0: the kernel chose
	since  time.Time // when it was given back
	former stream    // of the call that it was given back by
}

// shortRest is the least that a port rests: what is on its way when a call ends
// arrives within it. Without it a range of ports would carry only as many calls
// in 30 s as it has pairs, however short they are.
const shortRest = 2 * time.Second

// New checks the configuration. It opens nothing.
func New(cfg Config) (*Pool, error) {
	if !cfg.Bind.IsValid() {
		cfg.Bind = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if cfg.Host == "" && !cfg.Bind.IsUnspecified() {
		cfg.Host = cfg.Bind.String()
	}
	if cfg.Listen == nil {
		cfg.Listen = net.ListenPacket
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	cfg.Quarantine = cmp.Or(cfg.Quarantine, 30*time.Second)
	cfg.SilenceAfter = cmp.Or(cfg.SilenceAfter, 5*time.Second)
	cfg.Pause = cmp.Or(cfg.Pause, 4*time.Second)
	p := &Pool{
		cfg: cfg, log: cfg.Log.Named("sip.media"), met: newMetrics(cfg.Metrics),
		prompt: map[Codec][]byte{ALaw: queuePrompt, MuLaw: toMuLaw(queuePrompt)},
	}
	if cfg.PortMin == 0 && cfg.PortMax == 0 {
		return p, nil
	}
	if cfg.PortMin < 1024 || cfg.PortMax > 65535 || cfg.PortMin >= cfg.PortMax {
		return nil, fmt.Errorf("media: bad port range %d–%d", cfg.PortMin, cfg.PortMax)
	}
	for n := cfg.PortMin + cfg.PortMin%2; n < cfg.PortMax; n += 2 { // n+1 is its RTCP port
		p.free = append(p.free, port{number: n})
	}
	return p, nil
}

// Open gives a session with its socket bound. The caller must Run or Close it.
// host is announced when the configuration names none.
func (p *Pool) Open(host string) (*Session, error) {
	host = cmp.Or(p.cfg.Host, host)
	if p.cfg.PortMin == 0 {
		return p.open(port{}, host)
	}
	// Each port is tried once at most: another program may sit on some.
	for range (p.cfg.PortMax - p.cfg.PortMin + 1) / 2 {
		n, ok := p.take(time.Now())
		if !ok {
			break
		}
		s, err := p.open(n, host)
		if err == nil {
			return s, nil
		}
		p.log.Warn("RTP port cannot be opened", zap.Int("port", n.number), zap.Error(err))
		p.met.portErrors.Inc()
		p.release(n, time.Now())
	}
	return nil, ErrNoPort
}

func (p *Pool) open(n port, host string) (*Session, error) {
	conn, err := p.cfg.Listen("udp", net.JoinHostPort(p.cfg.Bind.String(), strconv.Itoa(n.number)))
	if err != nil {
		return nil, fmt.Errorf("open RTP port: %w", err)
	}
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("RTP socket's own address: %w", err)
	}
	p.met.sessions.Inc()
	return &Session{
		pool: p, conn: conn, reserved: n,
		local: Local{ID: uint64(rand.Uint32()), Version: 1, Host: host, Port: int(local.Port())},
		ssrc:  rand.Uint32(), seq: uint16(rand.Uint32()), stamp: rand.Uint32(),
	}, nil
}

// take removes the port that has rested longest, if it has rested enough.
func (p *Pool) take(now time.Time) (port, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return port{}, false
	}
	n := p.free[0]
	switch rested := now.Sub(n.since); {
	case rested < min(shortRest, p.cfg.Quarantine):
		return port{}, false
	case rested < p.cfg.Quarantine:
		p.met.early.Inc()
	}
	p.free = p.free[1:]
	return n, true
}

// release gives a port back; n.former is what was last heard on it.
func (p *Pool) release(n port, now time.Time) {
	if n.number == 0 {
		return
	}
	n.since = now
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, n)
}
