package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"nabat/dispatch"
)

// Store reads cards, contacts and the journal from a pool and changes them
// through a Writer.
type Store struct {
	pool   *pgxpool.Pool
	writer *Writer
}

// NewStore builds a store. A nil writer makes it read-only.
func NewStore(pool *pgxpool.Pool, writer *Writer) *Store {
	return &Store{pool: pool, writer: writer}
}

// OpenContact stores a contact and its draft card in one transaction. The
// contact's Incident is set here. When its key is known already nothing is
// stored and the contact that holds the key comes back.
func (s *Store) OpenContact(ctx context.Context, c dispatch.Contact) (stored dispatch.Contact, duplicate bool, err error) {
	c.ReceivedAt = c.ReceivedAt.UTC().Truncate(time.Microsecond)
	c.Incident = dispatch.NewIncidentID()
	_, err = s.writer.Do(ctx, Unit{
		Key: c.Key, Contact: &c, Incident: c.Incident, New: true, Decide: dispatch.OpenFromContact(c),
	})
	if errors.Is(err, dispatch.ErrDuplicate) {
		stored, err = s.contactByKey(ctx, c.Key)
		return stored, true, err
	}
	if err != nil {
		return dispatch.Contact{}, false, fmt.Errorf("store the contact: %w", err)
	}
	return c, false, nil
}

func (s *Store) contactByKey(ctx context.Context, key string) (dispatch.Contact, error) {
	return s.oneContact(ctx, ` WHERE key = $1`, key)
}

// Contact finds one contact.
func (s *Store) Contact(ctx context.Context, id dispatch.ContactID) (dispatch.Contact, error) {
	return s.oneContact(ctx, ` WHERE id = $1`, id)
}

func (s *Store) oneContact(ctx context.Context, where string, arg any) (c dispatch.Contact, err error) {
	err = Patiently(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, selectContacts+where, arg)
		if err != nil {
			return err
		}
		c, err = pgx.CollectExactlyOneRow(rows, scanContact)
		return err
	})
	if err != nil {
		return dispatch.Contact{}, fmt.Errorf("find the contact: %w", mapped(err))
	}
	return c, nil
}

// IncidentContacts lists the contacts of some incidents, oldest first.
func (s *Store) IncidentContacts(ctx context.Context, ids []dispatch.IncidentID) ([]dispatch.Contact, error) {
	rows, err := s.pool.Query(ctx, selectContacts+` WHERE incident_id = ANY($1) ORDER BY received_at, id`, ids)
	if err != nil {
		return nil, fmt.Errorf("list contacts: %w", err)
	}
	cs, err := pgx.CollectRows(rows, scanContact)
	if err != nil {
		return nil, fmt.Errorf("list contacts: %w", err)
	}
	return cs, nil
}

// Progress stores a later fact of a contact, and tells its card. One that is
// stored already is fine: its sender had lost the answer.
func (s *Store) Progress(ctx context.Context, p dispatch.Progress, by dispatch.Actor) error {
	_, err := s.progress(ctx, p, by, nil)
	return err
}

func (s *Store) progress(ctx context.Context, p dispatch.Progress, by dispatch.Actor, still func(dispatch.Contact) bool) (done bool, err error) {
	p.At = p.At.UTC().Truncate(time.Microsecond)
	_, err = s.writer.Do(ctx, Unit{
		Key: p.Incident.String(), Progress: &p, Still: still, Incident: p.Incident, Decide: dispatch.NoteProgress(p, by),
	})
	switch {
	case errors.Is(err, dispatch.ErrUnchanged):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("store the contact's progress: %w", err)
	}
	return true, nil
}

