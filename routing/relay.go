package routing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"nabat/dispatch"
)

// Journal is the part of the store that the relay follows.
type Journal interface {
	// Events gives the lines after a place, in order; «seq > after» skips nothing.
	Events(ctx context.Context, after int64, limit int) ([]dispatch.Event, error)
	// LastSeq is the place of the newest line.
	LastSeq(ctx context.Context) (int64, error)
}

// Wake hints that the journal has grown.
type Wake interface {
	// C is closed at the next hint: taken before reading, waited on after.
	C() <-chan struct{}
}

// Cursors remember how far each topic has been published.
type Cursors interface {
	Load(ctx context.Context, topic string) (int64, error)
	Save(ctx context.Context, topic string, seq int64) error
}

// Cards changes a card in one transaction.
type Cards interface {
	Change(ctx context.Context, id dispatch.IncidentID, d dispatch.Decide) error
}

// ErrRefused is the broker's last word on a record: too large, invalid.
// Whatever else goes wrong is tried again for ever.
var ErrRefused = errors.New("refused by the broker")

// Producer writes to the broker with acks=all, idempotently.
type Producer interface {
	// Publish returns once every message is confirmed or has failed, with one
	// error a message: nil, ErrRefused, or one to try again after. When ctx
	// ends it returns at once.
	Publish(ctx context.Context, ms []Message) []error
	// Close drops what was not sent yet.
	Close()
}

// OpenProducer makes a connection of its own to the broker. trouble is called,
// from any goroutine, for each attempt that failed and will be repeated.
type OpenProducer func(trouble func(error)) (Producer, error)

// RelayOptions is what a relay is made of.
type RelayOptions struct {
	Journal  Journal
	Wake     Wake
	Cursors  Cursors
	Cards    Cards
	Open     OpenProducer
	Services []dispatch.Service
	Log      *zap.Logger
	Metrics  prometheus.Registerer // may be nil
}

// Bounds of the relay.
const (
	// batchLimit is how many lines are read and sent at a time.
	batchLimit = 500
	// pollEvery is how long a missed wake-up can delay a record.
	pollEvery = 400 * time.Millisecond
	// firstPause and longestPause bound the waiting between tries.
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	// silence is how long the broker may leave a record unconfirmed before
	// people hear that the topic is stuck.
	silence = 5 * time.Second
	// markers is how many cards are marked as published at the same time; the
	// store's group commit makes few transactions of them.
	markers = 64
	// lagEvery is how often the lag is measured.
	lagEvery = 5 * time.Second
)

// Relay publishes the journal. Run it only while holding the lease.
type Relay struct {
	o       RelayOptions
	log     *zap.Logger
	metrics relayMetrics
}

type relayMetrics struct {
	published, retried, dead *prometheus.CounterVec
	lag                      *prometheus.GaugeVec
}

// NewRelay checks the options and starts nothing.
func NewRelay(o RelayOptions) (*Relay, error) {
	for _, s := range o.Services {
		if !s.Valid() {
			return nil, fmt.Errorf("service %q cannot be part of a topic's name", s)
		}
	}
	return &Relay{o: o, log: o.Log.Named("routing.relay"), metrics: relayMetrics{
		published: counterVec(o.Metrics, "nabat_relay_published_total",
			"Records that the broker confirmed.", "topic"),
		retried: counterVec(o.Metrics, "nabat_relay_retried_total",
			"Attempts that failed, or waits without an answer, and are repeated.", "topic", "stage"),
		dead: counterVec(o.Metrics, "nabat_relay_deadlettered_total",
			"Records that the broker refused for good.", "topic"),
		lag: gaugeVec(o.Metrics, "nabat_relay_lag_events",
			"Lines of the journal that the topic's position is behind.", "topic"),
	}}, nil
}

// Run publishes until ctx ends, which is when the lease is lost: it then drops
// what is on its way and returns nil. Another node sends it again.
func (r *Relay) Run(ctx context.Context) error {
	defer r.metrics.lag.Reset() // another node's to tell from now on
	group, gctx := errgroup.WithContext(ctx)
	var loops []*topicLoop
	for _, s := range r.o.Services {
		loops = append(loops, r.loop(IncidentsTopic(s), s,
			func(e dispatch.Event) (Message, bool, error) { return incidentMessage(e, s) }))
	}
	loops = append(loops, r.loop(JournalTopic, "", journalMessage))
	for _, l := range loops {
		group.Go(func() error { return l.run(gctx) })
	}
	group.Go(func() error { r.measure(gctx, loops); return nil })
	err := group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// measure keeps the lag gauges, by the positions that are saved.
func (r *Relay) measure(ctx context.Context, loops []*topicLoop) {
	for {
		if last, err := r.o.Journal.LastSeq(ctx); err == nil {
			for _, l := range loops {
				if p := l.position.Load(); p >= 0 {
					r.metrics.lag.WithLabelValues(l.topic).Set(float64(max(0, last-p)))
				}
			}
		}
		if !pause(ctx, lagEvery) {
			return
		}
	}
}
