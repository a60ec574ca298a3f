package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nabat/alarms"
	"nabat/dispatch"
)

// What a finding is about.
const (
	lost    = "LOST"    // acknowledged and not there
	doubled = "DOUBLED" // there twice
	wrong   = "WRONG"   // there, and not as it should be
)

// findings is what a check complains of, by kind.
type findings map[string][]string

func (f findings) add(kind, what string, args ...any) {
	f[kind] = append(f[kind], fmt.Sprintf(what, args...))
}

func (f findings) String() string {
	var out []string
	for _, kind := range []string{lost, doubled, wrong} {
		if len(f[kind]) > 0 {
			out = append(out, kind+" "+few(f[kind]))
		}
	}
	return strings.Join(out, "\n")
}

const (
	// checkLimit bounds a check and each of its commands.
	checkLimit = 3 * time.Minute
	// stuckLimit is how long a check waits without seeing the house come any
	// further: the relay and the replies catching up, calls ending.
	stuckLimit = 20 * time.Second
)

// catchUp looks again and again until nothing is left to wait for. errLate: for
// stuckLimit it has not become less.
func catchUp(look func() (left int, err error)) error {
	least, since := -1, time.Now()
	return until(checkLimit, func() (bool, error) {
		left, err := look()
		switch {
		case err != nil || left == 0:
			return true, err
		case least < 0 || left < least:
			least, since = left, time.Now()
		case time.Since(since) > stuckLimit:
			return false, fmt.Errorf("%w: %d are left for %s", errLate, left, stuckLimit)
		}
		return false, nil
	})
}

// check holds the house against the ledger. Nobody may be sending.
type check struct {
	ledger *ledger
	h      *house
	l      *life
	db     *pgx.Conn
	f      findings

	buried map[int32]int64 // how far the dead letters were read, by partition
	dead   []letter
	stored counts
}

// counts is what a check saw.
type counts struct {
	originals, duplicates, late int // late: repeats that came after the window, new originals by design
	contacts, lines, incidents  int
	events, records, again      int
	replies, tooLate            int // too late: for an assignment that was withdrawn meanwhile
	orders, done, resent        int // commands
	kinds                       map[dispatch.EventKind]int
}

// byKind lists how many events of each kind the journal has.
func (c counts) byKind() string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(c.kinds)) {
		out = append(out, fmt.Sprintf("%s %d", k, c.kinds[k]))
	}
	return strings.Join(out, ", ")
}

func (o *outside) check(ctx context.Context, h *house, l *life, parts ...func(*check, context.Context) error) (findings, counts, error) {
	db, err := pgx.Connect(ctx, l.run.Postgres)
	if err != nil {
		return nil, counts{}, err
	}
	defer db.Close(context.WithoutCancel(ctx))
	c := &check{ledger: o.ledger.snapshot(), h: h, l: l, db: db, f: findings{}, buried: map[int32]int64{}}
	for _, part := range parts {
		if err := part(c, ctx); err != nil {
			return c.f, c.stored, err
		}
	}
	return c.f, c.stored, nil
}

// everything is the whole proof, in the order in which one thing waits for another.
func everything() []func(*check, context.Context) error {
	return []func(*check, context.Context) error{
		(*check).signals, (*check).contacts, (*check).answers, (*check).topics, (*check).orders, (*check).chains,
	}
}

// row is one notification.
type row struct {
	id        dispatch.NotificationID
	at        time.Time
	duplicate bool
	incident  *dispatch.IncidentID
}

// told is an event that names a notification.
type told struct {
	incident dispatch.IncidentID
	kind     string
}

// signals checks panels: promise P2's «once».
func (c *check) signals(ctx context.Context) error {
	rows, err := c.db.Query(ctx, `SELECT raw, id, received_at, duplicate, incident_id FROM notifications ORDER BY received_at, id`)
	if err != nil {
		return err
	}
	stored := map[string][]row{}
	var raw []byte
	var r row
	_, err = pgx.ForEachRow(rows, []any{&raw, &r.id, &r.at, &r.duplicate, &r.incident}, func() error {
		stored[blockOf(raw)] = append(stored[blockOf(raw)], r)
		return nil
	})
	if err != nil {
		return err
	}
	events, err := c.told(ctx)
	if err != nil {
		return err
	}
	for block, s := range c.ledger.signals {
		c.signal(s, stored[block], events)
		delete(stored, block)
	}
	for block := range stored {
		c.f.add(wrong, "a signal that nobody sent: %s", block)
	}
	for id, e := range events {
		c.f.add(wrong, "card %s tells of the notification %s, which is not there or belongs elsewhere", e[0].incident, id)
	}
	return nil
}

// told lists the events that name notifications.
func (c *check) told(ctx context.Context) (map[dispatch.NotificationID][]told, error) {
	rows, err := c.db.Query(ctx, `
		SELECT (data::jsonb ->> 'notification')::uuid, incident_id, kind FROM events
		 WHERE kind IN ('opened', 'signal') AND data::jsonb ? 'notification'`)
	if err != nil {
		return nil, err
	}
	events := map[dispatch.NotificationID][]told{}
	var id dispatch.NotificationID
	var e told
	_, err = pgx.ForEachRow(rows, []any{&id, &e.incident, &e.kind}, func() error {
		events[id] = append(events[id], e)
		return nil
	})
	return events, err
}

