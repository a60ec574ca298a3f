package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// alarmFigures is part 2: alarms acknowledged per second.
type alarmFigures struct {
	Connections int        `json:"connections"`
	TCP         mill       `json:"tcp"`
	UDP         mill       `json:"udp"`
	Paced       pacedSlice `json:"at70Percent"`
	Writers     int        `json:"writers"`
	Alarms      int        `json:"alarms"`
	Cards       int        `json:"cardsOpened"`
	Repeats     int        `json:"repeats"`
	Acked       int        `json:"acknowledged"`
	// Behind is how many journal lines the relay to Kafka had still to read when a
	// slice at full rate ended, at worst.
	Behind int `json:"relayBehind"`
}

// mill is one network at full rate, with its ceilings.
type mill struct {
	PerSecond spread  `json:"perSecond"`
	Batch     float64 `json:"meanBatch"`
	Bare      spread  `json:"bareResponder"`
	Copy      spread  `json:"copy"`
	Ceiling   spread  `json:"ceiling"`
	Ratio     spread  `json:"ratio"`
	Latency   latency `json:"latencyMs"`
	Again     int     `json:"sentAgain"`
	// Cost is the processor time of one alarm.
	Cost perItem `json:"microsecondsPerAlarm"`
}

type pacedSlice struct {
	Offered   float64 `json:"offered"`
	PerSecond spread  `json:"perSecond"`
	Latency   latency `json:"latencyMs"`
	Worst     spread  `json:"p99PerSlice"`
}

func measureAlarms(ctx context.Context, p plan, e *engine, r *report, say func(string, ...any)) error {
	a := &alarmFigures{Connections: p.conns}
	r.Alarms = a
	bare, err := startSelf("responder")
	if err != nil {
		return err
	}
	defer bare.stop()
	m := &alarmRun{p: p, e: e, a: a, say: say, table: "bench_notifications"}
	if err := e.db.like(ctx, m.table, "notifications", "PARTITION BY RANGE (received_at)"); err != nil {
		return err
	}
	if _, err := e.db.pool.Exec(ctx, `CREATE TABLE bench_notifications_all PARTITION OF bench_notifications FOR VALUES FROM (MINVALUE) TO (MAXVALUE)`); err != nil {
		return err
	}
	tcp, err := openFleet(ctx, "tcp", e.Listen["alarms_tcp"], p.conns, origin{}, e.accounts)
	if err != nil {
		return err
	}
	defer tcp.close()
	say("разогрев / warming up")
	warm, err := tcp.run(ctx, max(p.slice/2, time.Second), 0)
	if err != nil {
		return err
	}
	a.Alarms += warm.alarms
	// Each writer of the engine has its row once it has worked.
	if a.Writers, err = e.db.count(ctx, `SELECT count(*) FROM writers`); err != nil {
		return err
	}
	if m.rows, err = e.db.sample(ctx, `SELECT * FROM notifications ORDER BY received_at DESC LIMIT 5000`); err != nil {
		return err
	}
	if err := m.full(ctx, &a.TCP, tcp, bare.addrs[0]); err != nil {
		return fmt.Errorf("tcp: %w", err)
	}
	if err := m.paced(ctx, tcp, 0.7*a.TCP.PerSecond.Median); err != nil {
		return fmt.Errorf("tcp at 70 %%: %w", err)
	}
	udp, err := openFleet(ctx, "udp", e.Listen["alarms_udp"], p.conns, origin{frame: 40_000, alarm: 18}, e.accounts)
	if err != nil {
		return err
	}
	defer udp.close()
	udp.seed = tcp.seed
	if err := m.full(ctx, &a.UDP, udp, bare.addrs[1]); err != nil {
		return fmt.Errorf("udp: %w", err)
	}
	return m.check(ctx, r, tcp, udp)
}

// alarmRun is what the steps share.
type alarmRun struct {
	p     plan
	e     *engine
	a     *alarmFigures
	say   func(string, ...any)
	rows  sample
	table string
}

