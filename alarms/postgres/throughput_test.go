package postgres_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"nabat/alarms"
	"nabat/alarms/dc09"
	"nabat/alarms/postgres"
	journal "nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgtest"
)

// BenchmarkReceiver is the way of one frame from octets to its committed row,
// 512 senders with one frame in flight each, 3 % of them fire alarms. It says
// where the time goes; `make bench` says how fast the house is.
func BenchmarkReceiver(b *testing.B) {
	const senders = 512
	pool, err := journal.Open(b.Context(), pgtest.New(b), journal.PoolOptions{MaxConns: 6})
	require.NoError(b, err)
	defer pool.Close()
	w := journal.NewWriter(pool, zap.NewNop(), journal.WriterOptions{})
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() { stop(); require.NoError(b, <-done) }()
	store := postgres.NewStore(pool, w)
	require.NoError(b, store.Upsert(b.Context(), schools(senders), time.Now()))
	panels, err := store.Panels(b.Context())
	require.NoError(b, err)
	var reg alarms.Registry
	reg.Replace(panels)
	r := alarms.NewReceiver(store, &reg, router{}, zap.NewNop(), prometheus.NewRegistry())
	require.NoError(b, r.Load(b.Context(), store, time.Now()))

	var next atomic.Int64
	b.SetParallelism(senders / 2)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var out []byte
		for pb.Next() {
			i := next.Add(1)
			code := "1602"
			if i%33 == 0 {
				code = "1110"
			}
			f, _, err := dc09.Next(cid(fmt.Sprintf("%04d", 1001+i%senders), fmt.Sprintf("%s 01 %03d", code, i/senders%1000)), false)
			if err != nil {
				b.Error(err)
				return
			}
			var v alarms.Verdict
			if out, v = r.Answer(b.Context(), f, "192.0.2.1:999", time.Now(), out[:0]); v != alarms.Stored {
				b.Error(v)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}