func (c *check) signal(s *signal, rows []row, events map[dispatch.NotificationID][]told) {
	var originals []row
	for _, r := range rows {
		if !r.duplicate {
			originals = append(originals, r)
		}
	}
	c.stored.originals += len(originals)
	c.stored.duplicates += len(rows) - len(originals)
	name := fmt.Sprintf("%s (tries %d, acknowledged by life %d)", s.block, s.tries, s.life)
	if len(originals) == 0 && (s.acked || len(rows) > 0) {
		c.f.add(lost, "%s: %d rows, no original", name, len(rows))
	}
	for i, r := range originals {
		if i > 0 {
			if gap := r.at.Sub(originals[i-1].at); gap <= alarms.Window {
				c.f.add(doubled, "%s: two originals within %s", name, gap)
			} else {
				c.stored.late++
			}
		}
		es := events[r.id]
		delete(events, r.id)
		switch {
		case r.incident == nil && s.opens:
			c.f.add(wrong, "%s has no card", name)
		case r.incident == nil && len(es) > 0:
			c.f.add(wrong, "%s is on no card by its row and on %s by the journal", name, es[0].incident)
		case r.incident == nil:
		case len(es) == 0:
			c.f.add(lost, "%s: card %s does not tell of it", name, r.incident)
		case len(es) > 1:
			c.f.add(doubled, "%s is told %d times: %v", name, len(es), es)
		case es[0].incident != *r.incident:
			c.f.add(wrong, "%s is on card %s by its row and on %s by the journal", name, r.incident, es[0].incident)
		}
	}
	for _, r := range rows {
		if r.duplicate && len(originals) == 1 && !same(r.incident, originals[0].incident) {
			c.f.add(wrong, "%s: its repeat is on card %v, itself on %v", name, r.incident, originals[0].incident)
		}
	}
}

func same(a, b *dispatch.IncidentID) bool {
	return a == b || (a != nil && b != nil && *a == *b)
}

// contact is one row of contacts with its card.
type contact struct {
	state, reason string
	callback      bool
	cards, opened int
}

// contacts checks callers and texts.
func (c *check) contacts(ctx context.Context) error {
	// Nobody is calling any more, so every line ends by itself or has been lost.
	err := catchUp(func() (live int, err error) {
		err = c.db.QueryRow(ctx, `SELECT count(*) FROM contacts WHERE state <> 'ended'`).Scan(&live)
		return live, err
	})
	if errors.Is(err, errLate) {
		c.f.add(wrong, "contacts stay open although every caller has hung up")
	} else if err != nil {
		return err
	}
	rows, err := c.db.Query(ctx, `
		SELECT c.kind, c.caller, c.text, c.state, c.end_reason, c.callback_due,
		       (SELECT count(*) FROM incidents i WHERE i.id = c.incident_id AND i.origin = c.kind AND i.caller = c.caller),
		       (SELECT count(*) FROM events e WHERE e.incident_id = c.incident_id AND e.kind = 'opened'
		                                        AND e.data::jsonb ->> 'contact' = c.id::text)
		  FROM contacts c`)
	if err != nil {
		return err
	}
	calls, texts := map[string][]contact{}, map[string][]contact{}
	var kind, caller, text string
	var k contact
	_, err = pgx.ForEachRow(rows, []any{&kind, &caller, &text, &k.state, &k.reason, &k.callback, &k.cards, &k.opened}, func() error {
		c.stored.contacts++
		if kind == "sms" {
			texts[text] = append(texts[text], k)
		} else {
			calls[caller] = append(calls[caller], k)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.approaches(c.ledger.calls, calls)
	c.approaches(c.ledger.texts, texts)
	return c.orphans(ctx)
}

func (c *check) approaches(known map[string]*approach, stored map[string][]contact) {
	for name, a := range known {
		ks := stored[name]
		delete(stored, name)
		where := fmt.Sprintf("%s (tries %d, heard %q from life %d)", name, a.tries, a.acked, a.life)
		switch {
		case len(ks) == 0 && a.acked != "":
			c.f.add(lost, "%s has no contact", where)
		case len(ks) > 1:
			c.f.add(doubled, "%s has %d contacts", where, len(ks))
		}
		for _, k := range ks {
			if k.cards != 1 || k.opened != 1 {
				c.f.add(wrong, "%s has %d cards, opened %d times", where, k.cards, k.opened)
			}
			gone := k.reason == string(dispatch.EndLineLost)
			if gone {
				c.stored.lines++
			}
			switch {
			case gone != k.callback:
				c.f.add(wrong, "%s ended %s with callback due %v", where, k.reason, k.callback)
			case a.lost && !gone:
				c.f.add(wrong, "the line of %s went with the engine, and it is %s %s", where, k.state, k.reason)
			}
		}
	}
	for name := range stored {
		c.f.add(wrong, "a contact that nobody made: %s", name)
	}
}

// orphans looks for cards that nothing belongs to.
func (c *check) orphans(ctx context.Context) error {
	rows, err := c.db.Query(ctx, `
		SELECT i.id, i.origin FROM incidents i
		 WHERE NOT EXISTS (SELECT FROM contacts c WHERE c.incident_id = i.id)
		   AND NOT EXISTS (SELECT FROM notifications n WHERE n.incident_id = i.id)`)
	if err != nil {
		return err
	}
	var id dispatch.IncidentID
	var origin string
	_, err = pgx.ForEachRow(rows, []any{&id, &origin}, func() error {
		c.f.add(wrong, "card %s of a %s belongs to nothing", id, origin)
		return nil
	})
	if err != nil {
		return err
	}
	return c.db.QueryRow(ctx, `SELECT count(*) FROM incidents`).Scan(&c.stored.incidents)
}

// chains has the engine's own proof of the journal run, as a person would.
func (c *check) chains(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	if out, err := c.h.command(ctx, "audit", "verify"); err != nil {
		c.f.add(wrong, "audit verify: %v: %s", err, out)
	}
	return nil
}
