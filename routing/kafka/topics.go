package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"nabat/dispatch"
	"nabat/routing"
)

// Partitions of the topics, fixed for ever: see the package comment.
const (
	Partitions           = 12
	DeadLetterPartitions = 3
)

// Topic is one topic as the engine wants it.
type Topic struct {
	Name       string
	Partitions int32
	// MaxBytes is max.message.bytes; 0 leaves the broker's.
	MaxBytes int
}

// Topics lists what the engine needs for some services.
func Topics(services []dispatch.Service) []Topic {
	var out []Topic
	for _, s := range services {
		out = append(out,
			Topic{Name: routing.IncidentsTopic(s), Partitions: Partitions},
			Topic{Name: routing.RepliesTopic(s), Partitions: Partitions})
	}
	return append(out,
		Topic{Name: routing.JournalTopic, Partitions: Partitions},
		Topic{Name: routing.NotificationsTopic, Partitions: Partitions},
		Topic{Name: routing.DeadLetterTopic, Partitions: DeadLetterPartitions, MaxBytes: maxRecord})
}

// Warning is something that works and should be better, for doctor and the log.
type Warning struct {
	RU string
	EN string
}

func (w Warning) String() string { return w.RU + " / " + w.EN }

// EnsureTopics creates the topics that are missing. Those that exist are left
// as they are; where they differ, a warning says so.
func (c *Cluster) EnsureTopics(ctx context.Context, services []dispatch.Service) ([]Warning, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	state, err := look(ctx, adm, services)
	if err != nil {
		return nil, err
	}
	for _, t := range Topics(services) {
		if _, exists := state.topics[t.Name]; exists {
			continue
		}
		configs := map[string]*string{"min.insync.replicas": text(state.minISR())}
		if t.MaxBytes > 0 {
			configs["max.message.bytes"] = text(t.MaxBytes)
		}
		_, err := adm.CreateTopic(ctx, t.Partitions, int16(state.replicas()), configs, t.Name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return nil, fmt.Errorf("create topic %s: %w", t.Name, err)
		}
	}
	return c.Check(ctx, services) // with another client: this one remembers what it saw
}

// Check looks at the cluster and changes nothing. The error means that the
// brokers cannot be asked.
func (c *Cluster) Check(ctx context.Context, services []dispatch.Service) ([]Warning, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	state, err := look(ctx, kadm.NewClient(cl), services)
	if err != nil {
		return nil, err
	}
	return state.warnings(services), nil
}

// clusterState is what matters to us of a cluster.
type clusterState struct {
	brokers int
	topics  map[string]topicState
}

type topicState struct {
	partitions int
	replicas   int
	minISR     int // 0: not told
}

func look(ctx context.Context, adm *kadm.Client, services []dispatch.Service) (clusterState, error) {
	wanted := Topics(services)
	names := make([]string, len(wanted))
	for i, t := range wanted {
		names[i] = t.Name
	}
	meta, err := adm.Metadata(ctx, names...)
	if err != nil {
		return clusterState{}, fmt.Errorf("ask the brokers: %w", err)
	}
	s := clusterState{brokers: len(meta.Brokers), topics: map[string]topicState{}}
	var have []string
	for _, t := range meta.Topics {
		switch {
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			continue
		case t.Err != nil:
			return s, fmt.Errorf("topic %s: %w", t.Topic, t.Err)
		}
		state := topicState{partitions: len(t.Partitions)}
		for _, p := range t.Partitions {
			if state.replicas == 0 || len(p.Replicas) < state.replicas {
				state.replicas = len(p.Replicas)
			}
		}
		s.topics[t.Topic] = state
		have = append(have, t.Topic)
	}
	if len(have) == 0 {
		return s, nil
	}
	configs, err := adm.DescribeTopicConfigs(ctx, have...)
	if err != nil {
		return s, nil //nolint:nilerr // no right to read settings is no reason not to start
	}
	for _, rc := range configs {
		for _, cfg := range rc.Configs {
			if cfg.Key == "min.insync.replicas" && cfg.Value != nil {
				state := s.topics[rc.Name]
				state.minISR, _ = strconv.Atoi(*cfg.Value)
				s.topics[rc.Name] = state
			}
		}
	}
	return s, nil
}

func (s clusterState) replicas() int {
	if s.brokers >= 3 {
		return 3
	}
	return 1
}

func (s clusterState) minISR() int {
	if s.brokers >= 3 {
		return 2
	}
	return 1
}

func (s clusterState) warnings(services []dispatch.Service) []Warning {
	var out []Warning
	warn := func(ru, en string, args ...any) {
		out = append(out, Warning{RU: fmt.Sprintf(ru, args...), EN: fmt.Sprintf(en, args...)})
	}
	if s.brokers < 3 {
		warn("брокеров Kafka %d, копия каждой записи одна: нужны три брокера",
			"%d Kafka broker(s), a single copy of each record: three brokers are needed", s.brokers)
	}
	for _, t := range Topics(services) {
		state, exists := s.topics[t.Name]
		switch {
		case !exists:
			warn("нет топика %s", "topic %s is missing", t.Name)
			continue
		case state.partitions != int(t.Partitions):
			warn("топик %s: разделов %d, а не %d", "topic %s has %d partitions, not %d",
				t.Name, state.partitions, t.Partitions)
		}
		if s.brokers < 3 {
			continue
		}
		if state.replicas < 3 {
			warn("топик %s: копий %d, нужно 3", "topic %s has %d replicas, 3 are needed", t.Name, state.replicas)
		}
		if state.minISR == 1 {
			warn("топик %s: min.insync.replicas 1, нужно 2", "topic %s has min.insync.replicas 1, 2 are needed", t.Name)
		}
	}
	return out
}

func text(n int) *string {
	s := strconv.Itoa(n)
	return &s
}
