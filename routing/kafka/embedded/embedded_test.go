package embedded_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"nabat/routing/kafka/embedded"
)

// childEnv makes the test binary a broker on the named files, waiting to be killed.
const childEnv = "NABAT_EMBEDDED_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		b, err := embedded.Start(embedded.Options{Dir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(b.Addr())
		select {}
	}
	goleak.VerifyTestMain(m)
}

const topic = "nabat.incidents.fire"

func open(t *testing.T, dir string) *embedded.Broker {
	t.Helper()
	b, err := embedded.Start(embedded.Options{Dir: dir, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr), kgo.RequiredAcks(kgo.AllISRAcks()))...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t *testing.T, addr string) {
	t.Helper()
	_, err := kadm.NewClient(client(t, addr)).CreateTopic(t.Context(), 3, 1, nil, topic)
	require.NoError(t, err)
}

// readAll reads the topic from its beginning to the ends it has now.
func readAll(t *testing.T, addr string) map[string]int {
	t.Helper()
	ends, err := kadm.NewClient(client(t, addr)).ListEndOffsets(t.Context(), topic)
	require.NoError(t, err)
	var want int64
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	cl := client(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := make(map[string]int)
	for n := int64(0); n < want; {
		fetches := cl.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Key)+"="+string(r.Value)]++; n++ })
	}
	return seen
}

func TestConfirmedRecordsAreThereAfterAReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, dir)
	createTopic(t, b.Addr())
	cl := client(t, b.Addr())
	for i := range 20 {
		r := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "incident-%d", i%4), Value: fmt.Append(nil, i)}
		require.NoError(t, cl.ProduceSync(t.Context(), r).FirstErr())
	}
	cl.Close()
	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "a second close is harmless")

	again := open(t, dir)
	seen := readAll(t, again.Addr())
	require.Len(t, seen, 20)
	require.Equal(t, 1, seen["incident-3=19"])
}

// A broker that is killed in the middle of a stream has every confirmed record,
// once.
func TestConfirmedRecordsSurviveKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command(self)
	child.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() { child.Process.Kill(); child.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	addr := strings.TrimSpace(line)

	createTopic(t, addr)
	cl := client(t, addr)
	confirmed := make(chan string, 1000)
	go func() {
		defer close(confirmed)
		for i := 0; ; i++ {
			r := &kgo.Record{Topic: topic, Key: []byte("k"), Value: fmt.Append(nil, i)}
			if cl.ProduceSync(t.Context(), r).FirstErr() != nil {
				return
			}
			confirmed <- "k=" + string(r.Value)
		}
	}()
	var acked []string
	for v := range confirmed {
		if acked = append(acked, v); len(acked) == 100 {
			require.NoError(t, child.Process.Kill())
			child.Wait()
			cl.Close() // an idempotent producer gives up a record of unknown fate only now
		}
	}
	require.GreaterOrEqual(t, len(acked), 100)

	b := open(t, dir)
	seen := readAll(t, b.Addr())
	for _, v := range acked {
		require.Equal(t, 1, seen[v], v)
	}
}

func TestNoTopicAppearsByItself(t *testing.T) {
	t.Parallel()
	b := open(t, t.TempDir())
	cl := client(t, b.Addr(), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(1))
	err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr()
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	_, err := embedded.Start(embedded.Options{Dir: dir, Listen: "127.0.0.1:0"})
	require.ErrorIs(t, err, embedded.ErrLocked)
	for _, addr := range []string{"0.0.0.0:0", "192.0.2.1:0", "localhost", ":9092"} {
		_, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Listen: addr})
		require.Error(t, err, addr)
		require.NotErrorIs(t, err, embedded.ErrLocked)
	}
}
