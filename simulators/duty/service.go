package duty

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"nabat/simulators/tally"
)

// Options say which service is played and how.
type Options struct {
	Service string
	Brokers []string
	Habits
	// Count ends Run after so many incidents had their last word; 0: ctx does.
	Count int
	// Client are further options of the Kafka client (TLS, SASL, a dialler).
	Client []kgo.Opt
	// Fresh passes over what was on the topic before the start.
	Fresh bool
	// Ready, if set, is called once it is known where the past ends: what is
	// published from then on is new.
	Ready func()
	// Replied, if set, hears of every reply that the broker has confirmed.
	Replied func(incident, status string)
	Log     *zap.Logger
}

// Service is one duty system.
type Service struct {
	o        Options
	log      *zap.Logger
	read     *tally.Tally
	answered *tally.Tally

	// Of Run's loop alone:
	seen    map[string]bool // event ids
	order   []string        // of seen, for its bound
	orders  map[string]*job // by incident
	agenda  agenda
	behind  map[int32]int64 // partitions whose past has not been read to its end
	ended   atomic.Int64
	produce *kgo.Client
}

// maxSeen bounds the memory for repeats; a repeat comes soon or never.
const maxSeen = 200_000

// job is an incident that the service has.
type job struct {
	event, incident, order string
	steps                  []step
	done                   int
	stopped                bool
}

// New checks the options; nothing is opened yet.
func New(o Options) (*Service, error) {
	if o.Service == "" || len(o.Brokers) == 0 {
		return nil, errors.New("a duty service needs its name and a broker")
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Service{
		o: o, log: o.Log.Named("simulators.duty").With(zap.String("service", o.Service)),
		read: tally.New("duty " + o.Service + ": records"), answered: tally.New("duty " + o.Service + ": replies"),
		seen: map[string]bool{}, orders: map[string]*job{}, behind: map[int32]int64{},
	}, nil
}

// Reports are what was read (its latency: from the event to our reading it) and
// what was answered (its latency: until the broker confirmed).
func (s *Service) Reports() []tally.Report {
	return []tally.Report{s.read.Report(), s.answered.Report()}
}

// Done is how many incidents have had the service's last word.
func (s *Service) Done() int { return int(s.ended.Load()) }

// ErrNoBroker: ctx ended and no broker had answered by then.
var ErrNoBroker = errors.New("no broker answered")

// Run reads and answers until ctx ends or Count incidents are done. Its error is
// ErrNoBroker if it could do neither.
func (s *Service) Run(ctx context.Context) error {
	topic := "nabat.incidents." + s.o.Service
	var dials dials
	// The client must still confirm replies after ctx has ended, so it has a
	// life of its own; Close ends it.
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(s.o.Brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ProducerLinger(0), kgo.FetchMaxWait(250 * time.Millisecond),
		kgo.MetadataMinAge(250 * time.Millisecond), kgo.ClientID("nabat-sim-duty-" + s.o.Service),
		kgo.WithHooks(&dials),
	}, s.o.Client...)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	s.produce = cl
	answered, err := s.lookBack(ctx, cl, topic)
	switch {
	case err == nil:
	case ctx.Err() == nil:
		return err
	case !answered:
		return dials.explain(fmt.Errorf("%w (%s)", ErrNoBroker, strings.Join(s.o.Brokers, ", ")))
	default:
		return nil
	}
	if s.o.Ready != nil {
		s.o.Ready()
	}

	ctx, cancel := context.WithCancel(ctx)
	polled := make(chan []*kgo.Record)
	var poller sync.WaitGroup
	defer poller.Wait()
	defer cancel()
	poller.Go(func() {
		for ctx.Err() == nil {
			fetches := cl.PollRecords(ctx, 1000)
			fetches.EachError(func(t string, p int32, err error) {
				if ctx.Err() == nil {
					s.log.Warn("read incidents", zap.Int32("partition", p), zap.Error(err))
				}
			})
			records := fetches.Records()
			if len(records) == 0 {
				continue
			}
			select {
			case polled <- records:
			case <-ctx.Done():
			}
		}
	})
	s.loop(ctx, polled)
	// What was promised to the broker gets its chance.
	flush, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if err := cl.Flush(flush); err != nil {
		return fmt.Errorf("flush replies: %w", err)
	}
	return nil
}

