package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"nabat/dispatch"
)

// batch is one transaction for several jobs.
type batch struct {
	loop *loop
	conn *pgx.Conn
	jobs []*job

	numbers []int64 // for new cards
	// cards are the locked ones by id, changed as the jobs are decided.
	cards map[dispatch.IncidentID]*locked
	order []*locked
	// contacts are those of units with a Progress, as the units before left them.
	contacts map[dispatch.ContactID]dispatch.Contact

	wroteEvents bool
	// committing is set right before COMMIT is sent: from then on a lost
	// connection does not say whether the batch is stored.
	committing bool
}

// locked is one card of the batch; several jobs may change it in turn.
type locked struct {
	card    dispatch.Card
	isNew   bool
	changed bool
	// stored are the assignments as they were, to write only what changed.
	stored map[dispatch.AssignmentID]dispatch.Assignment
	events []dispatch.Event
}

// run is the transaction in three round trips: begin and lock, COPY, write and
// commit. While one of them is under way everybody whose unit is in the batch
// waits, so a round trip less is felt by all. Only units with a Then, which want
// a pgx.Tx to write with, cost more.
func (b *batch) run(ctx context.Context) (err error) {
	var tx pgx.Tx
	if slices.ContainsFunc(b.jobs, func(j *job) bool { return j.unit.Then != nil }) {
		if tx, err = b.conn.Begin(ctx); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
	}
	defer func() {
		if err == nil || b.conn.IsClosed() || b.committing {
			return
		}
		if _, rbErr := b.conn.Exec(ctx, `ROLLBACK`); rbErr != nil {
			err = errors.Join(err, rbErr)
		}
	}()
	if err := b.prepare(ctx, tx == nil); err != nil {
		return err
	}
	b.decide()
	if err := b.copyRows(ctx); err != nil {
		return err
	}
	var p pgx.Batch
	b.queueCards(&p)
	if tx != nil {
		if err := b.then(ctx, tx, &p); err != nil {
			return err
		}
		p = pgx.Batch{}
	}
	return b.finish(ctx, &p)
}

// prepare begins the transaction unless that is done, marks the batch, inserts
// its contacts, draws numbers for new cards and locks the cards that exist, all
// in one round trip.
func (b *batch) prepare(ctx context.Context, begin bool) error {
	var p pgx.Batch
	if begin {
		p.Queue(`BEGIN`)
	}
	// First of all, so that whoever looks up a lost commit waits for its end.
	p.Queue(`UPDATE writers SET batch = $2, at = now() WHERE id = $1`, b.loop.id, b.loop.batch)
	b.queueContacts(&p)
	fresh := b.queueNumbers(&p)
	b.queueLocks(&p)
	if err := b.conn.SendBatch(ctx, &p).Close(); err != nil {
		return fmt.Errorf("lock cards: %w", err)
	}
	if len(b.numbers) != fresh {
		return fmt.Errorf("drew %d card numbers of %d", len(b.numbers), fresh)
	}
	return nil
}

