package crash

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"nabat/dispatch"
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
		kgo.ConsumeTopics(append(c.topicNames(), routing.DeadLetterTopic)...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
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
			if !c.poll(ctx, cl, read) {
				c.f.add(lost, "events that never came to Kafka: %s", few(missing))
				return nil
			}
			missing = missingOn(read, events)
		}
	}
}

// poll takes what there is; false when for stuckLimit nothing came.
func (c *check) poll(ctx context.Context, cl *kgo.Client, read map[string]*reading) bool {
	ctx, cancel := context.WithTimeout(ctx, stuckLimit)
	defer cancel()
	fetches := cl.PollRecords(ctx, 5000)
	fetches.EachRecord(func(r *kgo.Record) {
		if r.Topic == routing.DeadLetterTopic {
			c.buried[r.Partition] = r.Offset + 1
			c.deadLetter(r)
			return
		}
		c.take(read[r.Topic], r)
	})
	return ctx.Err() == nil
}

// deadLetter looks at a record that could not be taken: only a reply for an
// assignment that a person withdrew meanwhile may be one.
func (c *check) deadLetter(r *kgo.Record) {
	var in struct {
		Data routing.DeadLetter `json:"data"`
	}
	if err := json.Unmarshal(r.Value, &in); err != nil {
		c.f.add(wrong, "dead letter %d@%d is no CloudEvent: %v", r.Partition, r.Offset, err)
		return
	}
	service, reply := strings.CutPrefix(in.Data.Topic, routing.RepliesTopic(""))
	if !reply {
		c.f.add(wrong, "a dead letter of %s: %s", in.Data.Topic, in.Data.Reason)
		return
	}
	c.dead = append(c.dead, letter{service, string(in.Data.Key), in.Data.Reason})
}

// letter is a reply among the dead letters.
type letter struct{ service, incident, reason string }

// withdrawn checks the dead letters against the assignments.
func (c *check) withdrawn(ctx context.Context) error {
	for _, d := range c.dead {
		var state string
		err := c.db.QueryRow(ctx, `SELECT state FROM assignments WHERE service = $1 AND incident_id::text = $2`, d.service, d.incident).Scan(&state)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if state != string(dispatch.CancelledA) {
			c.f.add(wrong, "a reply of %s for %s, whose assignment is %q, is in the dead letters: %s", d.service, d.incident, state, d.reason)
		}
	}
	return nil
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
// letters nothing but replies that came too late.
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
		end, ok := ends.Lookup(routing.DeadLetterTopic, p)
		for ok && c.buried[p] < end.Offset {
			if !c.poll(ctx, cl, read) {
				c.f.add(wrong, "dead letters of partition %d cannot be read from %d to %d", p, c.buried[p], end.Offset)
				break
			}
		}
	}
	return c.withdrawn(ctx)
}
