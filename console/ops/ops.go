// Package ops answers the questions of those who keep the engine running, on an
// address of its own: /healthz (the process lives), /readyz (it can do its work;
// each check by name) and /metrics.
//
// It knows nothing of what it is asked about: checks and metrics are handed in.
// Checks of one question run side by side, each for two seconds at most; a check
// that ignores its context still counts as failed then. Nobody logs in here, so
// the address belongs on loopback or in the machines' own network.
package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const checkLimit = 2 * time.Second

// Check is one thing that must be so for the engine to be ready.
type Check struct {
	Name string
	// Ready returns nil, or why not.
	Ready func(context.Context) error
}

// Options are what the handler answers from.
type Options struct {
	Checks   []Check
	Gatherer prometheus.Gatherer
}

var errSlow = errors.New("no answer in time")

// Handler answers /healthz, /readyz and /metrics.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, o.Checks) })
	if o.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{Timeout: 10 * time.Second}))
	}
	return mux
}

type answer struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"`
}

func ready(w http.ResponseWriter, r *http.Request, checks []Check) {
	ctx, cancel := context.WithTimeout(r.Context(), checkLimit)
	defer cancel()
	type said struct {
		name string
		err  error
	}
	answers := make(chan said, len(checks))
	for _, c := range checks {
		// Not waited for beyond its time: a check that hangs ends with its context.
		go func() { answers <- said{c.Name, run(ctx, c)} }()
	}
	a := answer{Ready: true, Checks: map[string]string{}}
	for _, c := range checks {
		a.Checks[c.Name] = errSlow.Error()
	}
	for open := len(checks); open > 0; {
		select {
		case s := <-answers:
			open--
			a.Checks[s.name] = "ok"
			if s.err != nil {
				a.Checks[s.name] = s.err.Error()
				a.Ready = false
			}
		case <-ctx.Done():
			a.Ready, open = false, 0
		}
	}
	status := http.StatusOK
	if !a.Ready {
		status = http.StatusServiceUnavailable
	}
	b, err := json.Marshal(a)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

func run(ctx context.Context, c Check) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panicked: %v", r)
		}
	}()
	return c.Ready(ctx)
}
