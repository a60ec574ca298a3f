package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/console/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type said struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"`
}

func ask(t *testing.T, o ops.Options, path string) (int, string, said) {
	t.Helper()
	w := httptest.NewRecorder()
	ops.Handler(o).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	var s said
	if path == "/readyz" {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &s))
	}
	return w.Code, w.Body.String(), s
}

func TestReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := ops.Check{Name: "database", Ready: func(context.Context) error { return nil }}
		bad := ops.Check{Name: "broker", Ready: func(context.Context) error { return errors.New("нет связи") }}
		hangs := ops.Check{Name: "disk", Ready: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		stuck := make(chan struct{})
		deaf := ops.Check{Name: "deaf", Ready: func(context.Context) error { <-stuck; return nil }}
		panics := ops.Check{Name: "panics", Ready: func(context.Context) error { panic("boo") }}

		code, _, s := ask(t, ops.Options{}, "/readyz")
		require.Equal(t, http.StatusOK, code)
		require.True(t, s.Ready)
		code, _, s = ask(t, ops.Options{Checks: []ops.Check{good}}, "/readyz")
		require.Equal(t, http.StatusOK, code)
		require.Equal(t, said{true, map[string]string{"database": "ok"}}, s)

		began := time.Now()
		code, _, s = ask(t, ops.Options{Checks: []ops.Check{good, bad, hangs, deaf, panics}}, "/readyz")
		require.Equal(t, 2*time.Second, time.Since(began))
		require.Equal(t, http.StatusServiceUnavailable, code)
		require.False(t, s.Ready)
		require.Equal(t, "ok", s.Checks["database"])
		require.Equal(t, "нет связи", s.Checks["broker"])
		require.NotEqual(t, "ok", s.Checks["disk"])
		require.NotEqual(t, "ok", s.Checks["deaf"])
		require.Contains(t, s.Checks["panics"], "boo")
		close(stuck)
	})
}

func TestLifeAndMetrics(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "nabat_test_total"})
	r.MustRegister(c)
	c.Inc()
	o := ops.Options{Gatherer: r, Checks: []ops.Check{{Name: "x", Ready: func(context.Context) error { return errors.New("no") }}}}
	code, _, _ := ask(t, o, "/healthz")
	require.Equal(t, http.StatusOK, code, "a process that is not ready still lives")
	code, body, _ := ask(t, o, "/metrics")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "nabat_test_total 1")
}
