package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"nabat/dispatch"
	"nabat/routing"
	"nabat/routing/kafka"
)

// rewind is how many records of each partition a service reads again after a
// restart: it may have died between reading and remembering, too.
const rewind = 3

// duty is the four services' own systems: each accepts most of what it reads and
// reports some of it done, under ids that depend on the event alone, so that
// whatever it reads twice is answered twice by the same replies.
type duty struct {
	ledger *ledger

	mu sync.Mutex
	at map[string]map[int32]int64 // where to go on, by topic and partition
}

func newDuty(l *ledger) *duty {
	d := &duty{ledger: l, at: map[string]map[int32]int64{}}
	for _, s := range routing.DefaultVocabulary().Services {
		d.at[routing.IncidentsTopic(s)] = make(map[int32]int64, kafka.Partitions)
		for p := range int32(kafka.Partitions) {
			d.at[routing.IncidentsTopic(s)][p] = 0
		}
	}
	return d
}

// places is where a client begins.
func (d *duty) places() map[string]map[int32]kgo.Offset {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]map[int32]kgo.Offset{}
	for topic, parts := range d.at {
		out[topic] = map[int32]kgo.Offset{}
		for p, at := range parts {
			out[topic][p] = kgo.NewOffset().At(max(0, at-rewind))
		}
	}
	return out
}

// work reads and answers for one life of the engine.
func (d *duty) work(l *life) {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(l.run.Kafka...), kgo.ClientID("services"), kgo.ConsumePartitions(d.places()),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.UnknownTopicRetries(-1),
		kgo.ProducerLinger(0),
	)
	if err != nil {
		panic(err) // the options are wrong
	}
	defer cl.CloseAllowingRebalance()
	for l.ctx.Err() == nil {
		fetches := cl.PollRecords(l.ctx, 500)
		fetches.EachRecord(func(r *kgo.Record) { d.answer(l.ctx, cl, r) })
		if l.ctx.Err() != nil {
			return
		}
		// What was answered may be forgotten only when the broker has the answers.
		if err := cl.Flush(l.ctx); err != nil {
			return
		}
		d.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= d.at[r.Topic][r.Partition] { // not of an earlier life
				d.at[r.Topic][r.Partition] = r.Offset + 1
				l.heard.Add(1)
			}
		})
		d.mu.Unlock()
	}
}

// record is what a service needs of a CloudEvent.
type record struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Subject string `json:"subject"`
	Data    struct {
		Kind    dispatch.EventKind `json:"kind"`
		Service dispatch.Service   `json:"service"`
		Version int                `json:"version"`
	} `json:"data"`
}

func (d *duty) answer(ctx context.Context, cl *kgo.Client, r *kgo.Record) {
	var in record
	if err := json.Unmarshal(r.Value, &in); err != nil || in.Data.Kind != dispatch.EventAssigned {
		return // the checker looks at every record
	}
	s := in.Data.Service
	if systemAccepts(s, in.Subject) {
		d.say(ctx, cl, in, dispatch.Accepted)
	}
	if systemCompletes(s, in.Subject) {
		d.say(ctx, cl, in, dispatch.Completed)
	}
}

func (d *duty) say(ctx context.Context, cl *kgo.Client, in record, status dispatch.AssignmentState) {
	s := in.Data.Service
	key := fmt.Sprintf("%s %s %s", s, in.Subject, status)
	value := fmt.Appendf(nil, `{"specversion":"1.0","id":"%s-%s","source":"/services/%s","type":%q,"subject":%q,`+
		`"datacontenttype":"application/json","data":{"status":%q,"orderNumber":"%.8s"}}`,
		status, in.ID, s, routing.ReplyType, in.Subject, status, in.ID)
	times := 1
	if in.ID[len(in.ID)-1] < '5' { // some systems answer twice
		times = 2
	}
	for range times {
		out := &kgo.Record{Topic: routing.RepliesTopic(s), Key: []byte(in.Subject), Value: value}
		cl.Produce(ctx, out, func(_ *kgo.Record, err error) {
			if err != nil {
				return
			}
			d.ledger.note(func() {
				known := d.ledger.replies[key]
				if known == nil {
					known = &reply{service: s, incident: in.Subject, status: status}
					d.ledger.replies[key] = known
				}
				known.confirmed++
			})
		})
	}
}
