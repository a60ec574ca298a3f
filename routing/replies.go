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

// Incoming is a record as the broker gave it.
type Incoming struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
}

// Consumer reads the replies topics as a member of a group.
type Consumer interface {
	// Poll waits for records. What it gave is not given again, to this member or
	// after a restart, once Commit has succeeded.
	Poll(ctx context.Context) ([]Incoming, error)
	Commit(ctx context.Context) error
	Close()
}

// Taker applies a reply in one transaction with the note that it was taken.
type Taker interface {
	// TakeReply returns dispatch.ErrDuplicate for a reply that was taken before,
	// dispatch.ErrUnchanged for one that changes nothing, dispatch.ErrNotFound
	// where there is no such incident or no assignment of the service, a
	// *dispatch.TransitionError or *dispatch.FieldError for one that can never
	// be applied: ReusedID for one whose source and id belong to a reply about
	// another incident. Every other error is worth another try.
	TakeReply(ctx context.Context, s dispatch.Service, r Reply, d dispatch.Decide) error
}

// ReusedID is what is wrong with a reply whose source and id were those of a
// reply about another incident. To pass over it as a repeat would lose it.
func ReusedID(r Reply, earlier dispatch.IncidentID) *dispatch.FieldError {
	return &dispatch.FieldError{
		Field:  "id",
		Reason: fmt.Sprintf("%q of source %q was already used in a reply about incident %s", r.ID, r.Source, earlier),
	}
}

// RepliesOptions is what the taking of replies is made of.
type RepliesOptions struct {
	Consumer func() (Consumer, error)
	Open     OpenProducer // for dead letters
	Taker    Taker
	Log      *zap.Logger
	Metrics  prometheus.Registerer // may be nil
}

// takers is how many incidents' replies are applied at the same time.
const takers = 64

// Replies takes what services answer. Every node runs it: the broker's group
// shares the partitions out.
type Replies struct {
	o       RepliesOptions
	log     *zap.Logger
	results *prometheus.CounterVec

	polling, taking, committing, burying nuisance
}

// NewReplies starts nothing.
func NewReplies(o RepliesOptions) *Replies {
	r := &Replies{o: o, log: o.Log.Named("routing.replies")}
	r.results = counterVec(o.Metrics, "nabat_replies_total",
		"Replies of services by what became of them: taken, repeated, refused.", "service", "result")
	retried := counterVec(o.Metrics, "nabat_replies_retried_total",
		"Attempts that failed and are repeated.", "stage")
	for n, what := range map[*nuisance][2]string{
		&r.polling: {"poll", "read the replies"}, &r.taking: {"take", "store replies"},
		&r.committing: {"commit", "commit the offsets"}, &r.burying: {"bury", "write dead letters"},
	} {
		n.what, n.log, n.count = what[1], r.log, retried.WithLabelValues(what[0])
	}
	return r
}

// Run takes replies until ctx ends.
func (r *Replies) Run(ctx context.Context) error {
	consumer, err := r.o.Consumer()
	if err != nil {
		return fmt.Errorf("read replies: %w", err)
	}
	defer consumer.Close()
	producer, err := r.o.Open(r.burying.failed)
	if err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	defer producer.Close()
	for r.round(ctx, consumer, producer) == nil { // only ctx ends a round
	}
	return nil
}

// round takes what one poll gives and then commits. Its error is that of ctx.
func (r *Replies) round(ctx context.Context, c Consumer, p Producer) error {
	var records []Incoming
	err := insist(ctx, &r.polling, func() (err error) {
		records, err = c.Poll(ctx)
		if len(records) > 0 {
			return nil // an error of another partition comes again
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	// One incident's replies in their order, different ones side by side.
	type line struct {
		topic    string
		incident dispatch.IncidentID
	}
	lines := map[line][]func(context.Context) error{}
	for _, in := range records {
		reply, err := ParseReply(in.Value)
		service, known := repliesOf(in.Topic)
		if err == nil && !known {
			err = fmt.Errorf("topic %s is nobody's", in.Topic)
		}
		at := line{in.Topic, reply.Incident}
		if err != nil {
			lines[at] = append(lines[at], func(ctx context.Context) error { return r.refuse(ctx, p, in, err) })
			continue
		}
		lines[at] = append(lines[at], func(ctx context.Context) error { return r.take(ctx, p, in, service, reply) })
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(takers)
	for _, steps := range lines {
		group.Go(func() error {
			for _, step := range steps {
				if err := step(gctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	// A commit that fails for good (the partitions went to another member
	// meanwhile) makes the broker give the records again, and they are known.
	if err := c.Commit(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.committing.failed(err)
		return nil
	}
	r.committing.over()
	return nil
}

// take applies one reply, waiting for the database as long as it takes.
func (r *Replies) take(ctx context.Context, p Producer, in Incoming, s dispatch.Service, reply Reply) error {
	decide := dispatch.TakeReply(dispatch.Reply{
		Service: s, To: reply.Status, OrderNumber: reply.OrderNumber, Comment: reply.Comment,
		By: dispatch.Actor("service:" + string(s)), At: time.Now(),
	})
	var final error
	err := insist(ctx, &r.taking, func() error {
		err := r.o.Taker.TakeReply(ctx, s, reply, decide)
		final = nil
		var transition *dispatch.TransitionError
		var field *dispatch.FieldError
		switch {
		case err == nil:
			r.count(s, "taken")
			return nil
		case errors.Is(err, dispatch.ErrDuplicate), errors.Is(err, dispatch.ErrUnchanged):
			r.count(s, "repeated")
			return nil
		case errors.Is(err, dispatch.ErrNotFound):
			final = fmt.Errorf("there is no incident %s that is assigned to %s", reply.Incident, s)
			return nil
		case errors.As(err, &transition):
			final = transition
			return nil
		case errors.As(err, &field):
			final = field
			return nil
		}
		return err
	})
	if err != nil || final == nil {
		return err
	}
	return r.refuse(ctx, p, in, final)
}

func (r *Replies) count(s dispatch.Service, result string) {
	r.results.WithLabelValues(string(s), result).Inc()
}

// refuse writes a dead letter; its id names the record, so that a repeat after
// a crash is recognised.
func (r *Replies) refuse(ctx context.Context, p Producer, in Incoming, reason error) error {
	id := fmt.Sprintf("%s/%d/%d", in.Topic, in.Partition, in.Offset)
	err := writeDeadLetter(ctx, p, &r.burying, id, DeadLetter{
		Reason: reason.Error(), Topic: in.Topic, Partition: &in.Partition, Offset: &in.Offset,
		Key: in.Key, Value: in.Value, At: time.Now(),
	})
	if err != nil {
		return err
	}
	service, _ := repliesOf(in.Topic)
	r.count(service, "refused")
	r.log.Warn("a reply cannot be taken; it is in the dead letters", zap.String("topic", in.Topic),
		zap.Int32("partition", in.Partition), zap.Int64("offset", in.Offset), zap.Error(reason))
	return nil
}
