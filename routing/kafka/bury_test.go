package kafka_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"nabat/dispatch"
	"nabat/routing"
)

// An event that cannot be read is buried by each topic that it might concern,
// and what follows it is published.
func TestUnreadableEventIsBuried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		id := c.open(t, alarm(dispatch.Fire))
		c.mu.Lock()
		for i := range c.events {
			if c.events[i].Kind == dispatch.EventAssigned {
				c.events[i].Data = []byte(`{"card":`)
			}
		}
		c.mu.Unlock()
		defer r.start(c)()
		require.NoError(t, c.Change(t.Context(), id, signal()))
		r.deliver(c, allTopics()...)

		topics := map[string]bool{}
		for _, rec := range r.records(routing.DeadLetterTopic) {
			var d routing.DeadLetter
			require.NoError(t, json.Unmarshal(parse(t, rec).Data, &d))
			require.JSONEq(t, `"eyJjYXJkIjo="`, string(mustJSON(t, d.Value)), "the octets as they are stored")
			topics[d.Topic] = true
		}
		for _, topic := range allTopics() {
			require.True(t, topics[topic], topic)
		}
		require.Len(t, r.records(routing.IncidentsTopic(dispatch.Fire)), 1, "the signal went on")
		require.Contains(t, c.assignment(t, id, dispatch.Fire).Undeliverable, "data of event")
	})
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return raw
}

// A dead letter that the broker refuses as a whole is kept cut short, with the
// whole's size and hash.
func TestHugeDeadLetterIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		defer r.listen(c)()
		r.fake.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: routing.DeadLetterTopic, Err: kerr.MessageTooLarge, Count: 1,
		})
		huge := strings.Repeat("x", 600<<10)
		r.say(dispatch.Fire, "k", huge)
		r.committed()
		letters := r.records(routing.DeadLetterTopic)
		require.Len(t, letters, 1)
		var d routing.DeadLetter
		require.NoError(t, json.Unmarshal(parse(t, letters[0]).Data, &d))
		require.True(t, d.Truncated)
		require.Equal(t, len(huge), d.Size)
		require.Equal(t, huge[:64<<10], string(d.Value))
	})
}

// A wake-up, not the poll, carries an alarm: it is on its topic in no time.
func TestAlarmIsPublishedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		defer r.start(c)()
		c.open(t, alarm(dispatch.Fire))
		r.deliver(c, allTopics()...)
		time.Sleep(time.Minute) // everybody waits
		at := time.Now()
		id := c.open(t, alarm(dispatch.Fire))
		synctest.Wait()
		require.Equal(t, dispatch.Published, c.assignment(t, id, dispatch.Fire).State)
		require.Zero(t, time.Since(at), "nothing waited for a timer")
	})
}

// What the metrics say of a quiet, healthy relay.
func TestMetricsAreWellFormed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		defer r.start(c)()
		c.open(t, alarm(dispatch.Fire))
		r.deliver(c, allTopics()...)
		time.Sleep(10 * time.Second)
		problems, err := testutil.GatherAndLint(r.reg)
		require.NoError(t, err)
		require.Empty(t, problems)
		require.Zero(t, r.counter("nabat_relay_lag_events", routing.JournalTopic))
		require.InDelta(t, float64(len(c.journal())), r.counter("nabat_relay_published_total", routing.JournalTopic), 0)
	})
}
