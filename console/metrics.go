package console

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	logins   *prometheus.CounterVec
	commands *prometheus.CounterVec
	requests *prometheus.HistogramVec
	seats    prometheus.Gauge
	ended    *prometheus.CounterVec
	frames   *prometheus.CounterVec
	stale    prometheus.Gauge
	failures prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	m := &metrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nabat_console_logins_total", Help: "Attempts to log in.",
		}, []string{"result"}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nabat_console_commands_total", Help: "Commands of consoles and programs.",
		}, []string{"kind", "result"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "nabat_console_request_seconds", Help: "HTTP API requests.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10},
		}, []string{"operation", "status"}),
		seats: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nabat_console_seats", Help: "Consoles that follow the board.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nabat_console_ended_total", Help: "Consoles that were ended by us.",
		}, []string{"reason"}),
		frames: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nabat_console_frames_total", Help: "Frames handed to consoles.",
		}, []string{"kind"}),
		stale: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nabat_console_stale", Help: "1 while the journal cannot be followed.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nabat_console_journal_failures_total", Help: "Failed reads of the journal.",
		}),
	}
	for _, c := range []prometheus.Collector{
		m.logins, m.commands, m.requests, m.seats, m.ended, m.frames, m.stale, m.failures,
	} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
