package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"
)

// callFigures is part 3: INVITEs per second.
type callFigures struct {
	Engine  exchange `json:"engine"`
	Bare    exchange `json:"bareAnswerer"`
	Rows    spread   `json:"rowsOfCalls"`
	Batch   float64  `json:"meanBatch"`
	Ceiling float64  `json:"ceiling"`
	Ratio   float64  `json:"ratio"`
	Calls   int      `json:"calls"` // that rang at the engine
}

// exchange is the highest rate that one answering side held.
type exchange struct {
	PerSecond spread  `json:"perSecond"`
	Ringing   latency `json:"ringingMs"` // INVITE → 180
	// Batch is how many units shared a transaction at that rate.
	Batch float64 `json:"meanBatch,omitempty"`
	// Failed is the lowest rate that was not held, and how it showed.
	Failed    float64 `json:"failedAt"`
	FailedHow string  `json:"failedHow"`
}

const trunks = 8

func measureCalls(ctx context.Context, p plan, e *engine, r *report, say func(string, ...any)) error {
	c := &callFigures{}
	r.Calls = c
	if err := e.settle(ctx); err != nil {
		return err
	}
	before, err := e.db.count(ctx, `SELECT count(*) FROM contacts`)
	if err != nil {
		return err
	}
	var rung int
	units := func() (float64, float64, error) { return e.batches(ctx) }
	if c.Engine, rung, err = search(ctx, p, e.Listen["sip_udp"], "движок / engine", units, say); err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	c.Calls, c.Batch = rung, c.Engine.Batch
	if err := e.checkCalls(ctx, r, before, rung); err != nil {
		return err
	}

	bare, err := startSelf("answerer")
	if err != nil {
		return err
	}
	c.Bare, _, err = search(ctx, p, bare.addrs[0], "голый ответчик / bare answerer", nil, say)
	bare.stop()
	if err != nil {
		return fmt.Errorf("bare answerer: %w", err)
	}

	writers, err := e.db.count(ctx, `SELECT count(*) FROM writers`)
	if err != nil {
		return err
	}
	rows, err := newCallRows(ctx, e.db)
	if err != nil {
		return fmt.Errorf("rows of calls: %w", err)
	}
	var rates []float64
	for range p.slices {
		rate, err := rows.measure(ctx, writers, max(1, int(math.Round(c.Batch))), p.step)
		if err != nil {
			return fmt.Errorf("rows of calls: %w", err)
		}
		rates = append(rates, rate)
	}
	c.Rows = spreadOf(rates...)
	c.Ceiling = both(c.Bare.PerSecond.Median, c.Rows.Median)
	if c.Ceiling > 0 {
		c.Ratio = c.Engine.PerSecond.Median / c.Ceiling
	}
	say("rows of calls without SIP: %s, batches of %.0f", c.Rows.rate(), c.Batch)
	return nil
}

// search raises the rate until it is not held, closes in, and holds the best
// rate for several slices. units, which may be nil, tells what the writers have
// done so far.
func search(ctx context.Context, p plan, peer, name string, units func() (sum, count float64, err error), say func(string, ...any)) (x exchange, rung int, err error) {
	ph, err := openPhones(ctx, peer, trunks)
	if err != nil {
		return x, 0, err
	}
	defer ph.close()
	if units == nil {
		units = func() (float64, float64, error) { return 0, 0, nil }
	}
	try := func(rate float64, d time.Duration) (step, error) {
		s, err := ph.call(ctx, rate, d)
		rung += s.rung
		say("%s: %s", name, s)
		return s, err
	}
	good, bad := 0.0, 0.0
	for rate := 300.0; bad == 0 && rate < 40_000; rate *= 1.8 {
		s, err := try(rate, p.step)
		if err != nil {
			return x, rung, err
		}
		if s.good() {
			good = rate
		} else {
			bad = rate
			x.Failed, x.FailedHow = rate, s.String()
		}
	}
	for range 2 {
		middle := math.Sqrt(max(good, 50) * bad)
		s, err := try(middle, p.step)
		if err != nil {
			return x, rung, err
		}
		if s.good() {
			good = middle
		} else {
			bad = middle
			x.Failed, x.FailedHow = middle, s.String()
		}
	}
	// A rate that was held once by luck is let down a little.
	for tries := 0; good > 0 && tries < 6; tries++ {
		var rates []float64
		var ringing []time.Duration
		sum, count, err := units()
		if err != nil {
			return x, rung, err
		}
		for range p.slices {
			s, err := try(good, p.step)
			if err != nil {
				return x, rung, err
			}
			if !s.good() {
				x.Failed, x.FailedHow = good, s.String()
				break
			}
			rates, ringing = append(rates, s.perSecond), append(ringing, s.ringing...)
		}
		if len(rates) == p.slices {
			x.PerSecond, x.Ringing = spreadOf(rates...), latencyOf(ringing)
			sumAfter, countAfter, err := units()
			x.Batch = (sumAfter - sum) / max(1, countAfter-count)
			return x, rung, err
		}
		good *= 0.88
	}
	return x, rung, nil
}

// checkCalls asks the database for every call that rang. Ends of calls are
// written after their BYE was answered, so that a moment may pass.
func (e *engine) checkCalls(ctx context.Context, r *report, before, rung int) error {
	var live int
	var err error
	for end := time.Now().Add(settleWithin); time.Now().Before(end); {
		live, err = e.db.count(ctx, `SELECT count(*) FROM contacts WHERE state <> 'ended'`)
		if err != nil {
			return err
		}
		if live == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	if live > 0 {
		r.problem("%d calls have not ended in the database", live)
	}
	stored, err := e.db.count(ctx, `SELECT count(*) FROM contacts`)
	if err != nil {
		return err
	}
	// A call whose 180 and 200 were lost on the way is stored and did not ring here.
	if stored-before < rung {
		r.problem("%d calls rang and are not in the database", rung-(stored-before))
	}
	cards, err := e.db.count(ctx, `
		SELECT count(*) FROM contacts c WHERE kind = 'call'
		   AND 1 <> (SELECT count(*) FROM incidents i WHERE i.id = c.incident_id)`)
	if err == nil && cards > 0 {
		r.problem("%d calls have not exactly one card", cards)
	}
	return err
}

func (c *callFigures) print(t io.Writer) {
	head(t, "Вызовы: INVITE → 180 → 200 → ACK → BYE", "Calls, contact and card durable before the 180")
	row(t, "движок", "engine", "%s", c.Engine.PerSecond.rate())
	row(t, "голый sipgo", "bare sipgo", "%s", c.Bare.PerSecond.rate())
	row(t, "строки вызова без SIP", "rows of a call, no SIP", "%s (batches of %.0f)", c.Rows.rate(), c.Batch)
	row(t, "потолок", "ceiling", "%.0f/s", c.Ceiling)
	row(t, "доля потолка", "ratio", "%.2f", c.Ratio)
	row(t, "INVITE → 180", "INVITE → 180", "%s (bare p50 %.1f p99 %.1f)", c.Engine.Ringing, c.Bare.Ringing.P50, c.Bare.Ringing.P99)
	row(t, "не выдержано", "not held", "%s", c.Engine.FailedHow)
	row(t, "в базе", "in the database", "%d calls", c.Calls)
}
