// Package migrations holds the database's schema and brings a database up to it.
//
// Migrations are numbered SQL files, embedded in the binary and run by goose in
// order under a session-level advisory lock, so that several nodes starting at
// once run each exactly once. Each must be safe while the previous binary still
// runs: add, backfill, switch, drop, in different releases.
//
// Two roles share a database: the owner of the schema, by which migrations are
// run, and the engine's, which may do what rights.go names and no more. Who has
// only one role uses it for both.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed sql/*.sql
var files embed.FS

// Done is one migration that was run.
type Done struct {
	Version int64
	Name    string
}

// Run brings a database to the newest schema and says what it did. owner is the
// URL of the role that owns the schema; the role of engine, another URL of the
// same database, gets the engine's rights. An empty engine, or one of the same
// role, is given nothing. It waits (bounded by ctx) while another node does the
// same.
func Run(ctx context.Context, owner, engine string) ([]Done, error) {
	db, err := open(owner)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	p, err := provider(db)
	if err != nil {
		return nil, err
	}
	results, err := p.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	done := make([]Done, 0, len(results))
	for _, r := range results {
		done = append(done, Done{Version: r.Source.Version, Name: r.Source.Path})
	}
	return done, grantTo(ctx, owner, engine)
}

// Pending tells how many migrations the database lacks. It only looks, and may be
// asked by the engine's role.
func Pending(ctx context.Context, url string) (int, error) {
	db, err := open(url)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	p, err := provider(db)
	if err != nil {
		return 0, err
	}
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&there); err != nil {
		return 0, fmt.Errorf("migration status: %w", err)
	}
	if !there { // Status would make the table
		return len(p.ListSources()), nil
	}
	status, err := p.Status(ctx)
	if err != nil {
		return 0, fmt.Errorf("migration status: %w", err)
	}
	n := 0
	for _, s := range status {
		if s.State == goose.StatePending {
			n++
		}
	}
	return n, nil
}

func open(url string) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database address: %w", err)
	}
	return stdlib.OpenDB(*cfg), nil
}

func provider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("migration lock: %w", err)
	}
	sub, err := fs.Sub(files, "sql")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, sub, goose.WithSessionLocker(locker))
}
