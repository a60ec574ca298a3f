package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"nabat/alarms"
	"nabat/alarms/listen"
	alarmsdb "nabat/alarms/postgres"
	"nabat/console"
	consoledb "nabat/console/postgres"
	"nabat/console/ws"
	"nabat/dispatch"
	"nabat/dispatch/postgres"
	"nabat/migrations"
	"nabat/routing"
	"nabat/routing/kafka"
	routingdb "nabat/routing/postgres"
	"nabat/sip/gateway"
	"nabat/sip/media"
)

// Sockets are open already; nil ones are not served. The engine closes them.
type Sockets struct {
	SIPUDP    net.PacketConn
	SIPTCP    net.Listener
	AlarmsUDP net.PacketConn
	AlarmsTCP net.Listener
	Console   net.Listener
	Ops       net.Listener
}

// SIP says how the telephone line behaves; zero values are the gateway's defaults.
type SIP struct {
	Host          string // announced in Contact and Via; empty: the socket's address
	Port          int    // announced with it; 0: the socket's
	Peers         []netip.Prefix
	Calls, Legs   int
	Silence, Slow time.Duration
}

// RTP says where voice arrives.
type RTP struct {
	Bind             netip.Addr
	Announce         string // empty: Bind
	PortMin, PortMax int    // both 0: the kernel chooses
	Listen           func(network, address string) (net.PacketConn, error)
}

// Drain bounds the steps of a stop.
type Drain struct{ Intake, Relay, Console, Database time.Duration }

// Options are what an engine is made of.
type Options struct {
	Postgres string // URL of the engine's role
	// Migrate is the URL of the role that owns the schema, used at the start alone;
	// empty: Postgres, whose role then owns it or finds it as this version wants it.
	Migrate string
	Kafka   kafka.Options
	Sockets Sockets
	SIP     SIP
	RTP     RTP
	// PanelsPerSource bounds the panels' TCP connections of one address; 0: a
	// quarter of all.
	PanelsPerSource int
	// Connections bounds those of consoles and API; 0: a share of the open files.
	Connections int
	// TLS is what the console is served with, and the operations address when
	// others than this machine can reach it; nil: plain HTTP, loopback only.
	TLS *tls.Config
	// AuditDir keeps the signed heads of the journal.
	AuditDir string
	Drain    Drain
	Log      *zap.Logger
	// Durable is asked by /readyz whether the database flushes before it answers.
	// Nil skips the question.
	Durable func(context.Context) error
	// Alone says that no other node can work on this database: what an earlier run
	// held is nobody's, and its calls are lost at once instead of after a silence.
	Alone bool
	// Node is this machine's name among nodes.
	Node string
	// NoNotify keeps the engine from waiting in a database socket, which would
	// freeze virtual time; readers then wake by this process's commits and polling.
	NoNotify bool
}

// Engine is a house ready to be run.
type Engine struct {
	o       Options
	log     *zap.Logger
	run     dispatch.RunID
	metrics *prometheus.Registry

	pool       *postgres.Pool
	wake       *postgres.Wake
	writer     *postgres.Writer
	store      *postgres.Store
	runs       *postgres.Runs
	alarmStore *alarmsdb.Store
	ruleStore  *routingdb.Store
	people     *consoledb.Store

	partitions   *alarmsdb.Partitions
	rules        *routing.Holder
	registry     *alarms.Registry
	registryMark string
	receiver     *alarms.Receiver
	listeners    *listen.Server
	share        share
	line         *gateway.Gateway
	cluster      *kafka.Cluster
	relay        *routing.Relay
	replies      *routing.Replies
	console      *console.Server
	sockets      *ws.Server
}

// leaseTerm is how long another node waits before it takes over the relay.
const leaseTerm = 10 * time.Second

// New builds an engine and does what must be done before anybody is answered.
// The caller runs Stages and then calls Close.
func New(ctx context.Context, o Options) (_ *Engine, err error) {
	e := &Engine{o: o, log: o.Log, run: dispatch.NewRunID(), metrics: newMetrics(), wake: postgres.NewWake(), share: shareOf(openFiles())}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	if err := e.migrate(ctx); err != nil {
		return nil, err
	}
	if e.pool, err = postgres.Open(ctx, o.Postgres, postgres.PoolOptions{MaxConns: 24}); err != nil {
		return nil, err
	}
	e.writer = postgres.NewWriter(e.pool, e.log, postgres.WriterOptions{Wake: e.wake, Registerer: e.metrics})
	e.store = postgres.NewStore(e.pool, e.writer)
	e.runs = postgres.NewRuns(e.pool, e.store, e.log, postgres.RunsOptions{ID: e.run, Node: o.Node, Registerer: e.metrics})
	e.alarmStore = alarmsdb.NewStore(e.pool, e.writer)
	e.ruleStore = routingdb.NewStore(e.pool, e.store)
	e.people = consoledb.New(e.pool, e.store)
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"runs", e.announce}, {"rules", e.loadRules}, {"alarm side", e.buildAlarms}, {"telephone side", e.buildLine},
		{"broker side", e.buildBroker}, {"consoles", e.buildConsole},
	} {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return e, nil
}

func (e *Engine) migrate(ctx context.Context) error {
	owner := e.o.Migrate
	if owner == "" {
		// A role that owns nothing may find everything done by «nabat migrate».
		if n, err := migrations.Pending(ctx, e.o.Postgres); err == nil && n == 0 {
			return nil
		}
		owner = e.o.Postgres
	}
	done, err := migrations.Run(ctx, owner, e.o.Postgres)
	for _, m := range done {
		e.log.Info("migration done", zap.Int64("version", m.Version), zap.String("name", m.Name))
	}
	if err != nil && e.o.Migrate == "" {
		return fmt.Errorf("%w (a role that does not own the schema cannot migrate: name the owner by --postgres-migrate-url, here or for «nabat migrate»)", err)
	}
	return err
}

