// Package embedded is the Kafka broker of an engine that was given none.
//
// It is kfake, which speaks the real protocol, with its files on disk and every
// batch flushed before it is confirmed. One broker, loopback only, no
// passwords: whoever is on the machine may read and write, as the embedded
// set-up is one machine that belongs to one owner. A city uses its own brokers.
//
// It creates no topic by itself: the engine does, at its start, with the
// partitions it wants, exactly as on a real broker. A lock file keeps a second
// broker off the same files. Known limit: kfake reports no error when a flush
// fails; a full or dying disk shows in its log and in the engine's own checks.
package embedded

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
)

// ErrLocked says that another process has the files.
var ErrLocked = errors.New("already in use by another broker")

// Options say where the broker lives.
type Options struct {
	Dir    string // its files; made if missing
	Listen string // host:port on loopback; port 0 lets the kernel choose
	Log    *zap.Logger
}

// Broker is running from Start until Close.
type Broker struct {
	cluster *kfake.Cluster
	lock    *os.File
}

// Start opens the files, replays them and listens.
func Start(o Options) (_ *Broker, err error) {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("the embedded broker listens on loopback only, not on %q", o.Listen)
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	lock, err := acquire(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("nabat-embedded"),
		kfake.DataDir(filepath.Join(o.Dir, "log")),
		kfake.SyncWrites(),
		kfake.DefaultNumPartitions(1),
		// kfake asks for a port; the address is ours to choose.
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, o.Listen) }),
		kfake.WithLogger(logger{o.Log.Named("kafka.embedded").Sugar()}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded broker: %w", err), lock.Close())
	}
	return &Broker{cluster: cluster, lock: lock}, nil
}

// Addr is where clients connect.
func (b *Broker) Addr() string { return b.cluster.ListenAddrs()[0] }

// Close saves the state and frees the files. It may be called again.
func (b *Broker) Close() error {
	b.cluster.Close()
	if err := b.lock.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is %w", filepath.Dir(path), ErrLocked)
		}
		return nil, err
	}
	return f, nil
}

// logger hands kfake's lines on; its «info» is one per request, our debug.
type logger struct{ log *zap.SugaredLogger }

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Errorf(format, args...)
	case kfake.LogLevelWarn:
		l.log.Warnf(format, args...)
	default:
		l.log.Debugf(format, args...)
	}
}
