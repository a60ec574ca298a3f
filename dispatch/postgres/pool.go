package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"nabat/dispatch"
)

// PoolOptions are what a caller may choose about a pool.
type PoolOptions struct {
	// MaxConns bounds the pool; 0 is 16.
	MaxConns int32
	// Name is shown in pg_stat_activity.
	Name string
}

// Pool is the connection pool that a process shares. The name lets those who
// wire it hand it on without knowing the driver.
type Pool = pgxpool.Pool

// Open makes a pool and checks that the database answers.
func Open(ctx context.Context, url string, o PoolOptions) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database address: %w", err)
	}
	cfg.MaxConns = 16
	if o.MaxConns > 0 {
		cfg.MaxConns = o.MaxConns
	}
	name := o.Name
	if name == "" {
		name = "nabat"
	}
	settings := map[string]string{
		"application_name": name,
		"timezone":         "UTC",
		// A statement or a transaction that hangs must not hold the journal's lock.
		"statement_timeout":                   "30000",
		"idle_in_transaction_session_timeout": "5000",
		"lock_timeout":                        "10000",
	}
	maps.Copy(cfg.ConnConfig.RuntimeParams, settings)
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	cfg.AfterConnect = insistOnDurability
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("database pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	return pool, nil
}

// insistOnDurability keeps a setting that somebody hung on the role or the
// database from making this session's commits forgettable: such a setting is
// read when a session begins, so it would outlive its being mended. Readiness
// tells of it all the same. What the server is run with is the server's matter.
func insistOnDurability(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) FROM pg_settings
		WHERE name = 'synchronous_commit' AND setting = 'off' AND source IN ('user', 'database', 'database user')`)
	return err
}

// IsUnique tells whether err is a violation of the named unique constraint; an
// empty name means any.
func IsUnique(err error, constraint string) bool {
	if err == nil { // the usual case, asked once a frame
		return false
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23505" && (constraint == "" || pg.ConstraintName == constraint)
}

// refused tells a database that understood and said no from one that is away.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && !unable(err)
}

// unable tells a database's word that it cannot serve anybody now.
func unable(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code[:2] {
	case "57", "53", "08", "58", "XX": // shutdown, resources, connection, system, internal
		return true
	}
	return false
}

// mapped turns driver errors into the domain's.
func mapped(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return dispatch.ErrNotFound
	case Away(err):
		return fmt.Errorf("%w: %w", dispatch.ErrBusy, err)
	default:
		return err
	}
}
