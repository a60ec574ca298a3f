package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"nabat/dispatch"
	"nabat/routing"
	"nabat/routing/kafka"
)

// listen runs the taking of replies until the returned function is called.
func (r *rig) listen(c *city) (stop func()) {
	r.t.Helper()
	replies := routing.NewReplies(routing.RepliesOptions{
		Consumer: func() (routing.Consumer, error) { return r.c.OpenReplies(kafka.Group, services) },
		Open:     r.openProducer, Taker: c, Log: r.log, Metrics: r.reg,
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan error, 1)
	go func() { done <- replies.Run(ctx) }()
	return func() {
		r.t.Helper()
		cancel()
		require.NoError(r.t, <-done)
	}
}

// say writes a record as a service's own system would.
func (r *rig) say(s dispatch.Service, key, value string) {
	r.t.Helper()
	cl := r.client(kgo.ProducerBatchMaxBytes(2 << 20))
	defer cl.Close()
	require.NoError(r.t, cl.ProduceSync(r.t.Context(), &kgo.Record{
		Topic: routing.RepliesTopic(s), Key: []byte(key), Value: []byte(value),
	}).FirstErr())
}

func reply(id string, in dispatch.IncidentID, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/dds/01","type":"city.nabat.reply.v1","subject":%q,"data":%s}`,
		id, in, data)
}

// committed waits until every record of the replies topics is committed.
func (r *rig) committed() {
	r.t.Helper()
	cl := r.client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	var topics []string
	for _, s := range services {
		topics = append(topics, routing.RepliesTopic(s))
	}
	var left int64
	for range 10_000 {
		ends, err := adm.ListEndOffsets(r.t.Context(), topics...)
		require.NoError(r.t, err)
		done, err := adm.FetchOffsetsForTopics(r.t.Context(), kafka.Group, topics...)
		require.NoError(r.t, err)
		left = 0
		ends.Each(func(o kadm.ListedOffset) {
			at := int64(0)
			if got, ok := done.Lookup(o.Topic, o.Partition); ok && got.At > 0 {
				at = got.At
			}
			left += o.Offset - at
		})
		if left == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatalf("%d records are not committed", left)
}

func (r *rig) results(s dispatch.Service, result string) float64 {
	families, err := r.reg.Gather()
	require.NoError(r.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "nabat_replies_total" && m.GetLabel()[0].GetValue() == result &&
				m.GetLabel()[1].GetValue() == string(s) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// A service's answers move its part of the card, each once, however often and
// over how many restarts they come.
func TestRepliesAreTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		id := c.open(t, alarm(dispatch.Fire, dispatch.Medical))
		stop := r.listen(c)
		for _, data := range []string{
			`{"status":"received"}`, `{"status":"accepted","orderNumber":"П-1","at":"2026-03-01T12:00:00+03:00"}`,
			`{"status":"en_route"}`, `{"status":"arrived"}`, `{"status":"working"}`, `{"status":"completed","comment":"потушено"}`,
		} {
			for range 3 {
				r.say(dispatch.Fire, id.String(), reply(data, id, data))
			}
			r.committed()
			stop()
			stop = r.listen(c)
		}
		r.say(dispatch.Medical, id.String(), reply("1", id, `{"status":"refused","comment":"нет бригад"}`))
		// The same id of another service is another reply.
		r.say(dispatch.Medical, id.String(), reply(`{"status":"received"}`, id, `{"status":"accepted"}`))
		r.committed()
		stop()

		a := c.assignment(t, id, dispatch.Fire)
		require.Equal(t, dispatch.Completed, a.State)
		require.Equal(t, "П-1", a.OrderNumber)
		require.Equal(t, "потушено", a.Comment)
		require.Equal(t, dispatch.Accepted, c.assignment(t, id, dispatch.Medical).State)
		require.InDelta(t, 6, r.results(dispatch.Fire, "taken"), 0)
		require.InDelta(t, 12, r.results(dispatch.Fire, "repeated"), 0)
		require.Empty(t, r.records(routing.DeadLetterTopic))
		moves := 0
		for _, e := range c.journal() {
			if e.Kind == dispatch.EventStatus && e.Actor == "service:fire" {
				moves++
			}
		}
		require.Equal(t, 6, moves)
	})
}

// An engine that died without leaving the group holds up its next life neither
// for long nor beyond the time that a stop has.
func TestDeadMemberIsSoonMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		id := c.open(t, alarm(dispatch.Fire))
		r.say(dispatch.Fire, id.String(), reply("1", id, `{"status":"accepted"}`))

		line := &cable{dial: r.net.DialContext, conns: map[net.Conn]bool{}}
		engine, err := kafka.New(kafka.Options{Brokers: r.fake.ListenAddrs(), Dial: line.Dial, Log: zap.NewNop()})
		require.NoError(t, err)
		dead, err := engine.OpenReplies(kafka.Group, services)
		require.NoError(t, err)
		got, err := dead.Poll(t.Context())
		require.NoError(t, err)
		require.Len(t, got, 1)
		line.Cut(true)
		defer dead.Close()

		died := time.Now()
		stop := r.listen(c)
		time.Sleep(time.Second) // it has asked to join
		asked := time.Now()
		stop()
		require.Less(t, time.Since(asked), 8*time.Second, "a stop")
		defer r.listen(c)()
		r.committed()
		require.Less(t, time.Since(died), 10*time.Second, "the services are heard")
		require.Equal(t, dispatch.Accepted, c.assignment(t, id, dispatch.Fire).State)
	})
}

