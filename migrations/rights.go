package migrations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// rights are what the engine's role may do. The journal and what proves it can
// only be read and added to; whatever is not named here cannot be touched. The
// owner of the tables, who could disable the journal's triggers, is another role
// that only migrations use.
var rights = map[string]string{
	"events":      "SELECT", // and INSERT, see journal
	"audit_heads": "SELECT, INSERT",
	"rulesets":    "SELECT, INSERT",

	"facilities":            "SELECT, INSERT, UPDATE",
	"panels":                "SELECT, INSERT, UPDATE",
	"zones":                 "SELECT, INSERT, UPDATE, DELETE",
	"incidents":             "SELECT, INSERT, UPDATE",
	"assignments":           "SELECT, INSERT, UPDATE",
	"contacts":              "SELECT, INSERT, UPDATE",
	"notifications":         "SELECT, INSERT",
	"notifications_default": "SELECT", // written to through its parent
	"operators":             "SELECT, INSERT, UPDATE",
	"sessions":              "SELECT, INSERT, DELETE",
	"tokens":                "SELECT, INSERT, UPDATE",
	"commands":              "SELECT, INSERT, DELETE",
	"outbox_cursors":        "SELECT, INSERT, UPDATE",
	"service_replies":       "SELECT, INSERT",
	"leases":                "SELECT, INSERT, UPDATE, DELETE",
	"runs":                  "SELECT, INSERT, UPDATE, DELETE",
	"writers":               "SELECT, INSERT, UPDATE, DELETE",

	"goose_db_version": "SELECT", // is this version's schema there?
}

// journal are the columns of a line that the engine writes. Its number is not
// among them: whoever chose it could hide lines from those who follow the journal.
const journal = "id, incident_id, version, at, actor, kind, data, data_sha, prev_hash, hash"

// grant gives role, which is not the owner, the engine's rights on the database
// of conn, whose role is the owner. What is so already is left alone.
func grant(ctx context.Context, conn *pgx.Conn, role string) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// One node at a time: two would change the same rows of the catalogue.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(7236839)`); err != nil {
			return err
		}
		to := pgx.Identifier{role}.Sanitize()
		for table, want := range rights {
			name := pgx.Identifier{"public", table}.Sanitize()
			var have string
			err := tx.QueryRow(ctx, `
				SELECT coalesce(string_agg(a.privilege_type, ', ' ORDER BY array_position(ARRAY['SELECT','INSERT','UPDATE','DELETE'], a.privilege_type), a.privilege_type), '')
				  FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1::regclass AND a.grantee = $2::regrole`, name, to).Scan(&have)
			if err != nil {
				return fmt.Errorf("rights on %s: %w", table, err)
			}
			if have == want {
				continue
			}
			if _, err := tx.Exec(ctx, `REVOKE ALL ON `+name+` FROM `+to); err != nil {
				return fmt.Errorf("rights on %s: %w", table, err)
			}
			if _, err := tx.Exec(ctx, `GRANT `+want+` ON `+name+` TO `+to); err != nil {
				return fmt.Errorf("rights on %s: %w", table, err)
			}
		}
		for has, give := range map[string]string{
			`has_sequence_privilege($1, 'public.incident_numbers', 'USAGE')`:                        `USAGE ON SEQUENCE public.incident_numbers`,
			`has_function_privilege($1, 'public.make_notifications_month(timestamptz)', 'EXECUTE')`: `EXECUTE ON FUNCTION public.make_notifications_month(timestamptz)`,
			`has_column_privilege($1, 'public.events', 'hash', 'INSERT')`:                           `INSERT (` + journal + `) ON public.events`,
			`has_schema_privilege($1, 'public', 'USAGE')`:                                           `USAGE ON SCHEMA public`,
		} {
			var there bool
			if err := tx.QueryRow(ctx, `SELECT `+has, role).Scan(&there); err != nil {
				return err
			}
			if there {
				continue
			}
			if _, err := tx.Exec(ctx, `GRANT `+give+` TO `+to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("rights of role %s: %w", role, err)
	}
	return nil
}

// grantTo gives the role of the engine's URL its rights, unless it is the owner.
func grantTo(ctx context.Context, owner, engine string) (err error) {
	if engine == "" || engine == owner {
		return nil
	}
	cfg, err := pgx.ParseConfig(engine)
	if err != nil {
		return fmt.Errorf("database address: %w", err)
	}
	conn, err := pgx.Connect(ctx, owner)
	if err != nil {
		return fmt.Errorf("reach the database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if cfg.User == conn.Config().User {
		return nil
	}
	return grant(ctx, conn, cfg.User)
}

// State is what a schema's owner and keeper should know of it.
type State struct {
	// Owns: the role owns the journal, or is a member of the role that does. A
	// mistake of the engine, or whoever takes it over, could then switch off what
	// keeps the journal append-only.
	Owns bool
	// Stray rows of notifications lie in the default partition, received from First
	// to Last.
	Stray       int64
	First, Last time.Time
}

// Look tells the state of the database at url as its role sees it. One that was
// not migrated yet has the zero state.
func Look(ctx context.Context, url string) (s State, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return s, fmt.Errorf("reach the database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	err = conn.QueryRow(ctx, `SELECT pg_has_role(relowner, 'MEMBER') FROM pg_class WHERE oid = to_regclass('public.events')`).Scan(&s.Owns)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("who owns the journal: %w", err)
	}
	err = conn.QueryRow(ctx, `SELECT count(*), coalesce(min(received_at), 'epoch'), coalesce(max(received_at), 'epoch') FROM notifications_default`).
		Scan(&s.Stray, &s.First, &s.Last)
	if err != nil {
		return s, fmt.Errorf("look into the default partition: %w", err)
	}
	return s, nil
}
