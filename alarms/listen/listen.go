package listen

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"nabat/alarms"
	"nabat/alarms/dc09"
	"nabat/dispatch"
)

// Intake takes frames that one sender sent one after another, blocks until their
// events are committed, and appends what the sender is to hear, in their order;
// done gets what became of each. The frames' octets are the caller's again
// afterwards.
type Intake interface {
	AnswerAll(ctx context.Context, fs []dc09.Frame, peer string, at time.Time, out []byte, done []alarms.Answered) ([]byte, []alarms.Answered)
}

// DefaultMaxConns bounds the TCP connections where Options does not.
const DefaultMaxConns = 20_000

// Options are the bounds of a listener. Zero values take the defaults.
type Options struct {
	// MaxConns bounds the TCP connections; DefaultMaxConns.
	MaxConns int
	// PerSource bounds the TCP connections of one IPv4 address or one IPv6 network
	// of 64 bits; a quarter of MaxConns, because a receiver behind one address may
	// carry many panels.
	PerSource int
	// FirstFrame is how long a connection may go without its first frame; 30 s.
	FirstFrame time.Duration
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
	// Together is how many frames of one connection may be answered together; 64.
	Together int
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
	num(&o.PerSource, max(o.MaxConns/4, 1))
	def(&o.FirstFrame, 30*time.Second)
	num(&o.Together, 64)
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
	bad     *zap.Logger // what others do wrong or too much of; dispatch.Seldom
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
	log = log.Named("alarms.listen")
	return &Server{
		intake: intake, log: log, bad: dispatch.Seldom(log), metrics: metrics, opts: opts.withDefaults(),
		tcp: metrics.frames.WithLabelValues("tcp"), udp: metrics.frames.WithLabelValues("udp"),
	}
}

// refuse counts octets that are no frame, and says whose they were.
func (s *Server) refuse(err error, n int, peer string) {
	s.metrics.refused(err, n)
	s.bad.Warn("no frame: dropped without an answer", zap.String("peer", peer), zap.Int("octets", n), zap.Error(err))
}

// answer hands frames in and appends their replies; shown is the best that they
// say of their sender. What was begun is finished whatever ends the listener, so
// ctx is one that does not end with it; the intake bounds how long that takes. A
// panic costs these frames their answer, and nobody else anything.
func (s *Server) answer(ctx context.Context, fs []dc09.Frame, peer string, out []byte) (replies []byte, shown standing) {
	for _, f := range fs {
		if f.Form != dc09.CRCHex || f.Quirks != 0 {
			s.metrics.forgiven(f)
		}
	}
	defer func() {
		if r := recover(); r != nil {
			s.metrics.panics.Inc()
			s.log.Error("frames not answered: panic", zap.Any("panic", r), zap.String("peer", peer), zap.Stack("stack"))
			replies = out[:0]
		}
	}()
	var room [4]alarms.Answered
	at := time.Now()
	replies, done := s.intake.AnswerAll(ctx, fs, peer, at, out, room[:0])
	took := time.Since(at).Seconds()
	shown = stranger
	for _, a := range done {
		s.metrics.reply[a.Verdict.Reply()].Inc()
		s.metrics.latency.Observe(took)
		if a.Known {
			shown = known
		}
	}
	return replies, shown
}