// A service that numbers the replies of each incident anew loses none of them
// in silence: the second use of an id stands in the dead letters.
func TestIDOfAnotherIncidentIsBuried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		first, second := c.open(t, alarm(dispatch.Fire)), c.open(t, alarm(dispatch.Fire))
		defer r.listen(c)()
		r.say(dispatch.Fire, first.String(), reply("f1", first, `{"status":"accepted"}`))
		r.committed()
		again := reply("f1", second, `{"status":"accepted"}`)
		r.say(dispatch.Fire, second.String(), again)
		r.committed()
		require.NotEqual(t, dispatch.Accepted, c.assignment(t, second, dispatch.Fire).State)
		letters := r.records(routing.DeadLetterTopic)
		require.Len(t, letters, 1)
		var d routing.DeadLetter
		require.NoError(t, json.Unmarshal(parse(t, letters[0]).Data, &d))
		require.Equal(t, again, string(d.Value))
		require.Contains(t, d.Reason, `"f1" of source "/dds/01" was already used in a reply about incident `+first.String())
		require.InDelta(t, 1, r.results(dispatch.Fire, "refused"), 0)

		// Another source has its own ids.
		r.say(dispatch.Fire, second.String(), strings.Replace(again, "/dds/01", "/dds/02", 1))
		r.committed()
		require.Equal(t, dispatch.Accepted, c.assignment(t, second, dispatch.Fire).State)
	})
}

// What can never be taken goes to the dead letters with its bytes and where it
// came from, and what stands behind it is taken.
func TestNonsenseIsBuried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		id := c.open(t, alarm(dispatch.Fire))
		defer r.listen(c)()
		key := id.String() // one partition: each of these stands before the good one
		huge := strings.Repeat("ы", 500<<10)
		bad := []struct{ value, reason string }{
			{"{", "not a CloudEvent in JSON"},
			{"\xff\xfe", "not UTF-8"},
			{"", "not a CloudEvent in JSON"},
			{reply("b1", id, `{"status":"published"}`), `status "published" is none of`},
			{reply("b2", id, `{"status":"refused"}`), "a refusal must have a comment"},
			{reply("b3", id, `{"status":"arrived"}`), "assignment cannot go from"},
			{reply("b4", dispatch.NewIncidentID(), `{"status":"accepted"}`), "there is no incident"},
			{huge, "bytes; a reply has at most 65536"},
			{reply("b5", id, `{"status":"accepted","service":"police"}`), `unknown field "service"`},
		}
		for _, b := range bad {
			r.say(dispatch.Fire, key, b.value)
		}
		// The topic speaks for its service alone: police has no part in this.
		r.say(dispatch.Police, key, reply("b6", id, `{"status":"accepted"}`))
		r.say(dispatch.Fire, key, reply("good", id, `{"status":"accepted"}`))
		r.committed()

		require.Equal(t, dispatch.Accepted, c.assignment(t, id, dispatch.Fire).State)
		letters := r.records(routing.DeadLetterTopic)
		require.Len(t, letters, len(bad)+1)
		found := map[string]routing.DeadLetter{}
		for _, rec := range letters {
			var d routing.DeadLetter
			e := parse(t, rec)
			require.NoError(t, json.Unmarshal(e.Data, &d))
			require.Equal(t, key, string(d.Key))
			require.Equal(t, fmt.Sprintf("%s/%d/%d", d.Topic, *d.Partition, *d.Offset), e.ID)
			if d.Topic == routing.RepliesTopic(dispatch.Police) {
				require.Contains(t, d.Reason, "assigned to police")
				continue
			}
			found[string(d.Value)] = d
		}
		for _, b := range bad {
			require.Contains(t, found, b.value)
			require.Contains(t, found[b.value].Reason, b.reason)
			require.Equal(t, len(b.value), found[b.value].Size)
			require.False(t, found[b.value].Truncated)
		}
		require.InDelta(t, len(bad), r.results(dispatch.Fire, "refused"), 0)
		require.InDelta(t, 1, r.results(dispatch.Police, "refused"), 0)
	})
}

// While the database is away replies wait: nothing is skipped, nothing is
// committed, nothing is buried.
func TestDatabaseAwayWhileTaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		id := c.open(t, alarm(dispatch.Fire))
		stop := r.listen(c)
		c.setAway(errors.New("the database is away"))
		r.say(dispatch.Fire, id.String(), reply("1", id, `{"status":"accepted"}`))
		r.say(dispatch.Fire, id.String(), reply("2", id, `{"status":"arrived"}`))
		time.Sleep(10 * time.Minute) // longer than the group's patience
		require.Equal(t, dispatch.Added, c.assignment(t, id, dispatch.Fire).State)

		// The node dies in the middle; the next one starts where this one was.
		stop()
		stop = r.listen(c)
		time.Sleep(time.Minute)
		c.setAway(nil)
		r.committed()
		stop()
		require.Equal(t, dispatch.Arrived, c.assignment(t, id, dispatch.Fire).State)
		require.Empty(t, r.records(routing.DeadLetterTopic))
	})
}

// A broker that goes away while replies come loses none of them.
func TestBrokerAwayWhileTaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		defer r.listen(c)()
		var ids []dispatch.IncidentID
		for i := range 30 {
			id := c.open(t, alarm(dispatch.Fire))
			ids = append(ids, id)
			r.say(dispatch.Fire, id.String(), reply(id.String(), id, `{"status":"accepted"}`))
			r.cable.Cut(i%3 == 1)
			time.Sleep(time.Duration(i) * time.Second)
		}
		r.cable.Cut(false)
		r.committed()
		for _, id := range ids {
			require.Equal(t, dispatch.Accepted, c.assignment(t, id, dispatch.Fire).State)
		}
		require.InDelta(t, 30, r.results(dispatch.Fire, "taken"), 0)
	})
}