// full measures engine, E and C by turns, so that a noisy minute hits all three.
func (m *alarmRun) full(ctx context.Context, into *mill, f *fleet, bareAddr string) error {
	// The responder hears the same generator, from senders of their own.
	other, err := openFleet(ctx, f.network, bareAddr, m.p.conns, origin{}, m.e.accounts)
	if err != nil {
		return err
	}
	defer other.close()
	var rates, bares, copies, ceilings, ratios, batches []float64
	var costs struct{ Engine, Database, Generator []float64 }
	var took []time.Duration
	for i := range m.p.slices {
		if err := m.settle(ctx); err != nil {
			return err
		}
		units, commits, err := m.e.batches(ctx)
		if err != nil {
			return err
		}
		clocks, err := m.e.spent(ctx)
		if err != nil {
			return err
		}
		sl, err := f.run(ctx, m.p.slice, 0)
		if err != nil {
			return err
		}
		clocksAfter, err := m.e.spent(ctx)
		if err != nil {
			return err
		}
		cost := clocksAfter.since(clocks, sl.acked)
		costs.Engine, costs.Database, costs.Generator = append(costs.Engine, cost.Engine), append(costs.Database, cost.Database), append(costs.Generator, cost.Generator)
		unitsAfter, commitsAfter, err := m.e.batches(ctx)
		if err != nil {
			return err
		}
		repeats, err := m.e.db.count(ctx, `SELECT count(*) FROM notifications WHERE duplicate AND received_at BETWEEN $1 AND $2`, sl.began, sl.ended)
		if err != nil {
			return err
		}
		behind, err := m.e.db.count(ctx, behindQuery)
		if err != nil {
			return err
		}
		m.a.Behind = max(m.a.Behind, behind)
		rate := sl.perSecond * (1 - float64(repeats)/float64(max(sl.acked, 1)))
		batch := (unitsAfter - units) / max(1, commitsAfter-commits)
		took = append(took, sl.took...)
		m.a.Alarms += sl.alarms
		into.Again += sl.again
		if err := m.settle(ctx); err != nil {
			return err
		}
		b, err := other.run(ctx, m.p.slice*3/5, 0)
		if err != nil {
			return fmt.Errorf("bare responder: %w", err)
		}
		c, err := m.e.db.copyRows(ctx, m.rows, m.table, m.a.Writers, max(1, int(math.Round(batch))), m.p.slice*3/5)
		if err != nil {
			return fmt.Errorf("bare COPY: %w", err)
		}
		// A million rows that nobody needs would have the next slices vacuum them.
		if _, err := m.e.db.pool.Exec(ctx, `TRUNCATE `+m.table); err != nil {
			return err
		}
		m.say("%s %d/%d: %.0f/s, repeats %d, batch %.0f, E %.0f/s, C %.0f/s, relay behind %d; %s", f.network, i+1, m.p.slices, rate, repeats, batch, b.perSecond, c, behind, cost)
		ceiling := both(b.perSecond, c)
		rates, bares, copies = append(rates, rate), append(bares, b.perSecond), append(copies, c)
		ceilings, ratios, batches = append(ceilings, ceiling), append(ratios, rate/ceiling), append(batches, batch)
	}
	into.PerSecond, into.Bare, into.Copy = spreadOf(rates...), spreadOf(bares...), spreadOf(copies...)
	into.Ceiling, into.Ratio = spreadOf(ceilings...), spreadOf(ratios...)
	into.Batch = spreadOf(batches...).Median
	into.Latency = latencyOf(took)
	into.Cost = perItem{spreadOf(costs.Engine...).Median, spreadOf(costs.Database...).Median, spreadOf(costs.Generator...).Median}
	return nil
}

func (m *alarmRun) paced(ctx context.Context, f *fleet, pace float64) error {
	var rates, worst []float64
	var took []time.Duration
	for range m.p.slices {
		if err := m.settle(ctx); err != nil {
			return err
		}
		sl, err := f.run(ctx, m.p.slice, pace)
		if err != nil {
			return err
		}
		m.a.Alarms += sl.alarms
		l := latencyOf(sl.took)
		m.say("tcp %.0f/s: p50 %.1f p99 %.1f max %.1f ms", sl.perSecond, l.P50, l.P99, l.Max)
		rates, worst, took = append(rates, sl.perSecond), append(worst, l.P99), append(took, sl.took...)
	}
	m.a.Paced = pacedSlice{Offered: pace, PerSecond: spreadOf(rates...), Latency: latencyOf(took), Worst: spreadOf(worst...)}
	return nil
}

const behindQuery = `
	SELECT COALESCE((SELECT max(seq) FROM events), 0)
	       - COALESCE((SELECT min(seq) FROM outbox_cursors WHERE topic LIKE 'nabat.incidents.%' OR topic = 'nabat.journal'), 0)`

// settle waits until what the engine does after its answers is done: the records
// on their way to Kafka would otherwise be paid by the next measurement.
func (m *alarmRun) settle(ctx context.Context) error { return m.e.settle(ctx) }

// settleWithin bounds the wait; a relay that is further behind is reported, not
// waited for.
const settleWithin = 15 * time.Second

func (e *engine) settle(ctx context.Context) error {
	for end := time.Now().Add(settleWithin); time.Now().Before(end); {
		n, err := e.db.count(ctx, behindQuery)
		if err != nil || n <= 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// check asks the database for everything that was acknowledged.
func (m *alarmRun) check(ctx context.Context, r *report, fleets ...*fleet) error {
	missing, doubled, repeats, err := m.e.db.originals(ctx, fleets...)
	if err != nil {
		return err
	}
	for _, f := range fleets {
		for _, s := range f.senders {
			m.a.Acked += len(s.acked)
		}
	}
	m.a.Repeats = repeats
	if missing > 0 {
		r.problem("%d acknowledged signals are not in the database", missing)
	}
	if doubled > 0 {
		r.problem("%d acknowledged signals are in the database more than once as originals", doubled)
	}
	if share := float64(repeats) / float64(max(m.a.Acked, 1)); share >= 0.01 {
		r.problem("%.1f %% of the signals were taken for repeats: the load is not what it should be", 100*share)
	}
	for what, query := range map[string]string{
		"alarms of known facilities without a card": `
			SELECT count(*) FROM notifications WHERE condition = 'alarm' AND NOT duplicate AND incident_id IS NULL
			   AND class IN ('fire', 'panic', 'intrusion', 'gas', 'medical')`,
		"second cards of one facility and class": `
			SELECT count(*) FROM (SELECT 1 FROM incidents WHERE origin = 'alarm' AND state NOT IN ('closed', 'cancelled')
			 GROUP BY facility_id, class HAVING count(*) > 1) twice`,
		"alarms on a card that does not exist": `
			SELECT count(*) FROM notifications n WHERE incident_id IS NOT NULL
			   AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.id = n.incident_id)`,
	} {
		n, err := m.e.db.count(ctx, query)
		if err != nil {
			return err
		}
		if n > 0 {
			r.problem("%d %s", n, what)
		}
	}
	m.a.Cards, err = m.e.db.count(ctx, `SELECT count(*) FROM incidents WHERE origin = 'alarm'`)
	m.say("проверено / checked: %d acknowledged, %d missing, %d doubled, %d repeats, %d cards", m.a.Acked, missing, doubled, repeats, m.a.Cards)
	return err
}
