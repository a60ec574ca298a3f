package kafka_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nabat/dispatch"
	"nabat/routing"
	"nabat/routing/kafka"
)

var services = []dispatch.Service{dispatch.Police, dispatch.Fire, dispatch.Medical}

// rig is a broker in memory, a cable to it that can be cut, and what the tests
// look at.
type rig struct {
	t     testing.TB
	fake  *kfake.Cluster
	net   *kfake.VirtualNetwork
	cable *cable
	c     *kafka.Cluster
	logs  *observer.ObservedLogs
	log   *zap.Logger
	reg   *prometheus.Registry
}

// newRig starts a broker; inside a synctest bubble it works in virtual time.
func newRig(t testing.TB, brokers int) *rig {
	t.Helper()
	r := &rig{t: t, net: &kfake.VirtualNetwork{}, reg: prometheus.NewRegistry()}
	ports := make([]int, brokers)
	for i := range ports {
		ports[i] = 9092 + i
	}
	fake, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.Ports(ports...), kfake.ListenFn(r.net.Listen))
	require.NoError(t, err)
	r.fake = fake
	r.cable = &cable{dial: r.net.DialContext, conns: map[net.Conn]bool{}}
	core, logs := observer.New(zap.InfoLevel)
	r.log, r.logs = zap.New(core), logs
	r.c, err = kafka.New(kafka.Options{Brokers: fake.ListenAddrs(), Dial: r.cable.Dial, Log: r.log})
	require.NoError(t, err)
	_, err = r.c.EnsureTopics(t.Context(), services)
	require.NoError(t, err)
	return r
}

// cable is the way to the broker.
type cable struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func (c *cable) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	cut := c.cut
	c.mu.Unlock()
	if cut {
		return nil, errors.New("the cable is cut")
	}
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn = resetting{conn}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn] = true
	return conn, nil
}

// resetting fails as a TCP connection does, not as a pipe.
type resetting struct{ net.Conn }

func (r resetting) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	return n, reset("read", err)
}

func (r resetting) Write(b []byte) (int, error) {
	n, err := r.Conn.Write(b)
	return n, reset("write", err)
}

func reset(op string, err error) error {
	if !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, syscall.ECONNRESET)}
}

func (c *cable) Cut(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	if cut {
		for conn := range c.conns {
			conn.Close()
			delete(c.conns, conn)
		}
	}
}

func (r *rig) openProducer(trouble func(error)) (routing.Producer, error) {
	return r.c.OpenProducer(trouble)
}

// client is an independent client.
func (r *rig) client(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(r.fake.ListenAddrs()...), kgo.Dialer(r.net.DialContext),
	}, opts...)...)
	require.NoError(r.t, err)
	return cl
}

// records reads a whole topic, checks each record against its schema, and
// returns them by partition, in order.
func (r *rig) records(topic string) []*kgo.Record {
	r.t.Helper()
	cl := r.client()
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(r.t.Context(), topic)
	require.NoError(r.t, err)
	require.NoError(r.t, ends.Error())
	want := 0
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		want += int(o.Offset)
		from[o.Partition] = kgo.NewOffset().AtStart()
	})
	if want == 0 {
		return nil
	}
	reader := r.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	defer reader.Close()
	var out []*kgo.Record
	for len(out) < want {
		fetches := reader.PollFetches(r.t.Context())
		require.NoError(r.t, fetches.Err())
		out = append(out, fetches.Records()...)
	}
	if !strings.HasPrefix(topic, "nabat.replies.") {
		for _, rec := range out {
			r.valid(topic, rec)
		}
	}
	return out
}

// valid checks a record that the engine published against the contract.
func (r *rig) valid(topic string, rec *kgo.Record) {
	r.t.Helper()
	name := map[string]string{routing.JournalTopic: "journal", routing.DeadLetterTopic: "deadletter"}[topic]
	if name == "" {
		name = "incident"
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(rec.Value))
	require.NoError(r.t, err)
	require.NoError(r.t, schema(r.t, name).Validate(doc), "%s", rec.Value)
	require.Len(r.t, rec.Headers, 1)
	require.Equal(r.t, "content-type", rec.Headers[0].Key)
	e := parse(r.t, rec)
	if name != "deadletter" {
		require.Equal(r.t, e.Subject, string(rec.Key), "the key is the incident's id")
	}
}

// event is what a stranger reads of a record.
type event struct {
	ID      string
	Source  string
	Type    string
	Subject string
	Data    json.RawMessage
}

func parse(t testing.TB, rec *kgo.Record) event {
	t.Helper()
	var e event
	require.NoError(t, json.Unmarshal(rec.Value, &e))
	return e
}

// schemas compiles the embedded schemas once.
var schemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	files, err := kafka.Schemas.ReadDir("schemas")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		raw, err := kafka.Schemas.ReadFile("schemas/" + f.Name())
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		if err := c.AddResource("file:///schemas/"+f.Name(), doc); err != nil {
			return nil, err
		}
	}
	out := map[string]*jsonschema.Schema{}
	for _, f := range files {
		s, err := c.Compile("file:///schemas/" + f.Name())
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(f.Name(), ".v1.json")] = s
	}
	return out, nil
})

func schema(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	all, err := schemas()
	require.NoError(t, err)
	require.Contains(t, all, name)
	return all[name]
}
