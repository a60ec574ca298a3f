package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"nabat/dispatch"
)

// answers checks that what the broker confirmed to a service was applied once,
// or came for an assignment that a person had withdrawn; and that in the end
// every service whose own system answers has accepted its part.
func (c *check) answers(ctx context.Context) error {
	type part struct {
		service  dispatch.Service
		incident string
	}
	type mark struct {
		state dispatch.AssignmentState
		times map[dispatch.AssignmentState]int // how often the journal tells of each status
	}
	var missing, twice []string
	look := func() (int, error) {
		marks := map[part]*mark{}
		rows, err := c.db.Query(ctx, `SELECT service, incident_id::text, state FROM assignments`)
		if err != nil {
			return 0, err
		}
		var p part
		var state dispatch.AssignmentState
		if _, err = pgx.ForEachRow(rows, []any{&p.service, &p.incident, &state}, func() error {
			marks[p] = &mark{state: state, times: map[dispatch.AssignmentState]int{}}
			return nil
		}); err != nil {
			return 0, err
		}
		missing, twice, c.stored.replies, c.stored.tooLate = nil, nil, 0, 0
		rows, err = c.db.Query(ctx, `
			SELECT data::jsonb ->> 'service', incident_id::text, data::jsonb ->> 'to', count(*)
			  FROM events WHERE kind = 'status' GROUP BY 1, 2, 3`)
		if err != nil {
			return 0, err
		}
		var n int
		if _, err = pgx.ForEachRow(rows, []any{&p.service, &p.incident, &state, &n}, func() error {
			if marks[p] == nil {
				twice = append(twice, fmt.Sprintf("%v: a status and no assignment", p))
				return nil
			}
			marks[p].times[state] = n
			if n > 1 {
				twice = append(twice, fmt.Sprintf("%v %s: %d times", p, state, n))
			}
			return nil
		}); err != nil {
			return 0, err
		}
		for key, r := range c.ledger.replies {
			m := marks[part{r.service, r.incident}]
			switch {
			case m == nil:
				missing = append(missing, key+": no such assignment")
			case m.times[r.status] == 1:
				c.stored.replies++
			case m.times[r.status] == 0 && m.state == dispatch.CancelledA:
				c.stored.tooLate++
			case m.times[r.status] == 0:
				missing = append(missing, fmt.Sprintf("%s: %s", key, m.state))
			}
		}
		for p, m := range marks {
			if systemAccepts(p.service, p.incident) && m.times[dispatch.Accepted] == 0 && m.state != dispatch.CancelledA {
				missing = append(missing, fmt.Sprintf("%v: %s", p, m.state))
			}
		}
		return len(missing), nil
	}
	err := catchUp(look)
	if errors.Is(err, errLate) {
		c.f.add(lost, "services that have not accepted, or whose reply was not taken: %s", few(missing))
		err = nil
	}
	if len(twice) > 0 {
		c.f.add(doubled, "replies: %s", few(twice))
	}
	return err
}

// event is one line of the journal as the topics must show it.
type event struct {
	id, incident string
	version      int
	kind         dispatch.EventKind
	actor        string
	services     []dispatch.Service // whose topics it must be on
	marks        []string           // what people wrote into it
}

