package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"nabat/dispatch"
	"nabat/routing"
)

// Cards is the part of dispatch/postgres that changes cards.
type Cards interface {
	Change(ctx context.Context, id dispatch.IncidentID, d dispatch.Decide,
		then func(context.Context, pgx.Tx, dispatch.Card) error) (dispatch.Card, error)
}

// Store keeps routing's tables. It is a routing.Cursors, routing.Cards and
// routing.Taker.
type Store struct {
	pool  *pgxpool.Pool
	cards Cards
}

// NewStore builds a store; nil cards make one for rulesets and positions alone.
func NewStore(pool *pgxpool.Pool, cards Cards) *Store {
	return &Store{pool: pool, cards: cards}
}

// Load is the journal's place up to which a topic has been published; 0 for a
// new topic.
func (s *Store) Load(ctx context.Context, topic string) (int64, error) {
	var seq int64
	err := s.pool.QueryRow(ctx, `SELECT seq FROM outbox_cursors WHERE topic = $1`, topic).Scan(&seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("load the position of %s: %w", topic, err)
	}
	return seq, nil
}

// Save moves a topic's position. It never goes back: a node that lost the lease
// and does not know it yet must not undo what the next one has done.
func (s *Store) Save(ctx context.Context, topic string, seq int64) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO outbox_cursors AS c (topic, seq, updated_at) VALUES ($1, $2, now())
		ON CONFLICT (topic) DO UPDATE SET seq = excluded.seq, updated_at = excluded.updated_at
		 WHERE c.seq < excluded.seq`, topic, seq)
	if err != nil {
		return fmt.Errorf("save the position of %s: %w", topic, err)
	}
	return nil
}

// Change applies a decision to a card.
func (s *Store) Change(ctx context.Context, id dispatch.IncidentID, d dispatch.Decide) error {
	_, err := s.cards.Change(ctx, id, d, nil)
	return err
}

// TakeReply applies a service's reply together with the note that it was taken.
// dispatch.ErrDuplicate means that it was taken before and nothing happened. A
// reply whose content the database can never hold, or whose id was used for
// another incident, is a *dispatch.FieldError.
func (s *Store) TakeReply(ctx context.Context, service dispatch.Service, r routing.Reply, d dispatch.Decide) error {
	var err error
	for range clashes {
		var clash bool
		if clash, err = s.takeReply(ctx, service, r, d); !clash {
			return err
		}
	}
	return err
}

// clashes is how often TakeReply looks anew for the note that it ran into.
const clashes = 5

// takeReply tries once. clash: the key was taken by a note that cannot be read
// yet, since both stood in one group commit and the other's is still to come.
func (s *Store) takeReply(ctx context.Context, service dispatch.Service, r routing.Reply, d dispatch.Decide) (clash bool, err error) {
	source := sha256.Sum256([]byte(r.Source))
	// Nearly every repeat is caught here. Without this look it would be refused
	// by the key below, and with it the whole group commit would run again.
	if err := s.fresh(ctx, service, r); err != nil {
		return false, err
	}
	// A reply that changes nothing leaves its note all the same: the unit's Then
	// runs after dispatch.ErrUnchanged too.
	_, err = s.cards.Change(ctx, r.Incident, d, func(ctx context.Context, tx pgx.Tx, _ dispatch.Card) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO service_replies (service, source_sha256, reply_id, incident_id, at) VALUES ($1, $2, $3, $4, $5)`,
			service, source[:], r.ID, r.Incident, time.Now().UTC().Truncate(time.Microsecond))
		return err
	})
	var impossible *dispatch.TransitionError
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &impossible):
		// Another node may have taken it, and the card has gone on, since we looked.
		if known := s.fresh(ctx, service, r); known != nil {
			return false, known
		}
	case errors.As(err, &pg) && pg.Code == "23505" && pg.ConstraintName == "service_replies_pkey":
		// Taken since we looked; only the note tells for which incident.
		known := s.fresh(ctx, service, r)
		if known == nil {
			return true, err
		}
		return false, known
	case errors.As(err, &pg) && unstorable(pg.Code):
		return false, &dispatch.FieldError{Field: "reply", Reason: pg.Message}
	}
	return false, err
}

// fresh is dispatch.ErrDuplicate for a reply that has its note, and what
// routing.ReusedID says where the note is of another incident.
func (s *Store) fresh(ctx context.Context, service dispatch.Service, r routing.Reply) error {
	source := sha256.Sum256([]byte(r.Source))
	var earlier dispatch.IncidentID
	err := s.pool.QueryRow(ctx, `
		SELECT incident_id FROM service_replies WHERE service = $1 AND source_sha256 = $2 AND reply_id = $3`,
		service, source[:], r.ID).Scan(&earlier)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("look for reply %s of %s: %w", r.ID, service, err)
	case earlier != r.Incident:
		return routing.ReusedID(r, earlier)
	}
	return dispatch.ErrDuplicate
}

// unstorable tells values that a table refuses (SQLSTATE classes 22 data
// exception and 23 integrity constraint violation) from a database in trouble.
func unstorable(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23")
}
