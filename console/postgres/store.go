package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"nabat/console"
	"nabat/dispatch"
	store "nabat/dispatch/postgres"
)

// Changer changes a card and, in the same transaction, what then writes.
type Changer interface {
	Change(ctx context.Context, id dispatch.IncidentID, d dispatch.Decide,
		then func(context.Context, pgx.Tx, dispatch.Card) error) (dispatch.Card, error)
}

// Store is the console's part of the database. While the database is away, what a
// command, a request or a login needs waits for it within its own time; the error
// is then dispatch.ErrBusy.
type Store struct {
	pool  *pgxpool.Pool
	cards Changer
}

// New builds a store. cards may be nil for a program that only keeps accounts.
func New(pool *pgxpool.Pool, cards Changer) *Store { return &Store{pool: pool, cards: cards} }

var _ console.Store = (*Store)(nil)

// keepSessions is how many logins one person may have at once; older ones end.
const keepSessions = 20

// Account finds a person by login.
func (s *Store) Account(ctx context.Context, login string) (console.Account, error) {
	var a console.Account
	err := store.Patiently(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `
			SELECT id, login, name, role, service, password_hash, disabled_at IS NOT NULL
			  FROM operators WHERE login = $1`, login).
			Scan(&a.ID, &a.Login, &a.Name, &a.Role, &a.Service, &a.Password, &a.Disabled)
	})
	if err != nil {
		return a, fmt.Errorf("read account: %w", mapped(err))
	}
	return a, nil
}

// AddAccount stores a new person.
func (s *Store) AddAccount(ctx context.Context, a console.Account, now time.Time) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO operators (id, login, name, role, service, password_hash, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		a.ID, a.Login, a.Name, a.Role, a.Service, a.Password, now)
	if store.IsUnique(err, "operators_login_key") {
		return dispatch.ErrDuplicate
	}
	return err
}

// SetPassword stores a new hash and ends the person's sessions.
func (s *Store) SetPassword(ctx context.Context, login, phc string) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var id dispatch.OperatorID
		err := tx.QueryRow(ctx, `UPDATE operators SET password_hash = $2 WHERE login = $1 RETURNING id`, login, phc).Scan(&id)
		if err != nil {
			return mapped(err)
		}
		_, err = tx.Exec(ctx, `DELETE FROM sessions WHERE operator_id = $1`, id)
		return err
	})
}

// AddToken stores a token. One name has one live token, so that the journal says
// who it was.
func (s *Store) AddToken(ctx context.Context, t console.Token) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// Two calls with one name wait for each other here.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('nabat token'), hashtext($1))`, t.Name); err != nil {
			return err
		}
		var taken bool
		err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM tokens WHERE name = $1 AND revoked_at IS NULL
			                                    AND (expires_at IS NULL OR expires_at > $2))`, t.Name, t.Created).Scan(&taken)
		switch {
		case err != nil:
			return err
		case taken:
			return dispatch.ErrDuplicate
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO tokens (token_sha, name, role, service, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6)`,
			t.Sum[:], t.Name, t.Role, t.Service, t.Created, nilTime(t.Expires))
		return err
	})
}

// RevokeToken ends a token by its name.
func (s *Store) RevokeToken(ctx context.Context, name string, now time.Time) error {
	tag, err := s.pool.Exec(ctx, `UPDATE tokens SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL`, name, now)
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return dispatch.ErrNotFound
	}
	return nil
}

// AddSession stores a login, and ends the oldest ones of somebody who has many.
func (s *Store) AddSession(ctx context.Context, n console.Session) error {
	err := store.Patiently(ctx, func(ctx context.Context) error { return s.addSession(ctx, n) })
	if store.IsUnique(err, "sessions_pkey") {
		return nil // a secret is nobody else's: the first try was stored and its answer lost
	}
	return err
}

