package listen

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"nabat/alarms/dc09"
)

// Metrics count what comes in before anybody knows what it means. One value
// serves all listeners of a process.
type Metrics struct {
	frames   *prometheus.CounterVec
	bad      *prometheus.CounterVec
	replies  *prometheus.CounterVec
	foreign  *prometheus.CounterVec
	full     *prometheus.CounterVec
	dropped  *prometheus.CounterVec
	quirks   *prometheus.CounterVec
	conns    prometheus.Gauge
	latency  prometheus.Histogram
	junkOcts prometheus.Counter
	panics   prometheus.Counter

	badCRC, badLength, badJunk prometheus.Counter
	reply                      [4]prometheus.Counter
}

// NewMetrics registers the counters; with nil they stay private.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &Metrics{
		frames:  vec("nabat_dc09_frames_total", "Good frames.", "transport"),
		bad:     vec("nabat_dc09_bad_total", "Octets refused before they were a frame.", "reason"),
		replies: vec("nabat_dc09_replies_total", "What frames were answered with.", "reply"),
		foreign: vec("nabat_dc09_foreign_total", "Connections and datagrams of other protocols, dropped unanswered.", "protocol"),
		full:    vec("nabat_dc09_full_total", "Connections and datagrams turned away because a bound was reached.", "what"),
		dropped: vec("nabat_dc09_dropped_total", "Connections closed by us: no first frame in time, or idle and their place needed.", "reason"),
		quirks:  vec("nabat_dc09_quirks_total", "Frames that needed forgiveness.", "quirk"),
		conns:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "nabat_dc09_connections", Help: "Open TCP connections of panels."}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nabat_dc09_answer_seconds", Help: "From a whole frame to its reply, the commit included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		junkOcts: prometheus.NewCounter(prometheus.CounterOpts{Name: "nabat_dc09_junk_octets_total", Help: "Octets that belonged to no frame."}),
	}
	m.panics = prometheus.NewCounter(prometheus.CounterOpts{Name: "nabat_dc09_panics_total", Help: "Frames whose handling panicked: each is a bug."})
	reg.MustRegister(m.frames, m.bad, m.replies, m.foreign, m.full, m.dropped, m.quirks, m.conns, m.latency, m.junkOcts, m.panics)
	m.badCRC, m.badLength, m.badJunk = m.bad.WithLabelValues("crc"), m.bad.WithLabelValues("length"), m.bad.WithLabelValues("junk")
	for r := range m.reply {
		m.reply[r] = m.replies.WithLabelValues(dc09.Reply(r).String())
	}
	return m
}

// refused counts what Next would not cut.
func (m *Metrics) refused(err error, octets int) {
	switch {
	case errors.Is(err, dc09.ErrCRC):
		m.badCRC.Inc()
	case errors.Is(err, dc09.ErrLength):
		m.badLength.Inc()
	default:
		m.badJunk.Inc()
		m.junkOcts.Add(float64(octets))
	}
}

func (m *Metrics) forgiven(f dc09.Frame) {
	if f.Form == dc09.CRCRaw {
		m.quirks.WithLabelValues("raw_crc").Inc()
	}
	for q, name := range map[dc09.Quirks]string{
		dc09.LengthDecimal: "decimal_length", dc09.LengthCountsCR: "length_counts_cr", dc09.CRCOverCR: "crc_over_cr",
	} {
		if f.Quirks&q != 0 {
			m.quirks.WithLabelValues(name).Inc()
		}
	}
}