// lookBack finds out where the past of each partition ends. The engine makes the
// topic at its start, so it may still be missing. answered: there is a broker, at least.
func (s *Service) lookBack(ctx context.Context, cl *kgo.Client, topic string) (answered bool, err error) {
	adm := kadm.NewClient(cl)
	for {
		ends, err := adm.ListEndOffsets(ctx, topic)
		if err == nil {
			answered = true
			err = ends.Error()
		}
		if err == nil && len(ends[topic]) > 0 {
			starts, err := adm.ListStartOffsets(ctx, topic)
			if err != nil {
				return true, fmt.Errorf("look at %s: %w", topic, err)
			}
			for p, end := range ends[topic] {
				if start := starts[topic][p]; end.Offset > start.Offset {
					s.behind[p] = end.Offset
				}
			}
			return true, nil
		}
		if ctx.Err() != nil {
			return answered, ctx.Err()
		}
		s.log.Debug("the topic is not there yet", zap.String("topic", topic), zap.Error(err))
		select {
		case <-ctx.Done():
			return answered, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// loop takes records and says what is due.
func (s *Service) loop(ctx context.Context, polled <-chan []*kgo.Record) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil && (s.o.Count == 0 || int(s.ended.Load()) < s.o.Count) {
		wait := time.Hour
		if len(s.agenda) > 0 {
			wait = max(time.Until(s.agenda[0].at), 0)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case records := <-polled:
			for _, r := range records {
				s.take(r, time.Now())
			}
		case now := <-timer.C:
			s.act(ctx, now)
		}
	}
}

// take notes one record.
func (s *Service) take(k *kgo.Record, now time.Time) {
	r, err := parseRecord(k.Value)
	end, past := s.behind[k.Partition]
	switch {
	case err != nil:
		s.read.Sent()
		s.read.Refused(fmt.Sprintf("%s/%d@%d: %v", k.Topic, k.Partition, k.Offset, err))
	case s.repeated(r.ID):
		s.read.Note("duplicates", 1)
	default:
		if past {
			s.read.Note("from before the start", 1)
		} else {
			s.read.Sent()
			s.read.Acknowledged(now.Sub(r.Time))
			if string(k.Key) != r.Subject {
				s.read.Note("key is not the incident", 1)
			}
		}
		s.note(r, past, now)
	}
	if past && k.Offset+1 >= end {
		delete(s.behind, k.Partition)
		s.resume(now)
	}
}

func (s *Service) note(r record, past bool, now time.Time) {
	switch r.Data.Kind {
	case assigned:
		if s.orders[r.Subject] != nil {
			return
		}
		j := &job{event: r.ID, incident: r.Subject, order: order(s.o.Service, r.ID), steps: s.o.plan(r.ID)}
		s.orders[r.Subject] = j
		s.read.Note("incidents", 1)
		switch {
		case past && s.o.Fresh:
			j.stopped = true
		case !past:
			heap.Push(&s.agenda, due{now.Add(j.steps[0].after), j})
		}
	case closed, cancelled:
		if j := s.orders[r.Subject]; j != nil {
			j.stopped = true
			delete(s.orders, r.Subject)
		}
	}
}

// resume takes up what the past left open, once all of it has been read.
func (s *Service) resume(now time.Time) {
	if len(s.behind) > 0 {
		return
	}
	for _, j := range s.orders {
		if !j.stopped && j.done == 0 && !s.agenda.has(j) {
			heap.Push(&s.agenda, due{now.Add(j.steps[0].after), j})
		}
	}
}

func (s *Service) repeated(id string) bool {
	if s.seen[id] {
		return true
	}
	s.seen[id] = true
	s.order = append(s.order, id)
	if len(s.order) > maxSeen {
		delete(s.seen, s.order[0])
		s.order = s.order[1:]
	}
	return false
}

// act says everything that is due by now.
func (s *Service) act(ctx context.Context, now time.Time) {
	for len(s.agenda) > 0 && !s.agenda[0].at.After(now) {
		d, _ := heap.Pop(&s.agenda).(due)
		j := d.job
		if j.stopped {
			continue
		}
		st := j.steps[j.done]
		j.done++
		s.say(ctx, j, st, now)
		if j.done < len(j.steps) {
			heap.Push(&s.agenda, due{now.Add(j.steps[j.done].after), j})
		} else {
			s.ended.Add(1)
		}
	}
}

func (s *Service) say(ctx context.Context, j *job, st step, now time.Time) {
	value, err := json.Marshal(newReply(s.o.Service, j.event, j.incident, st.status, j.order, st.comment, now))
	if err != nil {
		s.answered.Refused(err.Error()) // only strings and a time: cannot happen
		return
	}
	s.answered.Sent()
	s.answered.Note(st.status, 1)
	s.produce.Produce(context.WithoutCancel(ctx), &kgo.Record{
		Topic: "nabat.replies." + s.o.Service, Key: []byte(j.incident), Value: value,
		Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json; charset=UTF-8")}},
	}, func(_ *kgo.Record, err error) {
		if err != nil {
			s.answered.Lost(err.Error())
			return
		}
		s.answered.Acknowledged(time.Since(now))
		if s.o.Replied != nil {
			s.o.Replied(j.incident, st.status)
		}
	})
}

// due is a job's next word and its time.
type due struct {
	at  time.Time
	job *job
}

// agenda is a heap of them, the earliest first.
type agenda []due

func (a *agenda) Len() int           { return len(*a) }
func (a *agenda) Less(i, j int) bool { return (*a)[i].at.Before((*a)[j].at) }
func (a *agenda) Swap(i, j int)      { (*a)[i], (*a)[j] = (*a)[j], (*a)[i] }

// Push is heap.Interface's.
func (a *agenda) Push(x any) {
	d, _ := x.(due)
	*a = append(*a, d)
}

// Pop is heap.Interface's.
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	*a = old[:len(old)-1]
	return last
}

func (a *agenda) has(j *job) bool {
	for _, d := range *a {
		if d.job == j {
			return true
		}
	}
	return false
}
