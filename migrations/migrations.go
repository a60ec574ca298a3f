// Package migrations holds the database's schema and brings a database up to it.
//
// Migrations are numbered SQL files, embedded in the binary and run by goose in
// order under a session-level advisory lock, so that several nodes starting at
// once run each exactly once. Each must be safe while the previous binary still
// runs: add, backfill, switch, drop, in different releases.
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

// Run brings the database at url to the newest schema and says what it did. It
// waits (bounded by ctx) while another node does the same.
func Run(ctx context.Context, url string) ([]Done, error) {
	db, err := open(url)
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
	return done, nil
}

// Pending tells how many migrations the database lacks.
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