func (s *Store) addSession(ctx context.Context, n console.Session) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			INSERT INTO sessions (token_sha, operator_id, created_at, expires_at, peer)
			SELECT $1, id, $3, $4, $5 FROM operators WHERE login = $2 AND disabled_at IS NULL`,
			n.Sum[:], n.Login, n.Created, n.Expires, n.Peer)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return dispatch.ErrNotFound
		}
		_, err = tx.Exec(ctx, `
			DELETE FROM sessions WHERE token_sha IN (
			       SELECT s.token_sha FROM sessions s JOIN operators o ON o.id = s.operator_id
			        WHERE o.login = $1 ORDER BY s.created_at DESC OFFSET $2)`, n.Login, keepSessions)
		return err
	})
}

// EndSession ends a login; one that is not there has ended already.
func (s *Store) EndSession(ctx context.Context, sum console.Sum) error {
	return store.Patiently(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `DELETE FROM sessions WHERE token_sha = $1`, sum[:])
		return err
	})
}

// Find gives the people behind credentials that are good now.
func (s *Store) Find(ctx context.Context, sums []console.Sum, now time.Time) (found []console.Person, err error) {
	err = store.Patiently(ctx, func(ctx context.Context) error {
		found, err = s.find(ctx, sums, now)
		return err
	})
	return found, err
}

func (s *Store) find(ctx context.Context, sums []console.Sum, now time.Time) ([]console.Person, error) {
	keys := make([][]byte, len(sums))
	for i := range sums {
		keys[i] = sums[i][:]
	}
	rows, err := s.pool.Query(ctx, `
		SELECT s.token_sha, o.login, o.name, o.role, o.service, false, s.expires_at
		  FROM sessions s JOIN operators o ON o.id = s.operator_id
		 WHERE s.token_sha = ANY($1) AND s.expires_at > $2 AND o.disabled_at IS NULL
		UNION ALL
		SELECT token_sha, name, name, role, service, true, expires_at
		  FROM tokens
		 WHERE token_sha = ANY($1) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)`, keys, now)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (console.Person, error) {
		var p console.Person
		var sum []byte
		var expires *time.Time
		if err := row.Scan(&sum, &p.Login, &p.Name, &p.Role, &p.Service, &p.Program, &expires); err != nil {
			return p, err
		}
		copy(p.Key[:], sum)
		if expires != nil {
			p.Expires = expires.UTC()
		}
		return p, nil
	})
}

// Forget drops sessions that ended and commands that are older than before.
func (s *Store) Forget(ctx context.Context, now, before time.Time) error {
	if _, err := s.pool.Exec(ctx, `DELETE FROM sessions WHERE expires_at <= $1`, now); err != nil {
		return fmt.Errorf("forget sessions: %w", err)
	}
	if _, err := s.pool.Exec(ctx, `DELETE FROM commands WHERE at < $1`, before); err != nil {
		return fmt.Errorf("forget commands: %w", err)
	}
	return nil
}

// Outcome is what was stored for a command.
func (s *Store) Outcome(ctx context.Context, actor string, id uuid.UUID) ([]byte, error) {
	var result string
	err := store.Patiently(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `SELECT result FROM commands WHERE actor = $1 AND id = $2`, actor, id).Scan(&result)
	})
	if err != nil {
		return nil, fmt.Errorf("read command: %w", mapped(err))
	}
	return []byte(result), nil
}

// Apply changes the card and stores the outcome, once per (actor, id).
func (s *Store) Apply(ctx context.Context, actor string, id uuid.UUID, at time.Time, incident dispatch.IncidentID,
	d dispatch.Decide, record func() []byte,
) ([]byte, error) {
	var stored []byte
	_, err := s.cards.Change(ctx, incident, d, func(ctx context.Context, tx pgx.Tx, _ dispatch.Card) error {
		stored = record()
		// A plain INSERT: that the key is taken must be the database's own refusal,
		// so that the writer takes back this unit and runs its neighbours again.
		_, err := tx.Exec(ctx, `INSERT INTO commands (actor, id, at, result) VALUES ($1, $2, $3, $4)`,
			actor, id, at, string(stored))
		return err
	})
	if err == nil || errors.Is(err, dispatch.ErrUnchanged) {
		return stored, nil
	}
	// Whatever went wrong, a sending that was faster has the last word; so has our
	// own if only the answer of its commit was lost.
	if again, lookErr := s.Outcome(ctx, actor, id); lookErr == nil {
		return again, nil
	}
	return nil, err
}

// mapped turns driver errors into the domain's.
func mapped(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return dispatch.ErrNotFound
	}
	return err
}

func nilTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