func (b *batch) queueNumbers(p *pgx.Batch) int {
	n := 0
	for _, j := range b.jobs {
		if j.unit.New {
			n++
		}
	}
	if n == 0 {
		return 0
	}
	p.Queue(`SELECT nextval('incident_numbers') FROM generate_series(1, $1)`, n).Query(func(rows pgx.Rows) error {
		var err error
		b.numbers, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	return n
}

// queueLocks locks the existing cards in the order of their ids, so that two
// batches never wait for each other in a ring.
func (b *batch) queueLocks(p *pgx.Batch) {
	b.cards = map[dispatch.IncidentID]*locked{}
	b.contacts = map[dispatch.ContactID]dispatch.Contact{}
	var ids []dispatch.IncidentID
	defer b.queueContactLocks(p) // after the cards, which keep others off their contacts
	for _, j := range b.jobs {
		if id := j.unit.Incident; !id.IsZero() && !j.unit.New {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	slices.SortFunc(ids, func(x, y dispatch.IncidentID) int { return bytes.Compare(x[:], y[:]) })
	ids = slices.Compact(ids)
	p.Queue(selectIncidents+` WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scanIncident)
		if err != nil {
			return err
		}
		for _, in := range found {
			l := &locked{card: dispatch.Card{Incident: in}, stored: map[dispatch.AssignmentID]dispatch.Assignment{}}
			b.cards[in.ID] = l
			b.order = append(b.order, l)
		}
		return nil
	})
	p.Queue(selectAssignments+` WHERE incident_id = ANY($1) ORDER BY added_at, id`, ids).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scanAssignment)
		if err != nil {
			return err
		}
		for _, a := range found {
			if l := b.cards[a.Incident]; l != nil {
				l.card.Assignments = append(l.card.Assignments, a)
				l.stored[a.ID] = a
			}
		}
		return nil
	})
}

// decide runs the pure functions in the order of the jobs.
func (b *batch) decide() {
	for _, j := range b.jobs {
		number := int64(0)
		if j.unit.New {
			number, b.numbers = b.numbers[0], b.numbers[1:]
		}
		if j.failed != nil || j.unit.Incident.IsZero() {
			continue
		}
		b.decideOne(j, number)
	}
}

func (b *batch) decideOne(j *job, number int64) {
	id := j.unit.Incident
	l := b.cards[id]
	switch {
	case l == nil && j.unit.New:
		l = &locked{isNew: true}
		l.card.ID, l.card.Number = id, number
	case l == nil:
		j.failed = dispatch.ErrNotFound
		return
	case j.unit.New:
		j.failed = fmt.Errorf("card %s: %w", id, dispatch.ErrDuplicate)
		return
	}
	before := l.card
	j.card = &before
	heard, fresh := b.hear(j)
	if !fresh {
		return
	}
	if j.unit.Decide == nil {
		b.note(heard)
		return
	}
	after, events, err := safely(j.unit.Decide, l.card)
	switch {
	case errors.Is(err, dispatch.ErrUnchanged):
		j.unchanged = true
		return
	case err != nil:
		j.failed = err
		return
	case len(events) == 0:
		j.failed = errors.New("a change of a card without an event")
		return
	}
	for i, e := range events {
		e = e.Seal(after.Version+1, after.Head)
		after.Version, after.Head = e.Version, e.Hash
		events[i] = e
	}
	b.note(heard)
	if l.isNew && b.cards[id] == nil {
		b.cards[id] = l
		b.order = append(b.order, l)
	}
	l.card, l.changed = after, true
	l.events = append(l.events, events...)
	j.card = &after
}

// safely contains a panic of one decision to its own unit.
func safely(d dispatch.Decide, c dispatch.Card) (after dispatch.Card, events []dispatch.Event, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decision panicked: %v", r)
		}
	}()
	return d(c)
}

// queueCards writes what the decisions changed, but for the events.
func (b *batch) queueCards(p *pgx.Batch) {
	queueIncidents(p, b.order)
	queueAssignments(p, b.order)
	b.queueProgress(p)
}

// then stores the cards and lets the units write on.
func (b *batch) then(ctx context.Context, tx pgx.Tx, p *pgx.Batch) error {
	if p.Len() > 0 {
		if err := b.conn.SendBatch(ctx, p).Close(); err != nil {
			return fmt.Errorf("write cards: %w", err)
		}
	}
	for _, j := range b.jobs {
		if j.failed != nil || j.unit.Then == nil {
			continue
		}
		if err := thenSafely(ctx, tx, j); err != nil {
			if b.conn.IsClosed() || ctx.Err() != nil || unable(err) {
				return err
			}
			return &unitError{j, err}
		}
	}
	return nil
}

// thenSafely contains a panic of one unit's own writing to that unit.
func thenSafely(ctx context.Context, tx pgx.Tx, j *job) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("writing panicked: %v", r)
		}
	}()
	card, _ := result{card: j.card}.unpack()
	return j.unit.Then(ctx, tx, card)
}

// unitError is a refusal that one job's own writing brought on.
type unitError struct {
	job *job
	err error
}

func (e *unitError) Error() string { return e.err.Error() }
func (e *unitError) Unwrap() error { return e.err }

// finish writes the events, which takes the journal's lock, and commits in the
// same round trip, so that the lock is held as short as can be.
func (b *batch) finish(ctx context.Context, p *pgx.Batch) error {
	b.wroteEvents = queueEvents(p, b.order)
	p.Queue(`COMMIT`).Exec(func(tag pgconn.CommandTag) error {
		// A transaction that failed unnoticed ends so, without an error.
		if tag.String() == "ROLLBACK" {
			return pgx.ErrTxCommitRollback
		}
		return nil
	})
	b.committing = true
	if err := b.conn.SendBatch(ctx, p).Close(); err != nil {
		if refused(err) && !b.conn.IsClosed() {
			b.committing = false // something was refused: COMMIT was never run
		}
		return fmt.Errorf("write and commit: %w", err)
	}
	return nil
}

func columns(c [][]any) []any {
	out := make([]any, len(c))
	for i := range c {
		out[i] = c[i]
	}
	return out
}

// octets never is NULL.
func octets(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func nilTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
