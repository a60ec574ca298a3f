package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"nabat/simulators/city"
)

// kafkaFigures is part 1: from the octets of a fire alarm on the wire to its
// record read by somebody else.
type kafkaFigures struct {
	Rates   []kafkaRate `json:"rates"`
	Commit  latency     `json:"commitMs"`
	Produce latency     `json:"produceMs"`
	// Floor is the two after each other, median and 99 of 100.
	FloorP50 float64 `json:"floorP50Ms"`
	FloorP99 float64 `json:"floorP99Ms"`
}

type kafkaRate struct {
	PerSecond int     `json:"perSecond"`
	Latency   latency `json:"latencyMs"`
	// Medians are those of the slices.
	Medians spread  `json:"p50PerSlice"`
	Ack     latency `json:"ackMs"`
}

const fireTopic = "nabat.incidents.fire"

// forKafka tells whether the i-th facility's fire alarm belongs to this part.
func forKafka(i int) bool { return i%2 == 0 }

func measureKafka(ctx context.Context, p plan, e *engine, r *report, say func(string, ...any)) error {
	k := &kafkaFigures{}
	r.Kafka = k
	w, err := openWatch(ctx, e.Kafka)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() { w.run(watching) })
	defer reader.Wait()
	defer w.client.Close()
	defer stop()

	town, next := city.Demo(), 0
	fire := func() city.Facility {
		f := town[next%len(town)]
		next += 2
		return f
	}
	const panels = 64
	f, err := openFleet(ctx, "tcp", e.Listen["alarms_tcp"], panels, origin{}, nil)
	if err != nil {
		return err
	}
	defer f.close()
	conns := make(chan *sender, panels)
	for _, s := range f.senders {
		conns <- s
	}
	// The first record of all waits for topics, partitions and a lease.
	if _, err := fireAlarms(ctx, w, conns, fire, 20, time.Second); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	for _, rate := range p.rates {
		kr := kafkaRate{PerSecond: rate.perSecond}
		var all, acks []time.Duration
		var medians []float64
		for range p.slices {
			got, err := fireAlarms(ctx, w, conns, fire, rate.perSecond, rate.slice)
			if err != nil {
				return err
			}
			medians = append(medians, latencyOf(got.records).P50)
			all, acks = append(all, got.records...), append(acks, got.acks...)
		}
		kr.Latency, kr.Ack, kr.Medians = latencyOf(all), latencyOf(acks), spreadOf(medians...)
		say("wire → Kafka %d/s: p50 %.1f p95 %.1f p99 %.1f max %.1f ms", rate.perSecond, kr.Latency.P50, kr.Latency.P95, kr.Latency.P99, kr.Latency.Max)
		k.Rates = append(k.Rates, kr)
	}
	if next > len(town) {
		r.problem("more fire alarms than facilities: some joined a card that was open")
	}
	if n := w.doubled(); n > 0 {
		say("records that came twice (allowed, told by their id): %d", n)
	}
	if k.Commit, err = e.db.commits(ctx, 300); err != nil {
		return fmt.Errorf("single commits: %w", err)
	}
	if k.Produce, err = produces(ctx, e.Kafka, 300); err != nil {
		return fmt.Errorf("single records: %w", err)
	}
	k.FloorP50, k.FloorP99 = k.Commit.P50+k.Produce.P50, k.Commit.P99+k.Produce.P99
	say("commit p50 %.2f ms, produce-and-wait p50 %.2f ms", k.Commit.P50, k.Produce.P50)
	return nil
}

// arrivals is what one slice took.
type arrivals struct{ records, acks []time.Duration }

// fireAlarms sends at an even pace, each alarm from another facility, and waits
// for the record of each. Times count from the moment at which a frame was due.
func fireAlarms(ctx context.Context, w *watch, conns chan *sender, fire func() city.Facility, perSecond int, d time.Duration) (arrivals, error) {
	var got arrivals
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	began := time.Now()
	n := max(1, int(d.Seconds()*float64(perSecond)))
	ids := make([]string, 0, n)
	for i := range n {
		f, due := fire(), began.Add(time.Duration(i)*time.Second/time.Duration(perSecond))
		time.Sleep(time.Until(due))
		w.expect(f.Code, due)
		ids = append(ids, f.Code)
		var s *sender
		select {
		case s = <-conns:
		case <-ctx.Done():
			all.Wait()
			return got, ctx.Err()
		}
		all.Go(func() {
			s.n++
			s.write(f.Panels[0].Account, "1110", s.n)
			err := s.exchange(false)
			took := time.Since(due)
			mu.Lock()
			got.acks = append(got.acks, took)
			failed = errors.Join(failed, err)
			mu.Unlock()
			conns <- s
		})
	}
	all.Wait()
	if failed != nil {
		return got, failed
	}
	var err error
	got.records, err = w.wait(ctx, ids)
	return got, err
}

