package postgres

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"nabat/dispatch"
)

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
