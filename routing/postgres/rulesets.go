package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"nabat/dispatch"
	"nabat/routing"
)

// Published is a ruleset as the table holds it.
type Published struct {
	Number int
	Body   []byte
	SHA    [32]byte
	At     time.Time
	By     dispatch.Actor
}

// Publish puts a compiled ruleset in force and gives its number, one above the
// last. The same text as the one in force keeps its number, and fresh is false.
func (s *Store) Publish(ctx context.Context, set *routing.Ruleset, by dispatch.Actor, at time.Time) (number int, fresh bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// Two administrators at once: the second sees the first one's number.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('nabat rulesets'))`); err != nil {
			return err
		}
		var sha []byte
		err := tx.QueryRow(ctx, `SELECT number, sha FROM rulesets ORDER BY number DESC LIMIT 1`).Scan(&number, &sha)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			number = 0
		case err != nil:
			return err
		case bytes.Equal(sha, set.SHA[:]):
			return nil
		}
		number, fresh = number+1, true
		_, err = tx.Exec(ctx, `
			INSERT INTO rulesets (number, body, sha, published_at, published_by) VALUES ($1, $2, $3, $4, $5)`,
			number, string(set.Body), set.SHA[:], at.UTC().Truncate(time.Microsecond), by)
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("publish the ruleset: %w", err)
	}
	return number, fresh, nil
}

// Active is the ruleset that was published last; dispatch.ErrNotFound if there
// is none.
func (s *Store) Active(ctx context.Context) (Published, error) {
	return s.ruleset(ctx, `ORDER BY number DESC LIMIT 1`)
}

// Ruleset is the one with a number, for «why» on an old card.
func (s *Store) Ruleset(ctx context.Context, number int) (Published, error) {
	return s.ruleset(ctx, `WHERE number = $1`, number)
}

func (s *Store) ruleset(ctx context.Context, which string, args ...any) (Published, error) {
	var p Published
	var body string
	var sha []byte
	err := s.pool.QueryRow(ctx,
		`SELECT number, body, sha, published_at, published_by FROM rulesets `+which, args...,
	).Scan(&p.Number, &body, &sha, &p.At, &p.By)
	if errors.Is(err, pgx.ErrNoRows) {
		err = dispatch.ErrNotFound
	}
	if err != nil {
		return Published{}, fmt.Errorf("load the ruleset: %w", err)
	}
	p.Body, p.At = []byte(body), p.At.UTC()
	copy(p.SHA[:], sha)
	return p, nil
}

// InForce compiles the ruleset that was published last. In a database without
// one it publishes initial. The error is a *routing.FaultsError when the text no
// longer fits the vocabulary: a service that the city no longer configures, say.
func (s *Store) InForce(ctx context.Context, initial *routing.Ruleset, v routing.Vocabulary, now time.Time) (*routing.Ruleset, error) {
	p, err := s.Active(ctx)
	if errors.Is(err, dispatch.ErrNotFound) {
		n, _, err := s.Publish(ctx, initial, dispatch.System, now)
		if err != nil {
			return nil, err
		}
		return initial.WithNumber(n), nil
	}
	if err != nil {
		return nil, err
	}
	set, err := routing.Compile(fmt.Sprintf("ruleset-%d.yaml", p.Number), p.Body, v)
	if err != nil {
		return nil, fmt.Errorf("ruleset %d: %w", p.Number, err)
	}
	return set.WithNumber(p.Number), nil
}
