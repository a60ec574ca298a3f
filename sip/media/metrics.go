package media

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	sessions   prometheus.Gauge
	received   prometheus.Counter
	sent       prometheus.Counter
	foreign    prometheus.Counter
	late       prometheus.Counter
	early      prometheus.Counter
	invalid    prometheus.Counter
	silences   prometheus.Counter
	sendErrors prometheus.Counter
	portErrors prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "nabat_rtp_" + name + "_total", Help: help})
		reg.MustRegister(c)
		return c
	}
	m := metrics{
		sessions:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "nabat_rtp_sessions", Help: "RTP sockets that are open."}),
		received:   counter("packets_received", "RTP packets taken from callers."),
		sent:       counter("packets_sent", "RTP packets sent to callers."),
		foreign:    counter("packets_foreign", "Packets dropped because they came from another source than the call's."),
		late:       counter("packets_late", "Packets dropped because they belong to the call that had the port before."),
		early:      counter("ports_early", "Ports taken again before their full rest, because none was free."),
		invalid:    counter("packets_invalid", "Packets dropped because they are no RTP of the agreed kind."),
		silences:   counter("silences", "Spells in which a caller's RTP stayed away. They never end a call."),
		sendErrors: counter("send_errors", "RTP packets that could not be sent."),
		portErrors: counter("port_errors", "Ports of the range that could not be opened."),
	}
	reg.MustRegister(m.sessions)
	return m
}
