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

// queueContacts inserts the new contacts. A job whose contact's key was taken
// keeps ErrDuplicate and takes no further part.
func (b *batch) queueContacts(p *pgx.Batch) {
	var rows []*dispatch.Contact
	for _, j := range b.jobs {
		if j.unit.Contact != nil {
			rows = append(rows, j.unit.Contact)
			// Until the database says that the key was free.
			j.failed = dispatch.ErrDuplicate
		}
	}
	if len(rows) == 0 {
		return
	}
	c := make([][]any, 17)
	for _, r := range rows {
		for i, v := range []any{
			r.ID, r.Kind, r.Key, r.Run, r.Incident, r.Caller, r.Called, r.Peer, r.Text,
			r.State, r.ReceivedAt, nilTime(r.AnsweredAt), nilTime(r.EndedAt), r.EndReason, r.CallbackDue,
			octets(r.Body), r.ContentType,
		} {
			c[i] = append(c[i], v)
		}
	}
	p.Queue(`
		INSERT INTO contacts (id, kind, key, run_id, incident_id, caller, called, peer, text,
		                      state, received_at, answered_at, ended_at, end_reason, callback_due,
		                      body, content_type)
		SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::text[],
		                     $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[],
		                     $13::timestamptz[], $14::text[], $15::boolean[], $16::bytea[], $17::text[])
		ON CONFLICT (key) DO NOTHING
		RETURNING id`, columns(c)...).Query(func(rows pgx.Rows) error {
		free, err := pgx.CollectRows(rows, pgx.RowTo[dispatch.ContactID])
		if err != nil {
			return err
		}
		for _, j := range b.jobs {
			if j.unit.Contact != nil && slices.Contains(free, j.unit.Contact.ID) {
				j.failed = nil
			}
		}
		return nil
	})
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

// queueContactLocks reads the contacts that units with a Progress speak of.
func (b *batch) queueContactLocks(p *pgx.Batch) {
	var ids []dispatch.ContactID
	for _, j := range b.jobs {
		if j.unit.Progress != nil {
			ids = append(ids, j.unit.Progress.ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	p.Queue(selectContacts+` WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scanContact)
		for _, c := range found {
			b.contacts[c.ID] = c
		}
		return err
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

// hear says what a job's Progress makes of its contact, nil for a job without
// one, and whether the job goes on.
func (b *batch) hear(j *job) (heard *dispatch.Contact, goesOn bool) {
	p := j.unit.Progress
	if p == nil {
		return nil, true
	}
	before, there := b.contacts[p.ID]
	if !there {
		j.failed = fmt.Errorf("contact %s: %w", p.ID, dispatch.ErrNotFound)
		return nil, false
	}
	after := before.After(*p)
	if after.Same(before) || j.unit.Still != nil && !j.unit.Still(before) {
		j.unchanged = true
		return nil, false
	}
	return &after, true
}

// note lets the batch's later units see what a contact has become.
func (b *batch) note(c *dispatch.Contact) {
	if c != nil {
		b.contacts[c.ID] = *c
	}
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
			if b.conn.IsClosed() || ctx.Err() != nil || away(err) {
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

func (b *batch) queueProgress(p *pgx.Batch) {
	c := make([][]any, 6)
	for _, j := range b.jobs {
		if j.failed != nil || j.unchanged || j.unit.Progress == nil {
			continue
		}
		g := j.unit.Progress
		for i, v := range []any{g.ID, g.State, g.At, g.Reason, g.Run.Ptr(), g.CallbackDue} {
			c[i] = append(c[i], v)
		}
	}
	if len(c[0]) == 0 {
		return
	}
	// A contact that two jobs of one batch move needs both moves in order; an
	// UPDATE … FROM would apply only one of two matching rows.
	for i := range c[0] {
		p.Queue(`
			UPDATE contacts
			   SET state = $2::text,
			       answered_at = CASE WHEN $2::text = 'answered' THEN COALESCE(answered_at, $3::timestamptz) ELSE answered_at END,
			       ended_at = CASE WHEN $2::text = 'ended' THEN $3::timestamptz END,
			       end_reason = $4::text, run_id = COALESCE($5::uuid, run_id), callback_due = $6::boolean
			 WHERE id = $1`, c[0][i], c[1][i], c[2][i], c[3][i], c[4][i], c[5][i])
	}
}

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
