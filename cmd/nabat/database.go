package main

import (
	"cmp"
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

// addresses are a database's URLs.
type addresses struct {
	engine string
	owner  string // of the schema; the engine's where nobody said otherwise
}

// openDatabase gives a command the database of --data, whether the engine runs
// or not: the city's own one, the running engine's, or the embedded server
// started for the time of the command on a port of the kernel's choice. Close
// must be called; it stops only what was started here.
func openDatabase(ctx context.Context, c config.Base, log *zap.Logger) (a addresses, closeDB func() error, err error) {
	nothing := func() error { return nil }
	if a, ok, err := known(c); ok || err != nil {
		if err == nil {
			err = upToDate(ctx, a.engine)
		}
		return a, nothing, err
	}
	for deadline := time.Now().Add(starting); ; {
		s, err := pgserver.Start(ctx, pgserver.Options{Data: c.Data, Log: log})
		if err == nil {
			return migrated(ctx, s)
		}
		// Somebody holds the files and has not said yet where to find it.
		if !errors.Is(err, pgserver.ErrLocked) || time.Now().After(deadline) {
			return a, nil, err
		}
		select {
		case <-ctx.Done():
			return a, nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		if a, ok, err := known(c); ok || err != nil {
			if err == nil {
				err = upToDate(ctx, a.engine)
			}
			return a, nothing, err
		}
	}
}

// known finds a database that runs without us: the city's own one, or the
// running engine's.
func known(c config.Base) (a addresses, ok bool, err error) {
	if c.Postgres.URL != "" {
		return addresses{c.Postgres.URL, cmp.Or(c.Postgres.MigrateURL, c.Postgres.URL)}, true, nil
	}
	run, err := datadir.Running(c.Data)
	switch {
	case errors.Is(err, datadir.ErrNotRunning):
		return a, false, nil
	case err != nil:
		return a, false, err
	}
	return addresses{run.Postgres, cmp.Or(c.Postgres.MigrateURL, run.Owner, run.Postgres)}, true, nil
}

// migrated brings a server of our own to this version's schema: nobody else
// works on it.
func migrated(ctx context.Context, s *pgserver.Server) (addresses, func() error, error) {
	stop := func() error {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), starting)
		defer cancel()
		return s.Stop(limit)
	}
	a := addresses{s.URL(), s.OwnerURL()}
	if _, err := migrations.Run(ctx, a.owner, a.engine); err != nil {
		return a, nil, errors.Join(err, stop())
	}
	return a, stop, nil
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
	pool  *postgres.Pool
	owner string // URL of the schema's owner
	log   *zap.Logger
}

// withExisting is withDatabase for what only reads: a misspelt --data must not
// make an empty database that then looks whole.
func withExisting(ctx context.Context, c config.Base, t terminal, do func(opened) error) error {
	if c.Postgres.URL == "" {
		there, err := pgserver.Exists(c.Data)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf(t.say("в «%s» нет данных движка", "there is no engine's data in %q"), c.Data)
		}
	}
	return withDatabase(ctx, c, t, do)
}

// withDatabase opens the database of --data for the time of do.
func withDatabase(ctx context.Context, c config.Base, t terminal, do func(opened) error) (err error) {
	log, err := logger(c.Log, t.err)
	if err != nil {
		return err
	}
	a, stop, err := openDatabase(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	pool, err := postgres.Open(ctx, a.engine, postgres.PoolOptions{MaxConns: 6, Name: "nabat-cli"})
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(opened{pool: pool, owner: a.owner, log: log})
}
