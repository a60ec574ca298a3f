package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"nabat/dispatch"
	"nabat/routing"
)

// start runs a relay until the returned function is called.
func (r *rig) start(c *city) (stop func()) {
	r.t.Helper()
	relay, err := routing.NewRelay(routing.RelayOptions{
		Journal: c, Wake: c, Cursors: c, Cards: c, Open: r.openProducer, Services: services,
		Log: r.log, Metrics: r.reg,
	})
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx) }()
	return func() {
		r.t.Helper()
		cancel()
		require.NoError(r.t, <-done)
	}
}

// heard checks promise P5 on a topic against the journal: nothing lost, nothing
// made up, repeats only with the same id, first sights in order per incident.
func (r *rig) heard(c *city, topic string, s dispatch.Service) (repeats int) {
	r.t.Helper()
	want := map[string][]string{} // incident → ids in order
	for _, e := range c.journal() {
		hears := true
		if s != "" {
			var err error
			_, hears, err = routing.Project(e, s)
			require.NoError(r.t, err)
		}
		if hears {
			want[e.Incident.String()] = append(want[e.Incident.String()], e.ID.String())
		}
	}
	got := map[string][]string{}
	seen := map[string]bool{}
	for _, rec := range r.records(topic) {
		e := parse(r.t, rec)
		if seen[e.ID] {
			repeats++
			continue
		}
		seen[e.ID] = true
		got[e.Subject] = append(got[e.Subject], e.ID)
	}
	require.Equal(r.t, want, got, topic)
	return repeats
}

func (r *rig) heardAll(c *city) (repeats int) {
	r.t.Helper()
	for _, s := range services {
		repeats += r.heard(c, routing.IncidentsTopic(s), s)
	}
	return repeats + r.heard(c, routing.JournalTopic, "")
}

// deliver waits until positions have reached the end of the journal.
func (r *rig) deliver(c *city, topics ...string) {
	r.t.Helper()
	for range 10_000 {
		synctest.Wait()
		behind := false
		for _, topic := range topics {
			last, _ := c.LastSeq(r.t.Context())
			behind = behind || c.cursor(topic) < last
		}
		if !behind {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatalf("not delivered: %v of %d", c.cursors, len(c.journal()))
}

func allTopics() []string {
	topics := []string{routing.JournalTopic}
	for _, s := range services {
		topics = append(topics, routing.IncidentsTopic(s))
	}
	return topics
}

func TestEachServiceHearsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		defer r.start(c)()
		id := c.open(t, alarm(dispatch.Fire, dispatch.Medical), signal())
		c.open(t, call(dispatch.Police)...)
		r.deliver(c, allTopics()...)

		require.Equal(t, dispatch.Published, c.assignment(t, id, dispatch.Fire).State)
		require.NoError(t, c.Change(t.Context(), id, dispatch.TakeReply(dispatch.Reply{
			Service: dispatch.Medical, To: dispatch.Refused, Comment: "нет бригад", OrderNumber: "М-17",
			By: "service:medical", At: time.Now(),
		})))
		require.NoError(t, c.Change(t.Context(), id, dispatch.Cancel("ложный вызов", "operator:petrova", time.Now())))
		r.deliver(c, allTopics()...)
		require.Zero(t, r.heardAll(c))

		var kinds []string
		for _, rec := range r.records(routing.IncidentsTopic(dispatch.Fire)) {
			e := parse(t, rec)
			kinds = append(kinds, e.Type)
			require.Equal(t, id.String(), e.Subject)
			require.Equal(t, "/nabat/incidents/fire", e.Source)
			// Nothing of the medical service's words, of people or of the panel.
			for _, secret := range []string{"нет бригад", "М-17", "petrova", "1234"} {
				require.NotContains(t, string(rec.Value), secret)
			}
		}
		require.Equal(t, []string{
			"city.nabat.incident.assigned.v1", "city.nabat.incident.signal.v1", "city.nabat.incident.cancelled.v1",
		}, kinds)

		var p routing.Projection
		require.NoError(t, json.Unmarshal(parse(t, r.records(routing.IncidentsTopic(dispatch.Fire))[0]).Data, &p))
		require.Equal(t, "проверка", p.Assignment.Why)
		require.Equal(t, "a test", p.Assignment.WhyEN)
		require.Equal(t, 3, p.Assignment.Ruleset)
		require.Equal(t, "Школа № 5", p.Card.FacilityName)
		require.InDelta(t, 59.93, *p.Card.Lat, 1e-9)
		require.InDelta(t, len(kinds), r.counter("nabat_relay_published_total", "nabat.incidents.fire"), 0)
	})
}

