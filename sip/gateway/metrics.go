package gateway

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	calls    prometheus.Counter
	takeover prometheus.Counter
	ended    *prometheus.CounterVec
	live     prometheus.Gauge
	answered prometheus.Gauge
	messages *prometheus.CounterVec
	refused  *prometheus.CounterVec
	dropped  *prometheus.CounterVec

	respondErrors prometheus.Counter
	repeated      prometheus.Counter
	storeRetries  prometheus.Counter
	unstored      prometheus.Counter
	waiting       *prometheus.CounterVec
	expired       prometheus.Counter
	probes        prometheus.Counter
	byeErrors     prometheus.Counter
	panics        prometheus.Counter
	library       prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Name: "nabat_sip_" + name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts(opts(name+"_total", help)))
		reg.MustRegister(c)
		return c
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts(opts(name+"_total", help)), []string{label})
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		c := prometheus.NewGauge(prometheus.GaugeOpts(opts(name, help)))
		reg.MustRegister(c)
		return c
	}
	return &metrics{
		calls:    counter("calls", "INVITEs taken as a new leg."),
		takeover: counter("takeovers", "INVITEs whose contact was stored by an earlier run."),
		ended:    vec("calls_ended", "Legs ended.", "reason"),
		live:     gauge("legs", "Legs in the table."),
		answered: gauge("answered", "Calls that hold a place."),
		messages: vec("messages", "MESSAGEs by outcome.", "outcome"),
		refused:  vec("refused", "Requests refused.", "status"),
		dropped:  vec("dropped", "Requests or datagrams dropped without an answer.", "why"),

		respondErrors: counter("respond_errors", "Answers that could not be sent."),
		repeated:      counter("answers_repeated", "200s sent again because no ACK came."),
		storeRetries:  counter("store_retries", "Attempts to store that failed and are made again."),
		unstored:      counter("unstored", "Contacts or facts given up because the process ended."),
		waiting:       vec("waited", "Calls that had to ring longer.", "for"),
		expired:       counter("session_expired", "Session timers that ran out. They never end a call, they make us ask."),
		probes:        counter("probes", "OPTIONS within a call that ask whether the caller is still there."),
		byeErrors:     counter("bye_errors", "BYEs of ours that got no good answer."),
		panics:        counter("panics", "Panics that ended one call or request."),
		library:       counter("library_errors", "Errors that the SIP library logged, unreadable messages for the most part."),
	}
}