// watch is an independent reader of the fire service's topic.
type watch struct {
	client *kgo.Client

	mu    sync.Mutex
	due   map[string]time.Time
	took  map[string]time.Duration
	ids   map[string]int
	err   error
	grown chan struct{} // closed when took has grown
}

func openWatch(ctx context.Context, brokers []string) (*watch, error) {
	w := &watch{due: map[string]time.Time{}, took: map[string]time.Duration{}, ids: map[string]int{}, grown: make(chan struct{})}
	var err error
	w.client, err = kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(fireTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// As a duty system that wants its record at once.
		kgo.FetchMinBytes(1), kgo.FetchMaxWait(500*time.Millisecond), kgo.UnknownTopicRetries(-1),
	)
	if err != nil {
		return nil, err
	}
	return w, w.client.Ping(ctx)
}

func (w *watch) run(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := w.client.PollFetches(ctx)
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) { w.take(r, now) })
	}
}

func (w *watch) take(r *kgo.Record, now time.Time) {
	var e struct {
		ID   string `json:"id"`
		Data struct {
			Kind string `json:"kind"`
			Card struct {
				FacilityID string `json:"facilityId"`
			} `json:"card"`
		} `json:"data"`
	}
	err := json.Unmarshal(r.Value, &e)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
	w.ids[e.ID]++
	due, known := w.due[e.Data.Card.FacilityID]
	if e.Data.Kind != "assigned" || !known {
		return
	}
	if _, twice := w.took[e.Data.Card.FacilityID]; twice {
		return
	}
	w.took[e.Data.Card.FacilityID] = now.Sub(due)
	close(w.grown)
	w.grown = make(chan struct{})
}

func (w *watch) expect(facility string, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due[facility] = due
}

func (w *watch) doubled() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, times := range w.ids {
		n += times - 1
	}
	return n
}

// wait returns when every facility's record has come.
func (w *watch) wait(ctx context.Context, facilities []string) ([]time.Duration, error) {
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for {
		w.mu.Lock()
		var took []time.Duration
		for _, f := range facilities {
			if d, ok := w.took[f]; ok {
				took = append(took, d)
			}
		}
		grown, err := w.grown, w.err
		w.mu.Unlock()
		if err != nil || len(took) == len(facilities) {
			return took, err
		}
		select {
		case <-grown:
		case <-late.C:
			return took, fmt.Errorf("lost: %d of %d acknowledged fire alarms never reached %s", len(facilities)-len(took), len(facilities), fireTopic)
		case <-ctx.Done():
			return took, ctx.Err()
		}
	}
}

// commits is one durable row after another.
func (d *database) commits(ctx context.Context, n int) (latency, error) {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return latency{}, err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `CREATE TABLE bench_commits (id bigint PRIMARY KEY, text text NOT NULL)`); err != nil {
		return latency{}, err
	}
	var took []time.Duration
	for i := range n {
		began := time.Now()
		if _, err := conn.Exec(ctx, `INSERT INTO bench_commits VALUES ($1, 'alarm')`, i); err != nil {
			return latency{}, err
		}
		took = append(took, time.Since(began))
	}
	return latencyOf(took), nil
}

// produces is one record of 1 KiB after another, confirmed by the broker.
func produces(ctx context.Context, brokers []string, n int) (latency, error) {
	const topic = "bench"
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0))
	if err != nil {
		return latency{}, err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, topic)
	if err != nil || created.Err != nil {
		return latency{}, errors.Join(err, created.Err)
	}
	var took []time.Duration
	for i := range n + 10 {
		began := time.Now()
		if err := client.ProduceSync(ctx, &kgo.Record{Value: make([]byte, 1024)}).FirstErr(); err != nil {
			return latency{}, err
		}
		if i >= 10 { // the first ones learn who leads
			took = append(took, time.Since(began))
		}
	}
	return latencyOf(took), nil
}
