package duty

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type broker struct {
	t      *testing.T
	topics bool // they exist from the start
	addrs  []string
	cl     *kgo.Client
}

func start(t *testing.T, topics bool) *broker {
	opts := []kfake.Opt{kfake.NumBrokers(1)}
	if topics {
		opts = append(opts, kfake.SeedTopics(3, "nabat.incidents.fire", "nabat.replies.fire"))
	}
	c, err := kfake.NewCluster(opts...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("nabat.replies.fire"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.MetadataMinAge(50*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return &broker{t, topics, c.ListenAddrs(), cl}
}

// tell writes a record as the engine would.
func (b *broker) tell(event, incident, kind string) {
	b.t.Helper()
	value, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": event, "source": "/nabat/incidents/fire", "subject": incident,
		"type": "city.nabat.incident." + kind + ".v1", "time": time.Now().UTC(),
		"data": map[string]any{"kind": kind, "service": "fire", "card": map[string]any{"number": 1}},
	})
	require.NoError(b.t, err)
	require.NoError(b.t, b.cl.ProduceSync(b.t.Context(),
		&kgo.Record{Topic: "nabat.incidents.fire", Key: []byte(incident), Value: value}).FirstErr())
}

// hear reads n replies.
func (b *broker) hear(n int) []reply {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	var out []reply
	for len(out) < n {
		f := b.cl.PollFetches(ctx)
		require.NoError(b.t, ctx.Err(), "heard %d of %d", len(out), n)
		f.EachRecord(func(r *kgo.Record) {
			var v reply
			require.NoError(b.t, json.Unmarshal(r.Value, &v))
			require.Equal(b.t, v.Subject, string(r.Key))
			validate(b.t, r.Value)
			out = append(out, v)
		})
	}
	return out
}

// validate holds a reply against the engine's published schema.
func validate(t *testing.T, value []byte) {
	t.Helper()
	f, err := os.Open("../../routing/kafka/schemas/reply.v1.json")
	require.NoError(t, err)
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("reply.json", doc))
	schema, err := c.Compile("reply.json")
	require.NoError(t, err)
	var v any
	require.NoError(t, json.Unmarshal(value, &v))
	require.NoError(t, schema.Validate(v), "%s", value)
}

func (b *broker) run(o Options) (*Service, func()) {
	b.t.Helper()
	o.Service, o.Brokers = "fire", b.addrs
	ready := make(chan struct{})
	o.Ready = func() { close(ready) }
	s, err := New(o)
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(b.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	b.t.Cleanup(stop)
	if b.topics {
		<-ready // what a test tells from now on is not the past
	}
	return s, stop
}

func statuses(rs []reply) []string {
	var out []string
	for _, r := range rs {
		out = append(out, r.Data.Status)
	}
	return out
}

var whole = []string{"received", "accepted", "en_route", "arrived", "working", "completed"}

func TestWorksAnIncidentThrough(t *testing.T) {
	t.Parallel()
	b := start(t, true)
	s, stop := b.run(Options{Habits: Habits{Speed: 1e5}})
	id, ev := uuid.NewString(), uuid.NewString()
	b.tell(ev, id, assigned)
	b.tell(ev, id, assigned) // a repeat
	got := b.hear(6)
	require.Equal(t, whole, statuses(got))
	ids := map[string]bool{}
	for _, r := range got {
		require.Equal(t, id, r.Subject)
		require.Equal(t, got[0].Data.OrderNumber, r.Data.OrderNumber)
		require.NotEmpty(t, r.Data.OrderNumber)
		ids[r.ID] = true
	}
	require.Len(t, ids, 6)
	stop()
	r := s.Reports()
	require.EqualValues(t, 1, r[0].Acknowledged)
	require.EqualValues(t, 1, r[0].Notes["duplicates"])
	require.True(t, r[1].Whole())
	require.EqualValues(t, 6, r[1].Acknowledged)
}

func TestRefusesAndGivesUpWithAReason(t *testing.T) {
	t.Parallel()
	for status, h := range map[string]Habits{"refused": {Speed: 1e5, Refuse: 1}, "work_refused": {Speed: 1e5, GiveUp: 1}} {
		b := start(t, true)
		_, stop := b.run(Options{Habits: h})
		b.tell(uuid.NewString(), uuid.NewString(), assigned)
		n := 2
		if status == "work_refused" {
			n = 5
		}
		got := b.hear(n)
		require.Equal(t, status, got[n-1].Data.Status)
		require.NotEmpty(t, got[n-1].Data.Comment)
		stop()
	}
}

func TestClosedCardsAreLeftAlone(t *testing.T) {
	t.Parallel()
	b := start(t, true)
	id := uuid.NewString()
	// The whole work takes about a second, the cancellation some milliseconds.
	var mu sync.Mutex
	said := map[string]int{}
	s, stop := b.run(Options{Habits: Habits{Speed: 2000}, Count: 1, Replied: func(incident, status string) {
		mu.Lock()
		defer mu.Unlock()
		said[incident]++
	}})
	b.tell(uuid.NewString(), id, assigned)
	b.tell(uuid.NewString(), id, cancelled)
	other := uuid.NewString()
	b.tell(uuid.NewString(), other, assigned)
	last := func(r reply) bool { return r.Subject == other && r.Data.Status == "completed" }
	for !slices.ContainsFunc(b.hear(1), last) {
	}
	stop()
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 6, said[other])
	require.Less(t, said[id], 6)
	require.EqualValues(t, 3, s.Reports()[0].Acknowledged)
}

