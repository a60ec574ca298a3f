package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kzap"
	"go.uber.org/zap"
)

// Options say how the brokers are reached.
type Options struct {
	// Brokers are the addresses to start from, host:port.
	Brokers []string
	// ClientID is shown in the brokers' logs; empty is nabat.
	ClientID string
	// TLS, if set, is used for every connection.
	TLS *tls.Config
	// Dial, if set, replaces the network: in-memory in tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *zap.Logger
}

// Cluster makes clients of one Kafka cluster.
type Cluster struct {
	o   Options
	log *zap.Logger
}

// New checks the options and does no I/O.
func New(o Options) (*Cluster, error) {
	if len(o.Brokers) == 0 {
		return nil, errors.New("no broker's address")
	}
	for _, b := range o.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return nil, fmt.Errorf("broker's address %q: %w", b, err)
		}
	}
	if o.ClientID == "" {
		o.ClientID = "nabat"
	}
	return &Cluster{o: o, log: o.Log.Named("routing.kafka")}, nil
}

// client makes a franz-go client with what all of ours share.
func (c *Cluster) client(more ...kgo.Opt) (*kgo.Client, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.o.Brokers...),
		kgo.ClientID(c.o.ClientID),
		kgo.SoftwareNameAndVersion("nabat", "1"),
		kgo.DisableClientMetrics(), // the broker need not know how we are
		kgo.Dialer(c.dial),
		kgo.AlwaysRetryEOF(), // a broker that hangs up at once is one that is starting
		kgo.RetryBackoffFn(backoff),
		// Trouble is counted and told once by package routing; the client's own
		// lines, one for each try, are for a debugger.
		kgo.WithLogger(clientLog{kzap.New(c.log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel)))}),
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return cl, nil
}

// clientLog keeps back what polling tells as well: that the group's session was
// lost. At every normal stop it is lost, and an error in the log would be a lie.
type clientLog struct{ *kzap.Logger }

// Log is kgo.Logger's.
func (l clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	if msg != groupLost {
		l.Logger.Log(level, msg, keyvals...)
	}
}

const groupLost = "group manage loop errored"

const dialTimeout = 5 * time.Second

// dial connects to a broker. Every failure looks passing to the client: for one
// that it takes for final (no such host, no permission) it would ask for its
// producer id again and again without a pause, and a name that is not found now
// may be found when the resolver is back.
func (c *Cluster) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := c.connect(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: passing{err.Error()}}
	}
	return conn, nil
}

func (c *Cluster) connect(ctx context.Context, network, address string) (net.Conn, error) {
	dial := c.o.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil || c.o.TLS == nil {
		return conn, err
	}
	cfg := c.o.TLS.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// passing is a failure whose kind is not shown on purpose.
type passing struct{ text string }

func (p passing) Error() string { return p.text }

// backoff is how long the client waits after some failures in a row. A city
// waits for these records, so the longest is short.
func backoff(tries int) time.Duration {
	return min(50*time.Millisecond<<min(tries, 10), 2*time.Second)
}
