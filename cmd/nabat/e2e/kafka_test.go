package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// apacheKafka starts one node of a real Apache Kafka in dir and gives its
// address. Its jars were laid there by `make setup-test`.
func apacheKafka(t *testing.T, dir string) string {
	t.Helper()
	java := peer(t, "java", "default-jre-headless")
	lib, err := filepath.Abs(filepath.Join(root, ".cache/kafka/lib"))
	require.NoError(t, err)
	if jars, _ := filepath.Glob(filepath.Join(lib, "kafka_*.jar")); len(jars) == 0 {
		lacking(t, "Apache Kafka is missing in .cache/kafka/lib")
	}
	// Kafka wants to know its ports in advance, so the kernel is asked for free
	// ones; somebody may be faster than Kafka.
	for try := range 3 {
		if addr, err := runKafka(t, java, lib, filepath.Join(dir, fmt.Sprintf("kafka%d", try))); err == nil {
			return addr
		} else {
			t.Log(err)
		}
	}
	require.FailNow(t, "Apache Kafka does not start")
	return ""
}

const properties = `process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[3]s/logs
auto.create.topics.enable=false
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
`

func runKafka(t *testing.T, java, lib, dir string) (string, error) {
	require.NoError(t, os.Mkdir(dir, 0o700))
	broker, controller := freeAddress(t), freeAddress(t)
	config := filepath.Join(dir, "server.properties")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, properties, broker, controller, dir), 0o600))
	id := make([]byte, 16)
	rand.Read(id)
	id[0] &= 0x3f // a name that begins with «-» would be taken for an option
	// Not bound to the test's context: the engine is stopped before its broker.
	jvm := func(class string, args ...string) *exec.Cmd {
		cmd := exec.Command(java, append([]string{
			"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(lib, "*"), class,
		}, args...)...)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
		return cmd
	}
	out, err := jvm("kafka.tools.StorageTool", "format", "--standalone",
		"-t", base64.RawURLEncoding.EncodeToString(id), "-c", config).CombinedOutput()
	require.NoError(t, err, "%s", out)

	path := filepath.Join(dir, "kafka.log")
	log, err := os.Create(path)
	require.NoError(t, err)
	defer log.Close()
	cmd := jvm("kafka.Kafka", config)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(patience):
			cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("Kafka's log ends:\n%s", tail(path, 3000))
		}
	})
	var dead error
	await(t, "Kafka to answer", func() (none struct{}, _ error) {
		select {
		case err := <-exited:
			exited <- err
			dead = fmt.Errorf("kafka: %w: %s", err, tail(path, 2000))
			return none, nil
		default:
		}
		_, err := kcat(t, nil, "-L", "-b", broker, "-m", "2")
		return none, err
	})
	return broker, dead
}

// freeAddress asks the kernel for a port that another program shall take.
func freeAddress(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

// kcat runs the independent client.
func kcat(t *testing.T, stdin []byte, args ...string) ([]byte, error) {
	path := peer(t, "kcat", "kcat")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("kcat %s: %w: %s", args, err, &errs)
	}
	return out, nil
}

// record is one record as kcat prints it.
type record struct {
	Topic     string   `json:"topic"`
	Partition int      `json:"partition"`
	Offset    int64    `json:"offset"`
	Key       string   `json:"key"`
	Payload   string   `json:"payload"`
	Headers   []string `json:"headers"`

	Event cloudEvent `json:"-"`
}

// cloudEvent is what any reader of CloudEvents 1.0 may rely on.
type cloudEvent struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"`
	Type        string `json:"type"`
	Subject     string `json:"subject"`
	Time        string `json:"time"`
	ContentType string `json:"datacontenttype"`
	Schema      string `json:"dataschema"`
	Data        struct {
		Kind    string `json:"kind"`
		Service string `json:"service"`
		Version int    `json:"version"`

		Assignment *struct {
			Rule    string `json:"rule"`
			Ruleset int    `json:"ruleset"`
		} `json:"assignment"`
		Card struct {
			Number       int    `json:"number"`
			State        string `json:"state"`
			Origin       string `json:"origin"`
			Type         string `json:"type"`
			Place        string `json:"place"`
			Description  string `json:"description"`
			Caller       string `json:"caller"`
			FacilityID   string `json:"facilityId"`
			FacilityName string `json:"facilityName"`
		} `json:"card"`
	} `json:"data"`
}

// records reads a whole topic.
func records(t *testing.T, broker, topic string) ([]record, error) {
	out, err := kcat(t, nil, "-C", "-b", broker, "-t", topic, "-o", "beginning", "-e", "-J", "-q")
	if err != nil {
		return nil, err
	}
	var all []record
	for line := range strings.Lines(string(out)) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("kcat says %q: %w", line, err)
		}
		if err := json.Unmarshal([]byte(r.Payload), &r.Event); err != nil {
			return nil, fmt.Errorf("record %q: %w", r.Payload, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// produce writes one record.
func produce(t *testing.T, broker, topic, key string, value any) {
	t.Helper()
	line, err := json.Marshal(value)
	require.NoError(t, err)
	_, err = kcat(t, append(line, '\n'), "-P", "-b", broker, "-t", topic, "-k", key, "-X", "acks=all")
	require.NoError(t, err)
}