// Close frees what New took. It comes after the stages have ended.
func (e *Engine) Close() {
	if e.pool != nil {
		e.pool.Close()
	}
}

// Rules gives the ruleset that was published last, and publishes the built-in
// one into a database that has none.
func Rules(ctx context.Context, store *routingdb.Store) (*routing.Ruleset, error) {
	p, err := store.Active(ctx)
	if errors.Is(err, dispatch.ErrNotFound) {
		set, err := routing.Compile("default.yaml", routing.Default, routing.DefaultVocabulary())
		if err != nil {
			return nil, err
		}
		number, _, err := store.Publish(ctx, set, dispatch.System, time.Now())
		return set.WithNumber(number), err
	}
	if err != nil {
		return nil, err
	}
	return Compiled(p)
}

// Compiled makes a published ruleset ready for use.
func Compiled(p routingdb.Published) (*routing.Ruleset, error) {
	set, err := routing.Compile(fmt.Sprintf("ruleset-%d.yaml", p.Number), p.Body, routing.DefaultVocabulary())
	if err != nil {
		return nil, err
	}
	return set.WithNumber(p.Number), nil
}

// announce makes this life known before it can hold a call.
func (e *Engine) announce(ctx context.Context) error {
	if err := e.runs.Announce(ctx); err != nil || !e.o.Alone {
		return err
	}
	return e.runs.Inherit(ctx)
}

func (e *Engine) loadRules(ctx context.Context) error {
	set, err := Rules(ctx, e.ruleStore)
	if err != nil {
		return err
	}
	e.rules = routing.NewHolder(set, e.log, e.metrics)
	return nil
}

func (e *Engine) buildAlarms(ctx context.Context) error {
	e.partitions = alarmsdb.NewPartitions(e.pool, time.Now, e.log, e.metrics)
	if err := e.partitions.Ensure(ctx); err != nil {
		return err
	}
	// Marked before it is read: a change in between is then read twice, not missed.
	var err error
	if e.registryMark, err = e.alarmStore.Mark(ctx); err != nil {
		return err
	}
	panels, err := e.alarmStore.Panels(ctx)
	if err != nil {
		return err
	}
	e.registry = &alarms.Registry{}
	e.registry.Replace(panels)
	e.receiver = alarms.NewReceiver(e.alarmStore, e.registry, e.rules, e.log, e.metrics)
	if err := e.receiver.Load(ctx, e.alarmStore, time.Now()); err != nil {
		return err
	}
	e.listeners = listen.New(e.receiver, e.log, listen.NewMetrics(e.metrics), listen.Options{
		MaxConns: e.share.panels, PerSource: e.o.PanelsPerSource,
	})
	return nil
}

func (e *Engine) buildLine(context.Context) error {
	bind := e.o.RTP.Bind
	if !bind.IsValid() {
		bind = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	pool, err := media.New(media.Config{
		Bind: bind, Host: e.o.RTP.Announce, PortMin: e.o.RTP.PortMin, PortMax: e.o.RTP.PortMax,
		Listen: e.o.RTP.Listen, Log: e.log, Metrics: e.metrics,
	})
	if err != nil {
		return err
	}
	e.line, err = gateway.New(gateway.Config{
		Intake: e.store, Media: pool, Run: e.run, Drain: e.o.Drain.Intake / 2,
		Host: e.o.SIP.Host, Port: e.o.SIP.Port, Peers: e.o.SIP.Peers, Calls: e.o.SIP.Calls, Legs: e.o.SIP.Legs,
		Silence: e.o.SIP.Silence, Slow: e.o.SIP.Slow, Connections: e.share.trunks,
		Log: e.log, Metrics: e.metrics,
	})
	return err
}

func (e *Engine) buildBroker(context.Context) error {
	o := e.o.Kafka
	o.Log = e.log
	var err error
	if e.cluster, err = kafka.New(o); err != nil {
		return err
	}
	open := func(trouble func(error)) (routing.Producer, error) { return e.cluster.OpenProducer(trouble) }
	e.relay, err = routing.NewRelay(routing.RelayOptions{
		Journal: e.store, Wake: e.wake, Cursors: e.ruleStore, Cards: e.ruleStore, Open: open,
		Services: routing.DefaultVocabulary().Services, Log: e.log, Metrics: e.metrics,
	})
	if err != nil {
		return err
	}
	e.replies = routing.NewReplies(routing.RepliesOptions{
		Consumer: func() (routing.Consumer, error) {
			return e.cluster.OpenReplies(kafka.Group, routing.DefaultVocabulary().Services)
		},
		Open: open, Taker: e.ruleStore, Log: e.log, Metrics: e.metrics,
	})
	return nil
}

func (e *Engine) buildConsole(context.Context) error {
	var err error
	e.console, err = console.New(console.Options{
		House: e.store, Store: e.people, Router: e.rules, Logger: e.log, Wake: e.wake,
		HangUp: hangUp{e.line}, Registerer: e.metrics,
	})
	if err != nil {
		return err
	}
	if e.o.Connections <= 0 {
		e.o.Connections = e.share.consoles
	}
	// The rest is for pages, logins and programs while every place of a console is taken.
	e.sockets = ws.New(e.console, e.log, ws.Options{MaxSockets: max(1, e.o.Connections*3/4)})
	return nil
}

// hangUp is the telephone line as the console wants it.
type hangUp struct{ line *gateway.Gateway }

func (h hangUp) HangUp(ctx context.Context, id dispatch.ContactID, by dispatch.Actor) error {
	return h.line.HangUp(ctx, id, by, "ended at a console")
}
