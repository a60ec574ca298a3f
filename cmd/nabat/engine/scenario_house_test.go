package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"nabat/alarms"
	alarmsdb "nabat/alarms/postgres"
	"nabat/cmd/nabat/engine"
	"nabat/cmd/nabat/lifecycle"
	"nabat/console"
	consoledb "nabat/console/postgres"
	"nabat/dispatch/audit"
	"nabat/dispatch/postgres"
	"nabat/routing/kafka"
)

const (
	usSIP   = "192.0.2.1:5060"
	account = "4521"
)

// house is a whole engine in a synctest bubble: everything in memory but the
// PostgreSQL, which is real.
type house struct {
	t      *testing.T
	log    *zap.Logger
	url    string   // the database, for the test's own looks
	door   *doorway // the engine's way to it
	alarms *pipes
	page   *pipes
	ether  *ether
	broker *kfake.Cluster
	net    *kfake.VirtualNetwork
	dir    string
	dying  bool // the engine need not stop in good order

	mu    sync.Mutex
	cut   bool       // the way to the broker; guarded by mu
	conns []net.Conn // to the broker; guarded by mu
}

// newHouse must be called inside the bubble; url is a migrated database, and
// door leads to it.
func newHouse(t *testing.T, url string, door *doorway, dir string) *house {
	h := &house{t: t, log: zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)), url: url, door: door, dir: dir, ether: newEther(), net: &kfake.VirtualNetwork{}}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(h.net.Listen))
	require.NoError(t, err)
	h.broker = broker
	t.Cleanup(broker.Close)
	return h
}

func (h *house) dialBroker(ctx context.Context, network, address string) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut {
		return nil, fmt.Errorf("the way to %s is cut", address)
	}
	conn, err := h.net.DialContext(ctx, network, address)
	if err == nil {
		h.conns = append(h.conns, conn)
	}
	return conn, err
}

// cutBroker takes the engine's way to the broker away, or gives it back.
func (h *house) cutBroker(cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = cut
	for _, c := range h.conns {
		c.Close()
	}
	h.conns = nil
}

// cutAfter lets so many more requests with records for a topic through, and takes
// the way to the broker away at the next one.
func (h *house) cutAfter(topic string, requests int) {
	id := h.broker.TopicInfo(topic).TopicID
	h.broker.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		for _, t := range r.(*kmsg.ProduceRequest).Topics {
			if t.Topic != topic && t.TopicID != id {
				continue
			}
			if requests--; requests < 0 {
				h.cutBroker(true)
				return nil, errors.New("the way is cut"), true
			}
		}
		return nil, nil, false
	})
}

// up starts the engine; down stops it in order.
func (h *house) up() (down func()) {
	h.alarms, h.page = newPipes("alarms"), newPipes("console")
	sip, err := h.ether.listen("udp", usSIP)
	require.NoError(h.t, err)
	e, err := engine.New(h.t.Context(), engine.Options{
		Postgres: h.door.url, Kafka: kafka.Options{Brokers: h.broker.ListenAddrs(), Dial: h.dialBroker},
		Sockets:  engine.Sockets{SIPUDP: sip, AlarmsTCP: h.alarms, Console: h.page},
		RTP:      engine.RTP{Bind: netip.MustParseAddr("192.0.2.1"), Listen: h.ether.listen},
		AuditDir: h.dir, Log: h.log, NoNotify: true,
		// The lease of an engine that died ends by the database's clock, which is real.
		Alone: true,
		Drain: engine.Drain{Intake: 10 * time.Second, Relay: 10 * time.Second, Console: 5 * time.Second, Database: 30 * time.Second},
	})
	require.NoError(h.t, err)
	ctx, stop := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- lifecycle.Run(ctx, h.log, e.Stages()...) }()
	var once sync.Once
	down = func() {
		once.Do(func() {
			stop()
			err := <-ended
			e.Close()
			if !h.dying {
				require.NoError(h.t, err)
			}
		})
	}
	h.t.Cleanup(down) // of a test that failed: nothing may stay in the bubble
	return down
}

// furnish puts one school into the database and one token for each role.
func (h *house) furnish(roles ...string) map[string]string {
	pool, err := postgres.Open(h.t.Context(), h.url, postgres.PoolOptions{})
	require.NoError(h.t, err)
	defer pool.Close()
	lat, lon := 59.93, 30.31
	require.NoError(h.t, alarmsdb.NewStore(pool, nil).Upsert(h.t.Context(), []alarms.Panel{{
		Account:  account,
		Facility: alarms.Facility{Code: "SCH-1", Name: "Школа № 1", Category: "education", Address: "Невский пр., 1", District: "Центральный", Lat: &lat, Lon: &lon},
		Zones:    []alarms.Zone{{Number: "001", Kind: alarms.ClassFire, Place: "гардероб"}},
	}}, time.Now()))
	tokens := map[string]string{}
	for i, role := range roles {
		tokens[role], err = console.CreateToken(h.t.Context(), consoledb.New(pool, nil), fmt.Sprintf("t%d", i), role, 0, time.Now())
		require.NoError(h.t, err)
	}
	return tokens
}

// verifyJournal is `nabat audit verify`.
func (h *house) verifyJournal() {
	pool, err := postgres.Open(h.t.Context(), h.url, postgres.PoolOptions{})
	require.NoError(h.t, err)
	defer pool.Close()
	heads, err := audit.OpenHeads(h.dir)
	require.NoError(h.t, err)
	signed, err := heads.Read()
	require.NoError(h.t, err)
	store := postgres.NewStore(pool, nil)
	require.NoError(h.t, audit.CheckMemory(h.t.Context(), signed, store))
	var rep audit.Report
	require.NoError(h.t, store.Frozen(h.t.Context(), func(v postgres.View) (err error) {
		rep, err = audit.Verify(h.t.Context(), v, v, signed)
		return err
	}))
	require.Empty(h.t, rep.Broken)
	require.Positive(h.t, rep.Heads)
}
