package routing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"nabat/dispatch"
)

// topicLoop publishes one topic. Three stages run beside each other, each one
// batch ahead of the next: read, send, and settle (mark cards, save the
// position). A full stage makes the one before it wait; the rows stay in the
// journal.
type topicLoop struct {
	*Relay
	topic   string
	service dispatch.Service // of the topic; empty for the journal's
	record  func(dispatch.Event) (Message, bool, error)
	log     *zap.Logger

	position atomic.Int64 // saved; -1 before it is loaded

	reading, sending, settling nuisance
}

// batch is a stretch of the journal on its way.
type batch struct {
	events []dispatch.Event
	upTo   int64
	// published is how many records of it the broker confirmed.
	published int
	// changes are what cards must show before the position may move.
	changes []change
}

type change struct {
	incident dispatch.IncidentID
	decide   dispatch.Decide
}

func (r *Relay) loop(topic string, s dispatch.Service, record func(dispatch.Event) (Message, bool, error)) *topicLoop {
	l := &topicLoop{Relay: r, topic: topic, service: s, record: record, log: r.log.With(zap.String("topic", topic))}
	l.position.Store(-1)
	for n, what := range map[*nuisance]string{
		&l.reading: "read the journal", &l.sending: "publish", &l.settling: "settle",
	} {
		stage, _, _ := strings.Cut(what, " ")
		n.what, n.log, n.count = what, l.log, r.metrics.retried.WithLabelValues(topic, stage)
	}
	return l
}

func (l *topicLoop) run(ctx context.Context) error {
	// A client of its own: one topic that hangs in the broker holds no other.
	producer, err := l.o.Open(l.sending.failed)
	if err != nil {
		return err
	}
	defer producer.Close()
	var from int64
	err = insist(ctx, &l.reading, func() (err error) {
		from, err = l.o.Cursors.Load(ctx, l.topic)
		return err
	})
	if err != nil {
		return err
	}
	l.position.Store(from)

	read, sent := make(chan batch), make(chan batch)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.read(ctx, from, read) })
	group.Go(func() error { return l.send(ctx, producer, read, sent) })
	group.Go(func() error { return l.settle(ctx, sent) })
	return group.Wait()
}

