package routing

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"nabat/dispatch"
)

// Holder is the ruleset in force: a dispatch.Router whose rules can be replaced
// while it is asked.
type Holder struct {
	log     *zap.Logger
	failed  *prometheus.CounterVec
	current atomic.Pointer[held]
}

// held is a ruleset in force and which of its rules have been reported as broken.
type held struct {
	set  *Ruleset
	told sync.Map // rule name → struct{}
}

// NewHolder starts with a set; reg may be nil.
func NewHolder(set *Ruleset, log *zap.Logger, reg prometheus.Registerer) *Holder {
	h := &Holder{
		log: log.Named("routing.rules"),
		failed: counterVec(reg, "nabat_rules_failed_total",
			"Evaluations of a rule that failed; the catch-all applied.", "rule"),
	}
	h.Replace(set)
	return h
}

// Replace puts another set in force. Decisions under way finish with the old one.
func (h *Holder) Replace(set *Ruleset) { h.current.Store(&held{set: set}) }

// Ruleset is the set in force.
func (h *Holder) Ruleset() *Ruleset { return h.current.Load().set }

// Decide asks the set in force. Failed rules are counted each time and logged
// once per published set: under an alarm flood one broken rule must not fill
// the disk.
func (h *Holder) Decide(f dispatch.Facts) dispatch.Decision {
	cur := h.current.Load()
	d, failures := cur.set.decide(f, false)
	for _, v := range failures {
		h.failed.WithLabelValues(v.Rule).Inc()
		if _, told := cur.told.LoadOrStore(v.Rule, struct{}{}); !told {
			h.log.Error("a rule cannot be evaluated; the catch-all applies",
				zap.Int("ruleset", cur.set.Number), zap.String("rule", v.Rule), zap.Error(v.Err))
		}
	}
	return d
}
