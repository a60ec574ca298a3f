package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// checkLimit bounds what a check waits for: the relay and the replies catching
// up, calls ending.
const checkLimit = 3 * time.Minute

// check holds the house against the ledger. Nobody may be sending.
type check struct {
	ledger *ledger
	h      *house
	l      *life
	db     *pgx.Conn
	f      findings

	stored counts
}

// counts is what a check saw.
type counts struct {
	originals, duplicates, late int // late: repeats that came after the window, new originals by design
	contacts, lines, incidents  int
	events, records, again      int
	replies                     int
}

func (o *outside) check(ctx context.Context, h *house, l *life, parts ...func(*check, context.Context) error) (findings, counts, error) {
	db, err := pgx.Connect(ctx, l.run.Postgres)
	if err != nil {
		return nil, counts{}, err
	}
	defer db.Close(context.WithoutCancel(ctx))
	c := &check{ledger: o.ledger.snapshot(), h: h, l: l, db: db, f: findings{}}
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
		(*check).signals, (*check).contacts, (*check).answers, (*check).topics, (*check).chains,
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
	err := until(checkLimit, func() (bool, error) {
		var live int
		err := c.db.QueryRow(ctx, `SELECT count(*) FROM contacts WHERE state <> 'ended'`).Scan(&live)
		return live == 0, err
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

// answers checks that what the broker confirmed to a service was applied once,
// and that in the end every service has heard of its part and accepted it.
func (c *check) answers(ctx context.Context) error {
	type mark struct {
		state string
		times int
	}
	var missing, twice []string
	look := func() (bool, error) {
		rows, err := c.db.Query(ctx, `
			SELECT a.service, a.incident_id::text, a.state,
			       (SELECT count(*) FROM events e WHERE e.incident_id = a.incident_id AND e.kind = 'status'
			          AND e.data::jsonb ->> 'service' = a.service AND e.data::jsonb ->> 'to' = 'accepted')
			  FROM assignments a`)
		if err != nil {
			return false, err
		}
		marks := map[string]mark{}
		var service, incident string
		var m mark
		_, err = pgx.ForEachRow(rows, []any{&service, &incident, &m.state, &m.times}, func() error {
			marks[service+" "+incident] = m
			return nil
		})
		if err != nil {
			return false, err
		}
		missing, twice, c.stored.replies = nil, nil, 0
		for key := range c.ledger.replies {
			if _, there := marks[key]; !there {
				missing = append(missing, key+": no such assignment")
			}
		}
		for key, m := range marks {
			switch {
			case m.times > 1:
				twice = append(twice, fmt.Sprintf("%s: %d times", key, m.times))
			case m.state != string(dispatch.Accepted) || m.times == 0:
				missing = append(missing, key+": "+m.state)
			default:
				c.stored.replies++
			}
		}
		return len(missing) == 0, nil
	}
	err := until(checkLimit, look)
	if errors.Is(err, errLate) {
		c.f.add(lost, "services that have not accepted, or whose reply was not taken: %s", few(missing))
		err = nil
	}
	if len(twice) > 0 {
		c.f.add(doubled, "replies: %s", few(twice))
	}
	return err
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

// event is one line of the journal as the topics must show it.
type event struct {
	id, incident string
	version      int
	kind         dispatch.EventKind
	services     []dispatch.Service // whose topics it must be on
}

func (c *check) journal(ctx context.Context) (map[string]event, error) {
	rows, err := c.db.Query(ctx, `SELECT id::text, incident_id::text, version, kind, COALESCE(data, '') FROM events ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	out := map[string]event{}
	var e event
	var kind, data string
	_, err = pgx.ForEachRow(rows, []any{&e.id, &e.incident, &e.version, &kind, &data}, func() error {
		var d dispatch.Details
		if err := json.Unmarshal([]byte(data), &d); err != nil {
			return err
		}
		e.kind, e.services = dispatch.EventKind(kind), nil
		switch {
		case e.kind == dispatch.EventAssigned:
			e.services = []dispatch.Service{d.Service}
		case e.kind == dispatch.EventSignal && d.Card != nil:
			e.services = slices.Clone(d.Card.Services)
		}
		out[e.id] = e
		return nil
	})
	return out, err
}
