package alarms

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"nabat/alarms/dc09"
	"nabat/dispatch"
)

const (
	// patience is how long a message waits for its commit. Then its sender hears
	// nothing and repeats; the writer gives up earlier by itself.
	patience = 25 * time.Second
	// seenEvery is how often «last seen» is flushed.
	seenEvery = 5 * time.Second
)

// Change is what is committed together: rows, and what they do to one card.
type Change struct {
	// Key keeps the order of one facility's work.
	Key  string
	Rows []Notification
	// Incident is zero when the rows touch no card; New says that Decide makes it.
	Incident dispatch.IncidentID
	New      bool
	Decide   dispatch.Decide
}

// Store keeps what the receiver decides.
type Store interface {
	// Save returns when everything is committed. dispatch.ErrNotFound and
	// *dispatch.TransitionError mean that the card takes no signal and nothing was
	// written; dispatch.ErrDuplicate that a row of this id is there already. After
	// any other error the change may or may not be there.
	Save(ctx context.Context, c Change) error
	// IncidentOf tells which card a stored notification is on; zero for none.
	IncidentOf(ctx context.Context, id dispatch.NotificationID, receivedAt time.Time) (dispatch.IncidentID, error)
	// Drafts tells which of some cards are drafts still.
	Drafts(ctx context.Context, ids []dispatch.IncidentID) ([]dispatch.IncidentID, error)
	// SaveSeen notes when panels were last heard.
	SaveSeen(ctx context.Context, at map[dispatch.PanelID]time.Time) error
}

// Memory is what the database remembers from before this process.
type Memory interface {
	// Originals lists the notifications since a time that are no repeats, oldest
	// first.
	Originals(ctx context.Context, since time.Time) ([]Notification, error)
	// OpenCards lists the cards of alarms that are still open.
	OpenCards(ctx context.Context) ([]OpenCard, error)
}

// Receiver decides what becomes of messages: see the package's doc.
type Receiver struct {
	store    Store
	registry *Registry
	router   dispatch.Router
	log      *zap.Logger
	refusals *zap.Logger // dispatch.Seldom
	metrics  *metrics
	window   *window
	cards    *cards
	crowd    crowd
	seen     seen
	loaded   atomic.Bool
}

// NewReceiver builds a receiver. It answers nobody until Load has run.
func NewReceiver(store Store, registry *Registry, router dispatch.Router, log *zap.Logger, reg prometheus.Registerer) *Receiver {
	r := &Receiver{
		store: store, registry: registry, router: router, log: log.Named("alarms"), refusals: dispatch.Seldom(log.Named("alarms")),
		window: newWindow(), cards: &cards{open: map[siteKey]*slot{}},
	}
	r.crowd.open = map[dispatch.IncidentID]bool{}
	r.seen.at = map[dispatch.PanelID]time.Time{}
	r.metrics = newMetrics(reg, func() float64 { return float64(r.window.early()) })
	return r
}

// Load takes over what the database remembers, so that a restart forgets no
// repeat and no open card. It must come before any listener opens.
func (r *Receiver) Load(ctx context.Context, from Memory, now time.Time) error {
	originals, err := from.Originals(ctx, now.Add(-Window))
	if err != nil {
		return fmt.Errorf("load the keys of repeats: %w", err)
	}
	for i := range originals {
		r.window.restore(&originals[i])
	}
	open, err := from.OpenCards(ctx)
	if err != nil {
		return fmt.Errorf("load open cards: %w", err)
	}
	for _, o := range open {
		r.cards.restore(o)
		if o.Draft && o.Facility.IsZero() && o.Account != "" {
			r.crowd.restore(o.Incident)
		}
	}
	r.loaded.Store(true)
	r.log.Info("receiver ready", zap.Int("panels", r.registry.Len()), zap.Int("repeat_keys", len(originals)), zap.Int("open_cards", len(open)))
	return nil
}

// Run flushes «last seen» until ctx ends, and a last time then.
func (r *Receiver) Run(ctx context.Context) error {
	tick := time.NewTicker(seenEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			r.flushSeen(ctx)
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), seenEvery)
	defer cancel()
	r.flushSeen(last)
	return nil
}

func (r *Receiver) flushSeen(ctx context.Context) {
	at := r.seen.drain()
	if len(at) == 0 {
		return
	}
	if err := r.store.SaveSeen(ctx, at); err != nil {
		r.metrics.seenFailed.Inc()
		r.log.Warn("last seen not saved, will be repeated", zap.Int("panels", len(at)), zap.Error(err))
		r.seen.putBack(at)
	}
}

// Answer takes one DC-09 frame and appends what its sender is to hear, which may
// be nothing. It blocks until the frame's events are committed.
func (r *Receiver) Answer(ctx context.Context, f dc09.Frame, peer string, at time.Time, out []byte) ([]byte, Verdict) {
	out, a := r.answer(ctx, f, peer, at, out)
	return out, a.Verdict
}

// Take stores the events of one message and decides about each.
func (r *Receiver) Take(ctx context.Context, m *Message) Verdict {
	v := []Verdict{0}
	r.takeAll(ctx, []*Message{m}, v)
	return v[0]
}

// takeAll takes messages of one account in their order, and sets their verdicts.
func (r *Receiver) takeAll(ctx context.Context, ms []*Message, verdicts []Verdict) {
	defer func() {
		for _, v := range verdicts {
			r.metrics.verdict[v].Inc()
		}
	}()
	for i := range verdicts {
		verdicts[i] = Fault
	}
	if !r.loaded.Load() {
		return
	}
	t := take{r: r, ms: ms, verdicts: verdicts}
	defer func() {
		// A panic costs these messages their answer, and nobody else anything.
		if p := recover(); p != nil {
			r.metrics.panics.Inc()
			r.log.Error("messages not stored: panic", zap.Any("panic", p), zap.String("account", ms[0].Account),
				zap.String("peer", ms[0].Peer), zap.Stack("stack"))
			t.abandon()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t.run(ctx)
}

// vouched finds the panel that stands behind a message, if one does, and counts
// what is unusual about the message.
func (r *Receiver) vouched(m *Message) *Panel {
	panel, known := r.registry.Panel(m.Account)
	if m.Link != "" {
		known = false
		r.metrics.mismatch.Inc()
		r.log.Warn("envelope and data name different accounts", zap.String("account", m.Account),
			zap.String("link", m.Link), zap.String("peer", m.Peer))
	}
	if m.ClockWrong {
		r.metrics.clockWrong.Inc()
	}
	if !known {
		if len(m.Events) > 0 {
			r.metrics.strangers.Inc()
		}
		return nil
	}
	r.seen.touch(panel.ID, m.ReceivedAt)
	return panel
}

// cardRefused tells that a card takes no signal and nothing was written.
func cardRefused(err error) bool {
	var move *dispatch.TransitionError
	return errors.Is(err, dispatch.ErrNotFound) || errors.As(err, &move)
}