// counter reads a metric of a topic.
func (r *rig) counter(name, topic string) float64 {
	families, err := r.reg.Gather()
	require.NoError(r.t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "topic" && l.GetValue() == topic {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

// The journal's records carry what is needed to check the chain.
func TestJournalTopicKeepsTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		defer r.start(c)()
		c.open(t, append(call(dispatch.Police), dispatch.SendForm(
			dispatch.Form{Type: new(dispatch.TypeCrime), Place: new("<у метро> & рядом"), Description: new("«драка» \u2028")},
			to{dispatch.Medical}, "operator:ivanova", time.Now()))...)
		r.deliver(c, allTopics()...)
		events := map[string]dispatch.Event{}
		for _, e := range c.journal() {
			events[e.ID.String()] = e
		}
		lines := r.records(routing.JournalTopic)
		require.Len(t, lines, len(events))
		for _, rec := range lines {
			e := parse(t, rec)
			var line routing.JournalLine
			require.NoError(t, json.Unmarshal(e.Data, &line))
			require.Equal(t, string(events[e.ID].Data), string(line.Details), "to the byte, or the hash is worth nothing")
		}
	})
}

// Promise P1 and P5 over a broker that goes away and comes back: nothing is
// lost, order holds, and people hear of it once, not once per try.
func TestBrokerOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		defer r.start(c)()
		ids := []dispatch.IncidentID{c.open(t, alarm(dispatch.Fire))}
		r.deliver(c, allTopics()...)

		r.cable.Cut(true)
		for range 20 {
			ids = append(ids, c.open(t, alarm(dispatch.Fire, dispatch.Medical), signal()))
			time.Sleep(10 * time.Second)
		}
		require.Equal(t, dispatch.Added, c.assignment(t, ids[5], dispatch.Fire).State, "nothing confirmed it")
		require.Positive(t, r.counter("nabat_relay_lag_events", routing.JournalTopic))
		require.Positive(t, r.counter("nabat_relay_retried_total", routing.JournalTopic))
		r.cable.Cut(false)
		r.deliver(c, allTopics()...)
		r.heardAll(c)
		for _, id := range ids {
			require.Equal(t, dispatch.Published, c.assignment(t, id, dispatch.Fire).State)
		}
		stuck := 0
		for _, l := range r.logs.All() {
			if strings.Contains(l.Message, "cannot publish") {
				stuck++
			}
		}
		require.LessOrEqual(t, stuck, len(allTopics()), "told once per topic")
		require.Positive(t, stuck)
	})
}

// The relay is stopped at random moments, as by a lost lease, while the cable
// breaks now and then, and another one goes on: nothing is lost and repeats
// have the same id.
func TestRestartInTheMiddle(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			r, c := newRig(t, 1), newCity()
			defer r.fake.Close()
			stop := r.start(c)
			for range 30 {
				id := c.open(t, alarm(services[rng.IntN(3)], dispatch.Fire))
				if rng.IntN(2) == 0 {
					require.NoError(t, c.Change(t.Context(), id, signal()))
				}
				time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
				switch rng.IntN(5) {
				case 0:
					stop()
					stop = r.start(c)
				case 1:
					r.cable.Cut(true)
				case 2:
					r.cable.Cut(false)
				}
			}
			r.cable.Cut(false)
			r.deliver(c, allTopics()...)
			stop()
			r.heardAll(c)
			for _, s := range services {
				for _, rec := range r.records(routing.IncidentsTopic(s)) {
					id, err := dispatch.ParseIncidentID(string(rec.Key))
					require.NoError(t, err)
					require.Equal(t, dispatch.Published, c.assignment(t, id, s).State)
				}
			}
		})
	}
}

// A topic that its broker cannot replicate holds its own service and nobody else.
func TestStuckTopicHoldsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 3), newCity()
		defer r.fake.Close()
		defer r.start(c)()
		topic := routing.IncidentsTopic(dispatch.Fire)
		fault := r.fake.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1,
		})
		id := c.open(t, alarm(dispatch.Fire, dispatch.Medical))
		var others []string
		for _, name := range allTopics() {
			if name != topic {
				others = append(others, name)
			}
		}
		r.deliver(c, others...)
		time.Sleep(time.Minute)
		r.heard(c, routing.IncidentsTopic(dispatch.Medical), dispatch.Medical)
		require.Equal(t, dispatch.Published, c.assignment(t, id, dispatch.Medical).State)
		require.Equal(t, dispatch.Added, c.assignment(t, id, dispatch.Fire).State)
		require.Empty(t, r.records(topic))
		require.Zero(t, c.cursor(topic))
		require.Positive(t, r.counter("nabat_relay_retried_total", topic))
		require.Zero(t, r.counter("nabat_relay_retried_total", routing.IncidentsTopic(dispatch.Medical)))

		fault.Remove()
		r.deliver(c, topic)
		r.heardAll(c)
		require.Equal(t, dispatch.Published, c.assignment(t, id, dispatch.Fire).State)
	})
}

