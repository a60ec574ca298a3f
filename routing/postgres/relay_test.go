package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap/zaptest"

	"nabat/dispatch"
	store "nabat/dispatch/postgres"
	"nabat/routing"
	"nabat/routing/kafka"
)

// The whole way out and back on a real database: an alarm's record on the
// service's topic, the mark on the card, the reply, and no record twice after a
// restart.
func TestOutAndBack(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	log := zaptest.NewLogger(t)
	broker, err := kfake.NewCluster(kfake.NumBrokers(1)) // on a port that the kernel chose
	require.NoError(t, err)
	defer broker.Close()
	services := []dispatch.Service{dispatch.Fire, dispatch.Medical}
	cluster, err := kafka.New(kafka.Options{Brokers: broker.ListenAddrs(), Log: log})
	require.NoError(t, err)
	_, err = cluster.EnsureTopics(t.Context(), services)
	require.NoError(t, err)

	open := func(trouble func(error)) (routing.Producer, error) { return cluster.OpenProducer(trouble) }
	start := func() (stop func()) {
		relay, err := routing.NewRelay(routing.RelayOptions{
			Journal: b.cards, Wake: store.NewWake(), Cursors: b.s, Cards: b.s, Open: open,
			Services: services, Log: log, Metrics: prometheus.NewRegistry(),
		})
		require.NoError(t, err)
		replies := routing.NewReplies(routing.RepliesOptions{
			Consumer: func() (routing.Consumer, error) { return cluster.OpenReplies(kafka.Group, services) },
			Open:     open, Taker: b.s, Log: log,
		})
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 2)
		go func() { done <- relay.Run(ctx) }()
		go func() { done <- replies.Run(ctx) }()
		return func() {
			cancel()
			require.NoError(t, errors.Join(<-done, <-done))
		}
	}
	state := func(id dispatch.IncidentID) dispatch.AssignmentState {
		card, err := b.cards.Card(t.Context(), id)
		require.NoError(t, err)
		a, _ := card.Assignment(dispatch.Fire)
		return a.State
	}

	service, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...),
		kgo.ConsumeTopics(routing.IncidentsTopic(dispatch.Fire)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer service.Close()
	next := func() *kgo.Record {
		for {
			fetches := service.PollRecords(t.Context(), 1)
			require.NoError(t, fetches.Err())
			if records := fetches.Records(); len(records) > 0 {
				return records[0]
			}
		}
	}

	stop := sync.OnceFunc(start())
	defer stop()
	first := b.alarm(t, dispatch.Fire, dispatch.Medical)
	require.Equal(t, first.String(), string(next().Key))
	until(t, func() bool { return state(first) == dispatch.Published })
	require.NoError(t, service.ProduceSync(t.Context(), &kgo.Record{
		Topic: routing.RepliesTopic(dispatch.Fire), Key: []byte(first.String()),
		Value: []byte(`{"specversion":"1.0","id":"r-1","source":"/dds","type":"city.nabat.reply.v1","subject":"` +
			first.String() + `","data":{"status":"accepted","orderNumber":"7"}}`),
	}).FirstErr())
	until(t, func() bool { return state(first) == dispatch.Accepted })
	last, err := b.cards.LastSeq(t.Context())
	require.NoError(t, err)
	until(t, func() bool {
		at, err := b.s.Load(t.Context(), routing.JournalTopic)
		return err == nil && at >= last
	})
	stop()

	second := b.alarm(t, dispatch.Fire)
	defer start()()
	require.Equal(t, second.String(), string(next().Key), "and not the first one again")
}

// until waits for something that other goroutines bring about; only the test's
// own time limit ends it, because a busy machine may be slow.
func until(t *testing.T, so func() bool) {
	t.Helper()
	for !so() {
		select {
		case <-t.Context().Done():
			t.Fatal("the test is over")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
