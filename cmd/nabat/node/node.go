package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"
	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/datadir"
	"nabat/cmd/nabat/engine"
	"nabat/cmd/nabat/lifecycle"
	"nabat/console"
	"nabat/routing/kafka"
)

// Info says where a running node can be reached.
type Info struct {
	Data     string // absolute
	Postgres string // URL of the engine's role, with password
	Migrate  string // URL of the schema's owner; empty: not known
	Brokers  []string
	Listen   map[string]string // really bound, by key: console, alarms_tcp, …
	Console  string            // the page's address
	// Database says where PostgreSQL's files lie when it is ours.
	Database string
}

// Hooks let a command take part. All may be nil.
type Hooks struct {
	// Prepare runs when the database is there and before the engine reads it.
	Prepare func(ctx context.Context, i Info) error
	// Ready is called once everything runs.
	Ready func(Info)
	// Stages run after the engine's and are stopped before them.
	Stages func(Info) []lifecycle.Stage
}

// Run is one life of a node. It returns nil after an orderly stop, also one that
// was asked for before everything was up.
func Run(ctx context.Context, c config.Config, log *zap.Logger, h Hooks) (err error) {
	dir, err := datadir.Hold(c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Release()) }()
	defer func() {
		// Told to stop on the way up: that is no failure of the start.
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			log.Info("stopped before it was ready", zap.NamedError("during", err))
			err = nil
		}
	}()
	info := Info{Data: dir.Path()}
	if c.Listen.IsUnspecified() && c.RTP.Announce == "" {
		return errors.New("--listen names every address of this machine: --rtp-announce must say which of them callers' trunks reach")
	}

	// Whatever was started is undone, last first, until lifecycle takes over.
	var undo []func()
	defer func() {
		for _, u := range slices.Backward(undo) {
			u()
		}
	}()
	sockets, err := open(ctx, c)
	if err != nil {
		return err
	}
	undo = append(undo, func() { shut(sockets) })
	info.Listen = bound(sockets)

	stopping := func(name string, stop func(context.Context) error) func() {
		return func() {
			sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Drain.Database)
			defer cancel()
			if err := stop(sctx); err != nil {
				log.Error("stop after a failed start", zap.String("part", name), zap.Error(err))
			}
		}
	}
	db, err := startDatabase(ctx, c, info.Data, log)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	undo = append(undo, stopping("database", db.stop))
	info.Postgres, info.Migrate = db.url, db.owner
	if db.own != nil {
		info.Database = db.own.Dir()
	}
	br, err := startBroker(c, info.Data, log)
	if err != nil {
		return err
	}
	undo = append(undo, stopping("broker", br.stop))
	info.Brokers = br.addrs
	run := datadir.Run{Postgres: info.Postgres, Owner: info.Migrate, Kafka: info.Brokers, Listen: info.Listen}
	if err := dir.Announce(run); err != nil {
		return err
	}
	if h.Prepare != nil {
		if err := h.Prepare(ctx, info); err != nil {
			return err
		}
	}
	secure, err := consoleTLS(c, info.Data)
	if err != nil {
		return err
	}
	info.Console = consoleAddress(sockets.Console, secure)
	o := engine.Options{
		Postgres: info.Postgres, Migrate: info.Migrate, Kafka: kafka.Options{Brokers: info.Brokers}, Sockets: sockets,
		RTP: rtp(c), TLS: secure, AuditDir: filepath.Join(info.Data, "audit"),
		Drain: engine.Drain{Intake: c.Drain.Intake, Relay: c.Drain.Relay, Console: c.Drain.Console, Database: c.Drain.Database},
		Log:   log, Durable: db.durable, SIP: line(c),
		PanelsPerSource: c.Alarms.PerSource, Connections: c.Console.Connections,
		// The embedded server and its data directory are one engine's, under its lock.
		Alone: db.own != nil, Node: machine(),
	}
	e, err := engine.New(ctx, o)
	if err != nil {
		return err
	}
	undo = nil // from here on the stages do it

	stages := []lifecycle.Stage{
		{Name: "sockets", Limit: time.Second, Stop: func(context.Context) error { shut(sockets); return nil }},
		db.stage(c.Drain.Database), br.stage(c.Drain.Database),
		{Name: "pool", Limit: c.Drain.Database, Stop: func(context.Context) error { e.Close(); return nil }},
	}
	stages = append(stages, e.Stages()...)
	if h.Stages != nil {
		stages = append(stages, h.Stages(info)...)
	}
	stages = append(stages, lifecycle.Stage{Name: "ready", Limit: time.Second, Start: func(context.Context) error {
		if h.Ready != nil {
			h.Ready(info)
		}
		return nil
	}})
	return lifecycle.Run(ctx, log.Named("lifecycle"), stages...)
}

// machine is what people call this computer.
func machine() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

func line(c config.Config) engine.SIP {
	s := engine.SIP{
		Host: c.RTP.Announce, Port: int(c.SIP.AnnouncePort), Calls: c.SIP.Calls, Legs: c.SIP.Legs,
		Silence: c.SIP.Silence, Slow: c.SIP.Slow,
	}
	for _, p := range c.SIP.Peers {
		s.Peers = append(s.Peers, netip.Prefix(p))
	}
	return s
}

func rtp(c config.Config) engine.RTP {
	r := engine.RTP{Bind: c.Listen, Announce: c.RTP.Announce, PortMin: int(c.RTP.Ports.First), PortMax: int(c.RTP.Ports.Last)}
	if !r.Bind.IsValid() {
		r.Bind = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return r
}

// consoleTLS is nil while only this machine can reach the console and no
// certificate was given.
func consoleTLS(c config.Config, data string) (*tls.Config, error) {
	if !c.ConsoleTLS() {
		return nil, nil //nolint:nilnil // plain HTTP is a good answer
	}
	if c.Console.Cert != "" {
		cert, err := tls.LoadX509KeyPair(c.Console.Cert, c.Console.Key)
		if err != nil {
			return nil, fmt.Errorf("console certificate: %w", err)
		}
		return console.TLSConfig(cert), nil
	}
	host, _, err := net.SplitHostPort(c.Bind(c.Console.Address))
	if err != nil {
		return nil, fmt.Errorf("console address: %w", err)
	}
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() && !a.IsLoopback() {
		hosts = append(hosts, host)
	}
	cert, _, err := console.SelfSigned(filepath.Join(data, "tls"), hosts, time.Now())
	if err != nil {
		return nil, fmt.Errorf("console certificate: %w", err)
	}
	return console.TLSConfig(cert), nil
}

func consoleAddress(ln net.Listener, secure *tls.Config) string {
	if ln == nil {
		return ""
	}
	scheme := "http"
	if secure != nil {
		scheme = "https"
	}
	return scheme + "://" + ln.Addr().String() + "/"
}