// A second life reads the topic again, says the same words with the same ids,
// and leaves alone what was closed meanwhile.
func TestResumesFromTheTopic(t *testing.T) {
	t.Parallel()
	b := start(t, true)
	done, open := uuid.NewString(), uuid.NewString()
	b.tell(uuid.NewString(), done, assigned)
	b.tell(uuid.NewString(), open, assigned)
	b.tell(uuid.NewString(), done, closed)
	_, stop := b.run(Options{Habits: Habits{Speed: 1e5}})
	first := b.hear(6)
	stop()
	s, stop := b.run(Options{Habits: Habits{Speed: 1e5}})
	second := b.hear(6)
	stop()
	require.Equal(t, whole, statuses(second))
	for i := range first {
		require.Equal(t, open, first[i].Subject)
		require.Equal(t, first[i].ID, second[i].ID)
		require.Equal(t, first[i].Data.OrderNumber, second[i].Data.OrderNumber)
	}
	r := s.Reports()
	require.EqualValues(t, 3, r[0].Notes["from before the start"])
	require.Zero(t, r[0].Sent, "the past is not timed")

	fresh, stop := b.run(Options{Habits: Habits{Speed: 1e5}, Fresh: true, Count: 1})
	again := uuid.NewString()
	b.tell(uuid.NewString(), again, assigned)
	for _, r := range b.hear(6) {
		require.Equal(t, again, r.Subject)
	}
	stop()
	require.EqualValues(t, 6, fresh.Reports()[1].Acknowledged)
}

func TestWaitsForTheTopic(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	_, stop := b.run(Options{Habits: Habits{Speed: 1e5}})
	adm := kadm.NewClient(b.cl)
	_, err := adm.CreateTopics(t.Context(), 2, 1, nil, "nabat.incidents.fire", "nabat.replies.fire")
	require.NoError(t, err)
	b.tell(uuid.NewString(), uuid.NewString(), assigned)
	require.Equal(t, whole, statuses(b.hear(6)))
	stop()
}

func TestADeadBrokerIsAnError(t *testing.T) {
	t.Parallel()
	// Port 1 is nobody's.
	s, err := New(Options{Service: "fire", Brokers: []string{"127.0.0.1:1"}})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err = s.Run(ctx)
	require.ErrorIs(t, err, ErrNoBroker)
	require.ErrorContains(t, err, "127.0.0.1:1")
}

func TestNonsenseIsCounted(t *testing.T) {
	t.Parallel()
	b := start(t, true)
	s, stop := b.run(Options{Habits: Habits{Speed: 1e5}})
	for _, v := range []string{"", "{}", `{"specversion":"1.0","id":"x"}`} {
		require.NoError(t, b.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "nabat.incidents.fire", Value: []byte(v)}).FirstErr())
	}
	b.tell(uuid.NewString(), uuid.NewString(), assigned)
	b.hear(6)
	require.Eventually(t, func() bool { return s.Reports()[0].Refused == 3 }, 10*time.Second, 5*time.Millisecond)
	stop()
	_, err := New(Options{})
	require.Error(t, err)
}

func TestPlans(t *testing.T) {
	t.Parallel()
	refused := 0
	for i := range 1000 {
		p := Habits{Refuse: 0.1, GiveUp: 0.05, Seed: 1}.plan(fmt.Sprint(i))
		require.Equal(t, p, Habits{Refuse: 0.1, GiveUp: 0.05, Seed: 1}.plan(fmt.Sprint(i)), "a plan is made once")
		require.Equal(t, "received", p[0].status)
		last := p[len(p)-1]
		require.Contains(t, []string{"completed", "refused", "work_refused"}, last.status)
		if last.status != "completed" {
			require.NotEmpty(t, last.comment)
		}
		if last.status == "refused" {
			refused++
		}
		var acceptBy time.Duration
		for _, st := range p[:2] {
			acceptBy += st.after
		}
		require.Less(t, acceptBy, 30*time.Second, "the service answers within its 30 s")
	}
	require.InDelta(t, 100, refused, 40)
	fast := Habits{Speed: 10}.plan("x")
	slow := Habits{Speed: 1}.plan("x")
	require.Equal(t, slow[3].after/10, fast[3].after.Truncate(1))
}