// read follows the journal.
func (l *topicLoop) read(ctx context.Context, after int64, out chan<- batch) error {
	for {
		woken := l.o.Wake.C()
		var events []dispatch.Event
		err := insist(ctx, &l.reading, func() (err error) {
			events, err = l.o.Journal.Events(ctx, after, batchLimit)
			return err
		})
		if err != nil {
			return err
		}
		if len(events) > 0 {
			after = events[len(events)-1].Seq
			select {
			case <-ctx.Done():
				return ctx.Err()
			case out <- batch{events: events, upTo: after}:
			}
			continue
		}
		poll := time.NewTimer(pollEvery)
		select {
		case <-ctx.Done():
		case <-woken:
		case <-poll.C:
		}
		poll.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// outgoing is an event's record.
type outgoing struct {
	event   dispatch.Event
	message Message
}

// send publishes a batch in waves. A wave has at most one record of an
// incident, and the next one starts when all of it is confirmed or buried: so
// the order within an incident holds even when the broker refuses a record and
// takes the one behind it, while different incidents share round trips.
func (l *topicLoop) send(ctx context.Context, p Producer, in <-chan batch, out chan<- batch) error {
	for {
		var b batch
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b = <-in:
		}
		records, err := l.records(ctx, p, &b)
		if err != nil {
			return err
		}
		for _, wave := range waves(records) {
			if err := l.publish(ctx, p, wave, &b); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case out <- b:
		}
	}
}

// records makes a batch's records. An event whose data cannot be read becomes a
// dead letter: the topic must go on.
func (l *topicLoop) records(ctx context.Context, p Producer, b *batch) ([]outgoing, error) {
	var out []outgoing
	for _, e := range b.events {
		m, hears, err := l.record(e)
		if err != nil {
			m = Message{Topic: l.topic, Key: []byte(e.Incident.String()), Value: e.Data}
			if err := l.bury(ctx, p, outgoing{e, m}, err, b); err != nil {
				return nil, err
			}
			continue
		}
		if hears {
			out = append(out, outgoing{e, m})
		}
	}
	return out, nil
}

// waves splits records so that no wave has two of one incident, in order.
func waves(records []outgoing) [][]outgoing {
	var out [][]outgoing
	next := map[dispatch.IncidentID]int{}
	for _, r := range records {
		n := next[r.event.Incident]
		if n == len(out) {
			out = append(out, nil)
		}
		out[n] = append(out[n], r)
		next[r.event.Incident] = n + 1
	}
	return out
}

// publish sends a wave until each record is confirmed or refused for good.
func (l *topicLoop) publish(ctx context.Context, p Producer, wave []outgoing, b *batch) error {
	left := wave
	alone := false
	return insist(ctx, &l.sending, func() error {
		var again, refused []outgoing
		var retry error
		for _, part := range parts(left, alone) {
			for i, err := range l.try(ctx, p, part) {
				switch {
				case err == nil:
					l.confirmed(part[i].event, b)
				case errors.Is(err, ErrRefused) && len(part) == 1:
					if err := l.bury(ctx, p, part[i], err, b); err != nil {
						return err
					}
				case errors.Is(err, ErrRefused):
					// Perhaps only its neighbours were too much: once more, alone.
					refused = append(refused, part[i])
				default:
					again, retry = append(again, part[i]), err
				}
			}
		}
		left = slices.Concat(again, refused)
		alone = alone || len(refused) > 0
		if retry == nil && len(refused) > 0 {
			retry = ErrRefused
		}
		return retry
	})
}

// parts is a wave as a whole, or record by record.
func parts(wave []outgoing, alone bool) [][]outgoing {
	if !alone {
		return [][]outgoing{wave}
	}
	out := make([][]outgoing, len(wave))
	for i := range wave {
		out[i] = wave[i : i+1]
	}
	return out
}

// try publishes and, while nothing comes back, says so now and then.
func (l *topicLoop) try(ctx context.Context, p Producer, part []outgoing) []error {
	ms := make([]Message, len(part))
	for i, r := range part {
		ms[i] = r.message
	}
	quiet := time.AfterFunc(silence, func() { l.sending.failed(errSilence) })
	defer quiet.Stop()
	return p.Publish(ctx, ms)
}

var errSilence = errors.New("the broker has not confirmed for " + silence.String())

// confirmed notes that the broker has the record.
func (l *topicLoop) confirmed(e dispatch.Event, b *batch) {
	l.metrics.published.WithLabelValues(l.topic).Inc()
	b.published++
	if l.service != "" && e.Kind == dispatch.EventAssigned {
		b.changes = append(b.changes, change{e.Incident, dispatch.MarkPublished(l.service, time.Now())})
	}
}

// bury writes a dead letter and has the assignment show that it could not be
// delivered. It only fails when ctx ends: a record is never dropped.
func (l *topicLoop) bury(ctx context.Context, p Producer, o outgoing, reason error, b *batch) error {
	err := writeDeadLetter(ctx, p, &l.sending, l.topic+"/"+o.event.ID.String(), DeadLetter{
		Reason: reason.Error(), Topic: l.topic, Key: o.message.Key, Value: o.message.Value, At: time.Now(),
	})
	if err != nil {
		return err
	}
	l.metrics.dead.WithLabelValues(l.topic).Inc()
	l.log.Error("a record can never be published; it is in the dead letters",
		zap.Stringer("incident", o.event.Incident), zap.Stringer("event", o.event.ID), zap.Error(reason))
	if l.service != "" {
		b.changes = append(b.changes, change{
			o.event.Incident, dispatch.MarkUndeliverable(l.service, reason.Error(), time.Now()),
		})
	}
	return nil
}

// settle marks the cards of a batch and saves the position, in that order: a
// crash in between repeats records and never leaves a card unmarked. The
// journal's own topic, and stretches that the service need not hear of, have
// their position saved about once a second: what a crash repeats there is short
// and recognised by its id.
func (l *topicLoop) settle(ctx context.Context, in <-chan batch) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	pending := l.position.Load()
	for {
		var important bool
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-in:
			if err := l.mark(ctx, b.changes); err != nil {
				return err
			}
			pending = b.upTo
			important = l.service != "" && b.published > 0 || len(b.changes) > 0
		case <-ticker.C:
			important = true
		}
		if !important || pending == l.position.Load() {
			continue
		}
		err := insist(ctx, &l.settling, func() error { return l.o.Cursors.Save(ctx, l.topic, pending) })
		if err != nil {
			return err
		}
		l.position.Store(pending)
	}
}

func (l *topicLoop) mark(ctx context.Context, changes []change) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(markers)
	for _, c := range changes {
		group.Go(func() error {
			return insist(ctx, &l.settling, func() error {
				err := l.o.Cards.Change(ctx, c.incident, c.decide)
				var impossible *dispatch.TransitionError
				switch {
				case errors.Is(err, dispatch.ErrUnchanged):
					return nil
				case errors.Is(err, dispatch.ErrNotFound), errors.As(err, &impossible):
					l.log.Error("the journal tells of an assignment that the card does not have",
						zap.Stringer("incident", c.incident), zap.Error(err))
					return nil
				}
				return err
			})
		})
	}
	return group.Wait()
}