// What the broker refuses for good goes to the dead letters, the card says so,
// and the topic goes on.
func TestRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		defer r.start(c)()
		topic := routing.IncidentsTopic(dispatch.Police)
		fault := r.fake.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.MessageTooLarge, Count: -1,
		})
		bad := []dispatch.IncidentID{
			c.open(t, alarm(dispatch.Police, dispatch.Fire)), c.open(t, alarm(dispatch.Police)),
		}
		r.deliver(c, allTopics()...)
		fault.Remove()
		good := c.open(t, alarm(dispatch.Police))
		r.deliver(c, allTopics()...)

		for _, id := range bad {
			a := c.assignment(t, id, dispatch.Police)
			require.Contains(t, a.Undeliverable, "MESSAGE_TOO_LARGE")
			require.Equal(t, dispatch.Added, a.State)
		}
		require.Empty(t, c.assignment(t, bad[0], dispatch.Fire).Undeliverable)
		require.Equal(t, dispatch.Published, c.assignment(t, good, dispatch.Police).State)
		require.Len(t, r.records(topic), 1)
		letters := r.records(routing.DeadLetterTopic)
		require.Len(t, letters, 2)
		for _, rec := range letters {
			var d routing.DeadLetter
			require.NoError(t, json.Unmarshal(parse(t, rec).Data, &d))
			require.Equal(t, topic, d.Topic)
			require.Nil(t, d.Offset)
			require.Contains(t, d.Reason, "MESSAGE_TOO_LARGE")
			var original event
			require.NoError(t, json.Unmarshal(d.Value, &original))
			require.Equal(t, string(d.Key), original.Subject)
		}
		require.InDelta(t, 2, r.counter("nabat_relay_deadlettered_total", topic), 0)
	})
}

// A batch that was refused as a whole is sent record by record before anybody
// is buried.
func TestNeighboursOfARefusedRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		for range 40 {
			c.open(t, alarm(dispatch.Police))
		}
		r.fake.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: routing.IncidentsTopic(dispatch.Police), Err: kerr.MessageTooLarge,
		})
		defer r.start(c)()
		r.deliver(c, allTopics()...)
		r.heardAll(c)
		require.Empty(t, r.records(routing.DeadLetterTopic))
	})
}

// A right that is missing is mended by people: nothing is buried for it.
func TestMissingRightIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		fault := r.fake.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: routing.JournalTopic, Err: kerr.TopicAuthorizationFailed, Count: -1,
		})
		defer r.start(c)()
		c.open(t, alarm(dispatch.Fire))
		time.Sleep(5 * time.Minute)
		require.Empty(t, r.records(routing.DeadLetterTopic))
		fault.Remove()
		r.deliver(c, allTopics()...)
		r.heardAll(c)
	})
}

// A database that is away stops the relay where it is.
func TestDatabaseAwayWhilePublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		defer r.start(c)()
		c.open(t, alarm(dispatch.Fire))
		c.setAway(errors.New("the database is away"))
		time.Sleep(time.Minute)
		c.setAway(nil)
		c.open(t, alarm(dispatch.Fire))
		r.deliver(c, allTopics()...)
		r.heardAll(c)
	})
}

// When the lease is lost while the broker is away, the relay ends at once and
// sends nothing later.
func TestStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRig(t, 1), newCity()
		defer r.fake.Close()
		stop := r.start(c)
		c.open(t, alarm(dispatch.Fire))
		r.deliver(c, allTopics()...)
		before := len(r.records(routing.JournalTopic))
		r.cable.Cut(true)
		c.open(t, alarm(dispatch.Fire))
		time.Sleep(time.Second)
		at := time.Now()
		stop()
		require.Less(t, time.Since(at), time.Second)
		r.cable.Cut(false)
		time.Sleep(time.Minute)
		require.Len(t, r.records(routing.JournalTopic), before)
		require.Equal(t, 0, testutil.CollectAndCount(gatherer{r.reg}, "nabat_relay_lag_events"), "another node's to tell")
	})
}

// gatherer makes a registry countable.
type gatherer struct{ *prometheus.Registry }
