package engine_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// service is a duty service's own system on Kafka.
type service struct {
	t    *testing.T
	name string
	c    *kgo.Client
}

func (h *house) service(name string) *service {
	c, err := kgo.NewClient(kgo.SeedBrokers(h.broker.ListenAddrs()...), kgo.Dialer(h.net.DialContext),
		kgo.ConsumeTopics("nabat.incidents."+name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(h.t, err)
	return &service{h.t, name, c}
}

type record struct {
	ID, Type, Subject string
	Data              map[string]any
}

// next waits for a record that satisfies want.
func (s *service) next(what string, want func(r record) bool) record {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		fetches := s.c.PollFetches(ctx)
		require.NoError(s.t, ctx.Err(), "no record: %s", what)
		for it := fetches.RecordIter(); !it.Done(); {
			k := it.Next()
			var r record
			require.NoError(s.t, json.Unmarshal(k.Value, &r))
			require.Equal(s.t, r.Subject, string(k.Key))
			if want(r) {
				return r
			}
		}
	}
}

func (s *service) reply(incident, status, order string) {
	body, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": uuid.NewString(), "source": "/service/" + s.name, "type": "city.nabat.reply.v1",
		"subject": incident, "time": time.Now().UTC().Format(time.RFC3339Nano), "datacontenttype": "application/json",
		"data": map[string]any{"status": status, "orderNumber": order},
	})
	require.NoError(s.t, err)
	require.NoError(s.t, s.c.ProduceSync(s.t.Context(), &kgo.Record{Topic: "nabat.replies." + s.name, Key: []byte(incident), Value: body}).FirstErr())
}