func (c *check) journal(ctx context.Context) (map[string]event, error) {
	rows, err := c.db.Query(ctx, `SELECT id::text, incident_id::text, version, kind, actor, COALESCE(data, '') FROM events ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	out := map[string]event{}
	c.stored.kinds = map[dispatch.EventKind]int{}
	var e event
	var data string
	_, err = pgx.ForEachRow(rows, []any{&e.id, &e.incident, &e.version, &e.kind, &e.actor, &data}, func() error {
		var d dispatch.Details
		if err := json.Unmarshal([]byte(data), &d); err != nil {
			return err
		}
		c.stored.kinds[e.kind]++
		e.services, e.marks = nil, nil
		switch e.kind {
		case dispatch.EventAssigned:
			e.services = []dispatch.Service{d.Service}
		case dispatch.EventSignal, dispatch.EventEdited, dispatch.EventCancelled, dispatch.EventClosed, dispatch.EventReopened:
			if d.Card != nil {
				e.services = slices.Clone(d.Card.Services)
			}
		}
		// A cancellation tells its reason on every assignment that it ends, too.
		if e.kind != dispatch.EventStatus {
			e.marks = append(e.marks, d.Reason)
		}
		e.marks = append(e.marks, d.Comment, d.Changes["description"].New)
		e.marks = slices.DeleteFunc(e.marks, func(s string) bool { return !strings.HasPrefix(s, "mark ") })
		out[e.id] = e
		return nil
	})
	return out, err
}

// orders checks that each command that was answered «ok» is in the journal once,
// under the name of the person who gave it, with its outcome beside it, and that
// one which was refused left nothing.
func (c *check) orders(ctx context.Context) error {
	events, err := c.journal(ctx)
	if err != nil {
		return err
	}
	marked, closed := map[string][]event{}, map[string][]event{}
	for _, e := range events {
		for _, m := range e.marks {
			marked[m] = append(marked[m], e)
		}
		if e.kind == dispatch.EventClosed {
			closed[e.incident] = append(closed[e.incident], e)
		}
	}
	outcomes := map[string]string{}
	rows, err := c.db.Query(ctx, `SELECT actor || ' ' || id::text, result FROM commands`)
	if err != nil {
		return err
	}
	var key, result string
	if _, err := pgx.ForEachRow(rows, []any{&key, &result}, func() error { outcomes[key] = result; return nil }); err != nil {
		return err
	}
	for _, r := range c.ledger.orders {
		c.stored.orders++
		c.stored.resent += r.again
		key := r.seat.actor() + " " + r.id
		c.order(r, outcomes[key], marked[r.mark], closed[r.incident])
		delete(outcomes, key)
		delete(marked, r.mark)
	}
	for key := range outcomes {
		c.f.add(wrong, "the outcome of a command that nobody gave: %s", key)
	}
	for mark := range marked {
		c.f.add(wrong, "the effect of a command that nobody gave: %s", mark)
	}
	return nil
}

// effects says what kind of event a command makes.
func (r *order) effects() []dispatch.EventKind {
	switch r.kind {
	case "save":
		return []dispatch.EventKind{dispatch.EventEdited}
	case "send":
		return []dispatch.EventKind{dispatch.EventRegistered, dispatch.EventEdited}
	case "cancel":
		return []dispatch.EventKind{dispatch.EventCancelled}
	case "reply":
		return []dispatch.EventKind{dispatch.EventStatus}
	}
	return []dispatch.EventKind{dispatch.EventClosed}
}

func (c *check) order(r *order, outcome string, found, closed []event) {
	if r.kind == "closeWithoutResponse" {
		// Its reason comes from the classifier and cannot be marked; its card can be
		// closed but once.
		found = nil
		for _, e := range closed {
			if e.actor == r.seat.actor() {
				found = append(found, e)
			}
		}
	}
	done := r.answered && r.code == ""
	if done {
		c.stored.done++
	}
	var o struct {
		OK       bool   `json:"ok"`
		Incident string `json:"incident"`
	}
	if outcome != "" && json.Unmarshal([]byte(outcome), &o) != nil {
		c.f.add(wrong, "%s: its outcome is %q", r, outcome)
	}
	switch {
	case done && len(found) == 0:
		c.f.add(lost, "%s: the journal does not tell of it", r)
	case len(found) > 1:
		c.f.add(doubled, "%s: the journal tells of it %d times", r, len(found))
	case r.answered && !done && len(found) > 0:
		c.f.add(wrong, "%s was refused, and the journal tells of it", r)
	case r.answered && outcome == "":
		c.f.add(lost, "%s: its outcome is not stored", r)
	case r.answered && (o.OK != done || o.Incident != r.incident):
		c.f.add(wrong, "%s: its outcome is %s", r, outcome)
	}
	for _, e := range found {
		if e.incident != r.incident || e.actor != r.seat.actor() || !slices.Contains(r.effects(), e.kind) {
			c.f.add(wrong, "%s is told as %s of card %s by %s", r, e.kind, e.incident, e.actor)
		}
	}
}
