package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/datadir"
	"nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgserver"
	"nabat/migrations"
)

// starting is how long a command waits for an engine that is on its way up.
const starting = 30 * time.Second

// openDatabase gives a command the database of --data, whether the engine runs
// or not: the city's own one, the running engine's, or the embedded server
// started for the time of the command on a port of the kernel's choice. Close
// must be called; it stops only what was started here.
func openDatabase(ctx context.Context, c config.Base, log *zap.Logger) (url string, closeDB func() error, err error) {
	nothing := func() error { return nil }
	if c.Postgres.URL != "" {
		return c.Postgres.URL, nothing, upToDate(ctx, c.Postgres.URL)
	}
	for deadline := time.Now().Add(starting); ; {
		run, err := datadir.Running(c.Data)
		if err == nil {
			return run.Postgres, nothing, upToDate(ctx, run.Postgres)
		}
		if !errors.Is(err, datadir.ErrNotRunning) {
			return "", nil, err
		}
		s, err := pgserver.Start(ctx, pgserver.Options{Data: c.Data, Log: log})
		if err == nil {
			return migrated(ctx, s)
		}
		// Somebody holds the files and has not said yet where to find it.
		if !errors.Is(err, pgserver.ErrLocked) || time.Now().After(deadline) {
			return "", nil, err
		}
		select {
		case <-ctx.Done():
			return "", nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// migrated brings a server of our own to this version's schema: nobody else
// works on it.
func migrated(ctx context.Context, s *pgserver.Server) (string, func() error, error) {
	stop := func() error {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), starting)
		defer cancel()
		return s.Stop(limit)
	}
	if _, err := migrations.Run(ctx, s.URL()); err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return s.URL(), stop, nil
}

// upToDate refuses a database of another version's schema: a command must not
// change it under a running engine's feet.
func upToDate(ctx context.Context, url string) error {
	n, err := migrations.Pending(ctx, url)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("the database lacks %d migrations of this version; run «nabat migrate»", n)
	}
	return nil
}

// opened is a command's database.
type opened struct {
	pool *postgres.Pool
	log  *zap.Logger
}

// withDatabase opens the database of --data for the time of do.
func withDatabase(ctx context.Context, c config.Base, t terminal, do func(opened) error) (err error) {
	log, err := logger(c.Log, t.err)
	if err != nil {
		return err
	}
	url, stop, err := openDatabase(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	pool, err := postgres.Open(ctx, url, postgres.PoolOptions{MaxConns: 6, Name: "nabat-cli"})
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(opened{pool: pool, log: log})
}
