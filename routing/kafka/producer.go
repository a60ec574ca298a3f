package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"nabat/routing"
)

// maxRecord bounds what the client sends at all. It is the limit of the
// dead-letter topic; other topics keep the broker's own, and the broker refuses.
const maxRecord = 4 << 20

// maxBatch keeps a batch below the default limit of a broker (1 MiB), so that
// small records are never refused for being together.
const maxBatch = 900 << 10

// contentType marks the JSON structured mode (CloudEvents Kafka binding 1.0.2 §3.3).
const contentType = "application/cloudevents+json; charset=UTF-8"

// Producer writes records; a routing.Producer.
type Producer struct {
	open func() (*kgo.Client, error)

	mu     sync.Mutex
	client *kgo.Client
	closed bool
}

// OpenProducer makes a producer with a connection of its own. trouble hears of
// failed dials and broken requests, which the client repeats by itself.
func (c *Cluster) OpenProducer(trouble func(error)) (*Producer, error) {
	p := &Producer{open: func() (*kgo.Client, error) {
		return c.client(
			kgo.RequiredAcks(kgo.AllISRAcks()), // idempotence is the client's default
			kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
				if topic == routing.DeadLetterTopic {
					return maxRecord
				}
				return maxBatch
			}),
			kgo.ProducerLinger(0),       // the relay hands in whole batches; a lone alarm must not wait
			kgo.UnknownTopicRetries(-1), // somebody will create it
			kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()),
			kgo.WithHooks(troubleHook{trouble}),
		)
	}}
	var err error
	p.client, err = p.open()
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Publish sends messages and waits for each. When ctx ends it returns at once;
// the messages without an answer may or may not have arrived.
func (p *Producer) Publish(ctx context.Context, ms []routing.Message) []error {
	p.mu.Lock()
	client := p.client
	p.mu.Unlock()

	type answer struct {
		i   int
		err error
	}
	answers := make(chan answer, len(ms)) // never blocks a promise
	for i, m := range ms {
		r := &kgo.Record{
			Topic: m.Topic, Key: m.Key, Value: m.Value,
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte(contentType)}},
		}
		client.Produce(ctx, r, func(_ *kgo.Record, err error) { answers <- answer{i, err} })
	}
	errs := make([]error, len(ms))
	for i := range errs {
		errs[i] = context.Canceled // until answered
	}
	var broken bool
	for range ms {
		select {
		case a := <-answers:
			errs[a.i] = verdict(a.err)
			broken = broken || a.err != nil && !errors.Is(errs[a.i], routing.ErrRefused)
		case <-ctx.Done():
			return errs
		}
	}
	if broken && ctx.Err() == nil {
		p.renew(client)
	}
	return errs
}

// renew replaces a client that gave up. It repeats by itself whatever can be
// repeated, so an error that it hands out may be one that it never leaves again
// (a producer id that the broker fenced, say).
func (p *Producer) renew(broken *kgo.Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.client != broken {
		return
	}
	if fresh, err := p.open(); err == nil {
		p.client = fresh
		broken.Close()
	}
}

// Close drops what is on its way.
func (p *Producer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.client.Close()
}

// final are the errors that say of a record that it can never be taken.
var final = []error{
	kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp,
	kerr.UnsupportedForMessageFormat, kerr.InvalidTopicException,
}

// verdict turns the client's error into routing's words.
func verdict(err error) error {
	for _, f := range final {
		if errors.Is(err, f) {
			return fmt.Errorf("%w: %w", routing.ErrRefused, err)
		}
	}
	return err
}

// troubleHook listens to the client for what it repeats by itself.
type troubleHook struct {
	tell func(error)
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (h troubleHook) OnBrokerConnect(m kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil && !ours(err) {
		h.tell(fmt.Errorf("reach broker %s:%d: %w", m.Host, m.Port, err))
	}
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (h troubleHook) OnBrokerE2E(m kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if err := e.Err(); err != nil && !ours(err) {
		h.tell(fmt.Errorf("%s at broker %s:%d: %w", kmsg.NameForKey(key), m.Host, m.Port, err))
	}
}

// ours tells failures that we bring about ourselves when we stop.
func ours(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed)
}
