package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"nabat/dispatch"
	"nabat/routing"
)

// Group is the consumer group of the engine's nodes.
const Group = "nabat"

// maxPoll bounds how many records are taken at a time; the rest stays at the
// broker.
const maxPoll = 500

// session is how long the broker waits for a sign of life before it gives a dead
// member's partitions to others. Nobody hears the services meanwhile, and who
// joins or leaves waits too, so it is far less than a service's 30 s and than a
// stop's 10 s; a broker as it is shipped allows no less. A member that was only
// slow comes back, and repeats are recognised.
const session = 6 * time.Second

// Consumer reads the replies topics of some services; a routing.Consumer.
type Consumer struct {
	client *kgo.Client
}

// OpenReplies joins the group on the replies topics of the services.
func (c *Cluster) OpenReplies(group string, services []dispatch.Service) (*Consumer, error) {
	topics := make([]string, len(services))
	for i, s := range services {
		topics[i] = routing.RepliesTopic(s)
	}
	cl, err := c.client(
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), // what a service took back never happened
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(session),
		kgo.HeartbeatInterval(session/6),
		// Between a poll and its commit nobody else is given the same records.
		kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return nil, err
	}
	return &Consumer{cl}, nil
}

// Poll waits for records. An error of one partition does not hide the records
// of another.
func (c *Consumer) Poll(ctx context.Context) ([]routing.Incoming, error) {
	c.client.AllowRebalance()
	fetches := c.client.PollRecords(ctx, maxPoll)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var errs error
	fetches.EachError(func(topic string, partition int32, err error) {
		errs = errors.Join(errs, fmt.Errorf("%s/%d: %w", topic, partition, err))
	})
	out := make([]routing.Incoming, 0, fetches.NumRecords())
	fetches.EachRecord(func(r *kgo.Record) {
		out = append(out, routing.Incoming{
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value,
		})
	})
	return out, errs
}

// Commit tells the broker that everything polled so far is done with.
func (c *Consumer) Commit(ctx context.Context) error {
	if err := c.client.CommitUncommittedOffsets(ctx); err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	return nil
}

// Close leaves the group.
func (c *Consumer) Close() { c.client.CloseAllowingRebalance() }
