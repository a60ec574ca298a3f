// Package tally counts what a simulator sent and what became of it.
//
// A Tally is safe for concurrent use and never blocks for long: a few counters
// and a histogram under one mutex. Latencies are kept in buckets about 1.6 %
// wide from a microsecond to hours, so a quantile is exact to that, whatever the
// number of samples; the greatest one is kept exactly.
package tally

import (
	"fmt"
	"io"
	"maps"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// Tally is one running count.
type Tally struct {
	name    string
	started time.Time

	mu      sync.Mutex
	sent    int64
	acked   int64
	refused int64
	lost    int64
	retried int64
	last    time.Time // of the last thing that was counted
	notes   map[string]int64
	order   []string
	hist    histogram
	failure string // the first one, for people
}

// New starts a count under a name that people read.
func New(name string) *Tally {
	return &Tally{name: name, started: time.Now(), notes: map[string]int64{}}
}

func (t *Tally) count(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Now()
	f()
}

// Sent counts one signal given to the network for the first time.
func (t *Tally) Sent() { t.count(func() { t.sent++ }) }

// Retried counts one repetition of a signal that was not answered.
func (t *Tally) Retried() { t.count(func() { t.retried++ }) }

// Acknowledged counts a signal that was answered well, and how long that took
// from its first sending.
func (t *Tally) Acknowledged(after time.Duration) {
	t.count(func() { t.acked++; t.hist.add(after) })
}

// Refused counts a signal that was answered with a refusal. The first reason is
// kept for the report.
func (t *Tally) Refused(why string) {
	t.count(func() { t.refused++; t.because(why) })
}

// Lost counts a signal that nobody answered however often it was sent.
func (t *Tally) Lost(why string) {
	t.count(func() { t.lost++; t.because(why) })
}

func (t *Tally) because(why string) {
	if t.failure == "" {
		t.failure = why
	}
}

// Withdrawn takes a signal back whose sender was told to stop before anybody
// answered: it is neither acknowledged nor lost.
func (t *Tally) Withdrawn() {
	t.count(func() { t.sent-- })
	t.Note("withdrawn", 1)
}

// Note counts something else under its own name: packets heard, duplicates.
func (t *Tally) Note(name string, n int64) {
	t.count(func() {
		if _, known := t.notes[name]; !known {
			t.order = append(t.order, name)
		}
		t.notes[name] += n
	})
}

// Report is a tally at one moment, as --json prints it.
type Report struct {
	Name         string           `json:"name"`
	Sent         int64            `json:"sent"`
	Acknowledged int64            `json:"acknowledged"`
	Refused      int64            `json:"refused"`
	Lost         int64            `json:"lost"`
	Retried      int64            `json:"retried"`
	Seconds      float64          `json:"seconds"`
	PerSecond    float64          `json:"perSecond"`
	Latency      Latency          `json:"latencyMs"`
	Notes        map[string]int64 `json:"notes,omitempty"`
	Failure      string           `json:"failure,omitempty"`

	order []string
}

// Latency holds quantiles in milliseconds; all zero when nothing was answered.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Report takes a snapshot.
func (t *Tally) Report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Report{
		Name: t.name, Sent: t.sent, Acknowledged: t.acked, Refused: t.refused, Lost: t.lost,
		Retried: t.retried, Failure: t.failure, order: slices.Clone(t.order),
		Latency: Latency{
			P50: ms(t.hist.quantile(0.50)), P95: ms(t.hist.quantile(0.95)),
			P99: ms(t.hist.quantile(0.99)), Max: ms(t.hist.most),
		},
	}
	if d := t.last.Sub(t.started); d > 0 {
		r.Seconds = math.Round(d.Seconds()*1000) / 1000
		r.PerSecond = math.Round(float64(t.acked)/d.Seconds()*10) / 10
	}
	if len(t.notes) > 0 {
		r.Notes = maps.Clone(t.notes)
	}
	return r
}

// Whole tells that everything sent was acknowledged.
func (r Report) Whole() bool {
	return r.Lost == 0 && r.Refused == 0 && r.Sent == r.Acknowledged
}

// Print writes the report for a person, Russian first.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s\n", r.Name)
	line := func(ru, en string, v any) { fmt.Fprintf(w, "  %-16s %-14s %v\n", ru, en, v) }
	line("отправлено", "sent", r.Sent)
	line("подтверждено", "acknowledged", r.Acknowledged)
	line("отклонено", "refused", r.Refused)
	line("потеряно", "lost", r.Lost)
	line("повторов", "retried", r.Retried)
	line("в секунду", "per second", fmt.Sprintf("%.1f (%.1f s)", r.PerSecond, r.Seconds))
	if r.Acknowledged > 0 {
		line("задержка, мс", "latency, ms", fmt.Sprintf("p50 %.2f  p95 %.2f  p99 %.2f  max %.2f",
			r.Latency.P50, r.Latency.P95, r.Latency.P99, r.Latency.Max))
	}
	for _, n := range r.order {
		line("", n, r.Notes[n])
	}
	if r.Failure != "" {
		line("первая ошибка", "first failure", r.Failure)
	}
}

func ms(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }

// histogram is log-linear over microseconds: 64 buckets for each power of two.
type histogram struct {
	buckets []int64
	count   int64
	most    time.Duration
}

const steps = 6 // 2^6 buckets for each power of two

func bucket(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 1<<steps {
		return int(us)
	}
	shift := bits.Len64(us) - steps - 1
	return (shift+1)<<steps | int(us>>shift)&(1<<steps-1)
}

// upper is the greatest duration of a bucket.
func upper(b int) time.Duration {
	if b < 1<<steps {
		return time.Duration(b) * time.Microsecond
	}
	shift := b>>steps - 1
	return time.Duration((uint64(b&(1<<steps-1)|1<<steps)+1)<<shift-1) * time.Microsecond
}

func (h *histogram) add(d time.Duration) {
	b := bucket(d)
	if b >= len(h.buckets) {
		h.buckets = append(h.buckets, make([]int64, b+1-len(h.buckets))...)
	}
	h.buckets[b]++
	h.count++
	h.most = max(h.most, d)
}

// quantile is the least bucket that at least the share q of the samples are in
// or below, never above the greatest sample.
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	want := int64(math.Ceil(q * float64(h.count)))
	for b, n := range h.buckets {
		if want -= n; want <= 0 {
			return min(upper(b), h.most)
		}
	}
	return h.most
}
