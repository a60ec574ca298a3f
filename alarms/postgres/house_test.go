package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"nabat/alarms"
	"nabat/alarms/dc09"
	"nabat/alarms/postgres"
	"nabat/dispatch"
	journal "nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// house is a receiver over a database of its own.
type house struct {
	*alarms.Receiver
	t     *testing.T
	pool  *pgxpool.Pool
	store *postgres.Store
}

type router struct{}

func (router) Decide(f dispatch.Facts) dispatch.Decision {
	return dispatch.Decision{Ruleset: 3, Choices: []dispatch.Choice{{Service: dispatch.Fire, Rule: "пожар", Why: "класс " + f.Class}}}
}

func newHouse(t *testing.T) *house {
	t.Helper()
	pool, err := journal.Open(t.Context(), pgtest.New(t), journal.PoolOptions{MaxConns: 6})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	w := journal.NewWriter(pool, zap.NewNop(), journal.WriterOptions{})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	h := &house{t: t, pool: pool, store: postgres.NewStore(pool, w)}
	require.NoError(t, h.store.Upsert(t.Context(), schools(3), time.Now()))
	h.restart()
	return h
}

// restart makes a new receiver over what the database holds.
func (h *house) restart() {
	panels, err := h.store.Panels(h.t.Context())
	require.NoError(h.t, err)
	var reg alarms.Registry
	reg.Replace(panels)
	h.Receiver = alarms.NewReceiver(h.store, &reg, router{}, zap.NewNop(), prometheus.NewRegistry())
	require.NoError(h.t, h.Load(h.t.Context(), h.store, time.Now()))
}

// schools are n facilities with a panel and two zones each, accounts 1001 and on.
func schools(n int) []alarms.Panel {
	lat, lon := 59.93, 30.33
	var out []alarms.Panel
	for i := 1; i <= n; i++ {
		out = append(out, alarms.Panel{
			Account: fmt.Sprintf("%04d", 1000+i), Heartbeat: 90 * time.Second,
			Facility: alarms.Facility{
				Code: fmt.Sprintf("SCH-%d", i), Name: fmt.Sprintf("Школа № %d", i), Category: "education",
				Address: fmt.Sprintf("Невский пр., %d", i), District: "Центральный", Lat: &lat, Lon: &lon, Phone: "+78120000000",
			},
			Zones: []alarms.Zone{
				{Area: "01", Number: "001", Kind: alarms.ClassFire, Place: "Столовая"},
				{Area: "01", Number: "002", Kind: alarms.ClassPanic, Place: "Вахта"},
			},
		})
	}
	return out
}

func cid(account, event string) []byte {
	return dc09.AppendFrame(nil, []byte(`"ADM-CID"0001L0#`+account+`[#`+account+`|`+event+`]`), dc09.CRCHex)
}

func (h *house) send(account, event string) alarms.Verdict {
	h.t.Helper()
	f, _, err := dc09.Next(cid(account, event), false)
	require.NoError(h.t, err)
	_, v := h.Answer(h.t.Context(), f, "192.0.2.1:999", time.Now(), nil)
	return v
}

// one reads a single value.
func one[T any](h *house, sql string, args ...any) T {
	h.t.Helper()
	var v T
	require.NoError(h.t, h.pool.QueryRow(h.t.Context(), sql, args...).Scan(&v), sql)
	return v
}
