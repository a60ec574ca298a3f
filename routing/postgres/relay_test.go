package postgres_test

import (
	"context"
	"errors"
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

	stop := start()
	first := b.alarm(t, dispatch.Fire, dispatch.Medical)
	require.Equal(t, first.String(), string(next().Key))
	require.Eventually(t, func() bool { return state(first) == dispatch.Published }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, service.ProduceSync(t.Context(), &kgo.Record{
		Topic: routing.RepliesTopic(dispatch.Fire), Key: []byte(first.String()),
		Value: []byte(`{"specversion":"1.0","id":"r-1","source":"/dds","type":"city.nabat.reply.v1","subject":"` +
			first.String() + `","data":{"status":"accepted","orderNumber":"7"}}`),
	}).FirstErr())
	require.Eventually(t, func() bool { return state(first) == dispatch.Accepted }, 20*time.Second, 10*time.Millisecond)
	last, err := b.cards.LastSeq(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		at, err := b.s.Load(t.Context(), routing.JournalTopic)
		return err == nil && at == last
	}, 20*time.Second, 10*time.Millisecond)
	stop()

	second := b.alarm(t, dispatch.Fire)
	defer start()()
	require.Equal(t, second.String(), string(next().Key), "and not the first one again")
}