// LoseLines ends the contacts that runs other than the given one left open and
// that are over or were never announced (see Runs): their lines went with the
// process. They are due for a call back and come back as they are now.
func (s *Store) LoseLines(ctx context.Context, run dispatch.RunID, now time.Time) ([]dispatch.Contact, error) {
	rows, err := s.pool.Query(ctx, selectContacts+` WHERE state <> 'ended' AND run_id <> $1
		AND NOT EXISTS (SELECT FROM runs r WHERE r.id = run_id AND r.ended_at IS NULL) ORDER BY received_at`, run)
	if err != nil {
		return nil, fmt.Errorf("find lost lines: %w", err)
	}
	open, err := pgx.CollectRows(rows, scanContact)
	if err != nil {
		return nil, fmt.Errorf("find lost lines: %w", err)
	}
	var lost []dispatch.Contact
	for _, c := range open {
		p := dispatch.Progress{
			ID: c.ID, Incident: c.Incident, State: dispatch.ContactEnded, At: now.UTC().Truncate(time.Microsecond),
			Reason: dispatch.EndLineLost, CallbackDue: true,
		}
		// Meanwhile another node may have found it too, or its caller have called
		// again and be on the line of a run that lives.
		done, err := s.progress(ctx, p, dispatch.System, func(now dispatch.Contact) bool {
			return now.State != dispatch.ContactEnded && now.Run == c.Run
		})
		if err != nil {
			return lost, err
		}
		if done {
			lost = append(lost, c.After(p))
		}
	}
	return lost, nil
}

// Change applies a decision to a card. then, which may be nil, writes other
// tables in the same transaction. See Writer.Do for the errors.
func (s *Store) Change(ctx context.Context, id dispatch.IncidentID, d dispatch.Decide,
	then func(context.Context, pgx.Tx, dispatch.Card) error,
) (dispatch.Card, error) {
	return s.writer.Do(ctx, Unit{Key: id.String(), Incident: id, Decide: d, Then: then})
}

// Card reads one card.
func (s *Store) Card(ctx context.Context, id dispatch.IncidentID) (dispatch.Card, error) {
	cards, err := s.Cards(ctx, []dispatch.IncidentID{id})
	if err != nil {
		return dispatch.Card{}, err
	}
	if len(cards) == 0 {
		return dispatch.Card{}, fmt.Errorf("card %s: %w", id, dispatch.ErrNotFound)
	}
	return cards[0], nil
}

// Cards reads several cards as they stand at one moment; unknown ids are left out.
func (s *Store) Cards(ctx context.Context, ids []dispatch.IncidentID) ([]dispatch.Card, error) {
	cards, _, err := s.readCards(ctx, ` WHERE id = ANY($1) ORDER BY opened_at, id`, ids)
	return cards, err
}

// OpenCards reads every open card and the place in the journal that they stand at.
func (s *Store) OpenCards(ctx context.Context) ([]dispatch.Card, int64, error) {
	return s.readCards(ctx, ` WHERE state NOT IN ('closed', 'cancelled') ORDER BY opened_at, id`)
}

// readCards reads cards and assignments from one snapshot of the database.
func (s *Store) readCards(ctx context.Context, where string, args ...any) ([]dispatch.Card, int64, error) {
	var cards []dispatch.Card
	var seq int64
	read := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.pool, read, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT COALESCE(max(seq), 0) FROM events`).Scan(&seq); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, selectIncidents+where, args...)
		if err != nil {
			return err
		}
		incidents, err := pgx.CollectRows(rows, scanIncident)
		if err != nil {
			return err
		}
		ids := make([]dispatch.IncidentID, len(incidents))
		place := make(map[dispatch.IncidentID]int, len(incidents))
		cards = make([]dispatch.Card, len(incidents))
		for i, in := range incidents {
			ids[i], place[in.ID], cards[i] = in.ID, i, dispatch.Card{Incident: in}
		}
		rows, err = tx.Query(ctx, selectAssignments+` WHERE incident_id = ANY($1) ORDER BY added_at, id`, ids)
		if err != nil {
			return err
		}
		assignments, err := pgx.CollectRows(rows, scanAssignment)
		if err != nil {
			return err
		}
		for _, a := range assignments {
			c := &cards[place[a.Incident]]
			c.Assignments = append(c.Assignments, a)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read cards: %w", err)
	}
	return cards, seq, nil
}
