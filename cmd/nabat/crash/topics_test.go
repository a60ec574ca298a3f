package crash

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"nabat/routing"
	"nabat/routing/kafka"
)

// reading is one topic as an independent client read it from its beginning.
type reading struct {
	topic    string
	digest   map[string][32]byte // by event id
	newest   map[string]int      // by incident: the highest version read so far
	versions map[string]string   // by incident and version: the event id
}

// topics checks what is on Kafka against the journal.
func (c *check) topics(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.l.run.Kafka...), kgo.ClientID("checker"), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.ConsumeTopics(c.topicNames()...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	read := map[string]*reading{}
	for _, t := range c.topicNames() {
		read[t] = &reading{topic: t, digest: map[string][32]byte{}, newest: map[string]int{}, versions: map[string]string{}}
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	// Marks of publication are events themselves, so the end is reached when a
	// look at the journal finds nothing that was not read.
	for {
		events, err := c.journal(ctx)
		if err != nil {
			return err
		}
		c.stored.events = len(events)
		missing := missingOn(read, events)
		if len(missing) == 0 {
			return c.nothingElse(ctx, cl, read, events)
		}
		for len(missing) > 0 {
			fetches := cl.PollRecords(ctx, 5000)
			if ctx.Err() != nil {
				c.f.add(lost, "events that never came to Kafka: %s", few(missing))
				return nil
			}
			fetches.EachRecord(func(r *kgo.Record) { c.take(read[r.Topic], r) })
			missing = missingOn(read, events)
		}
	}
}

func (c *check) topicNames() []string {
	names := []string{routing.JournalTopic}
	for _, s := range routing.DefaultVocabulary().Services {
		names = append(names, routing.IncidentsTopic(s))
	}
	return names
}

func missingOn(read map[string]*reading, events map[string]event) []string {
	var out []string
	for id, e := range events {
		topics := []string{routing.JournalTopic}
		for _, s := range e.services {
			topics = append(topics, routing.IncidentsTopic(s))
		}
		for _, t := range topics {
			if _, there := read[t].digest[id]; !there {
				out = append(out, fmt.Sprintf("%s: %s of incident %s version %d", t, e.kind, e.incident, e.version))
			}
		}
	}
	return out
}

// take looks at one record.
func (c *check) take(t *reading, r *kgo.Record) {
	var in record
	if err := json.Unmarshal(r.Value, &in); err != nil {
		c.f.add(wrong, "%s/%d@%d is no CloudEvent: %v", r.Topic, r.Partition, r.Offset, err)
		return
	}
	c.stored.records++
	if string(r.Key) != in.Subject {
		c.f.add(wrong, "%s/%d@%d has the key %q and the subject %q", r.Topic, r.Partition, r.Offset, r.Key, in.Subject)
	}
	sum := sha256.Sum256(r.Value)
	if before, again := t.digest[in.ID]; again {
		c.stored.again++
		if before != sum {
			c.f.add(wrong, "event %s is on %s in two wordings", in.ID, t.topic)
		}
		return
	}
	t.digest[in.ID] = sum
	place := fmt.Sprintf("%s version %d", in.Subject, in.Data.Version)
	if other := t.versions[place]; other != "" {
		c.f.add(doubled, "%s: incident %s is the events %s and %s", t.topic, place, other, in.ID)
	}
	t.versions[place] = in.ID
	if newest := t.newest[in.Subject]; in.Data.Version <= newest {
		c.f.add(wrong, "%s: incident %s comes after version %d", t.topic, place, newest)
	}
	t.newest[in.Subject] = in.Data.Version
}

// nothingElse checks that the topics hold no more than the journal, and the dead
// letters nothing.
func (c *check) nothingElse(ctx context.Context, cl *kgo.Client, read map[string]*reading, events map[string]event) error {
	for _, t := range read {
		for id := range t.digest {
			if _, known := events[id]; !known {
				c.f.add(wrong, "%s holds the event %s, which the journal does not", t.topic, id)
			}
		}
	}
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, routing.DeadLetterTopic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	for p := range int32(kafka.DeadLetterPartitions) {
		if end, ok := ends.Lookup(routing.DeadLetterTopic, p); ok && end.Offset > 0 {
			c.f.add(wrong, "%d dead letters in partition %d", end.Offset, p)
		}
	}
	return nil
}
