package alarms

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	notifications *prometheus.CounterVec
	verdicts      *prometheus.CounterVec
	clockWrong    prometheus.Counter
	mismatch      prometheus.Counter
	strangers     prometheus.Counter
	gathered      prometheus.Counter
	seenFailed    prometheus.Counter
	panics        prometheus.Counter
	early         prometheus.CounterFunc

	// Children looked up once: With hashes its labels on every call.
	original, repeat prometheus.Counter
	verdict          [len(verdictNames)]prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, early func() float64) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		notifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nabat_alarms_notifications_total", Help: "Notifications committed.",
		}, []string{"kind"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nabat_alarms_verdicts_total", Help: "What became of good frames.",
		}, []string{"verdict"}),
		clockWrong: counter("nabat_alarms_clock_wrong_total", "Messages whose own time is outside the window or no time."),
		mismatch:   counter("nabat_alarms_account_mismatch_total", "Messages whose envelope and data name different accounts."),
		strangers:  counter("nabat_alarms_unknown_account_total", "Messages with events from accounts nobody registered."),
		gathered:   counter("nabat_alarms_strangers_gathered_total", "Alarms of unknown accounts that went to the one draft for all, because too many had their own."),
		seenFailed: counter("nabat_alarms_last_seen_failed_total", "Flushes of «last seen» that failed and will be repeated."),
		panics:     counter("nabat_alarms_panics_total", "Takes of messages that panicked: each is a bug."),
		early: prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "nabat_alarms_window_early_total", Help: "Keys of repeats that were forgotten early because the memory was full.",
		}, early),
	}
	reg.MustRegister(m.notifications, m.verdicts, m.clockWrong, m.mismatch, m.strangers, m.gathered, m.seenFailed, m.panics, m.early)
	m.original = m.notifications.WithLabelValues("original")
	m.repeat = m.notifications.WithLabelValues("repeat")
	for v, name := range verdictNames {
		if name != "" {
			m.verdict[v] = m.verdicts.WithLabelValues(name)
		}
	}
	return m
}
