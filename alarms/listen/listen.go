package listen

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"nabat/alarms"
	"nabat/alarms/dc09"
)

// Intake takes one frame, blocks until its events are committed, and appends
// what the sender is to hear, which may be nothing. The frame's octets are the
// caller's again afterwards.
type Intake interface {
	Answer(ctx context.Context, f dc09.Frame, peer string, at time.Time, out []byte) ([]byte, alarms.Verdict)
}

// DefaultMaxConns bounds the TCP connections where Options does not.
const DefaultMaxConns = 20_000

// Options are the bounds of a listener. Zero values take the defaults.
type Options struct {
	// MaxConns bounds the TCP connections; DefaultMaxConns.
	MaxConns int
	// Idle is how long a connection may say nothing; 25 h, because panels are
	// allowed a link test a day.
	Idle time.Duration
	// Pause is how long a frame may stop half-way before its length is read in
	// other ways; 400 ms.
	Pause time.Duration
	// FrameTimeout is how long a frame may take from its first octet; 5 s.
	FrameTimeout time.Duration
	// WriteTimeout bounds one reply; 10 s.
	WriteTimeout time.Duration
	// Workers is the number of UDP workers, which bounds how many datagrams may
	// share a commit; 1,024. Each has a queue of Backlog, 64.
	Workers, Backlog int
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	num := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	num(&o.MaxConns, DefaultMaxConns)
	def(&o.Idle, 25*time.Hour)
	def(&o.Pause, 400*time.Millisecond)
	def(&o.FrameTimeout, 5*time.Second)
	def(&o.WriteTimeout, 10*time.Second)
	num(&o.Workers, 1024)
	num(&o.Backlog, 64)
	return o
}

// Server is what the listeners of one process share.
type Server struct {
	intake  Intake
	log     *zap.Logger
	metrics *Metrics
	opts    Options
	tcp     prometheus.Counter
	udp     prometheus.Counter
}

// New builds a server; it starts nothing.
func New(intake Intake, log *zap.Logger, metrics *Metrics, opts Options) *Server {
	if metrics == nil {
		metrics = NewMetrics(nil)
	}
	return &Server{
		intake: intake, log: log.Named("alarms.listen"), metrics: metrics, opts: opts.withDefaults(),
		tcp: metrics.frames.WithLabelValues("tcp"), udp: metrics.frames.WithLabelValues("udp"),
	}
}

// answer hands one frame in and appends its reply. What was begun is finished
// whatever ends the listener, so ctx is one that does not end with it; the intake
// bounds how long that takes. A panic costs this frame
// its answer, and nobody else anything.
func (s *Server) answer(ctx context.Context, f dc09.Frame, peer string, out []byte) (reply []byte) {
	if f.Form != dc09.CRCHex || f.Quirks != 0 {
		s.metrics.forgiven(f)
	}
	defer func() {
		if r := recover(); r != nil {
			s.metrics.panics.Inc()
			s.log.Error("frame not answered: panic", zap.Any("panic", r), zap.String("peer", peer), zap.Stack("stack"))
			reply = out[:0]
		}
	}()
	at := time.Now()
	reply, verdict := s.intake.Answer(ctx, f, peer, at, out)
	s.metrics.reply[verdict.Reply()].Inc()
	s.metrics.latency.Observe(time.Since(at).Seconds())
	return reply
}
