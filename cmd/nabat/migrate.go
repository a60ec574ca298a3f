package main

import (
	"context"
	"errors"
	"fmt"

	"nabat/cmd/nabat/config"
	"nabat/migrations"
)

type migrateCmd struct {
	config.Base
}

// Run migrates the city's own database, the running engine's, or the embedded
// one, and gives the engine's role its rights.
func (c migrateCmd) Run(ctx context.Context, t terminal) (err error) {
	log, err := logger(c.Log, t.err)
	if err != nil {
		return err
	}
	a, running, err := known(c.Base)
	if err != nil {
		return err
	}
	if !running { // openDatabase migrates a server that it starts
		var stop func() error
		if a, stop, err = openDatabase(ctx, c.Base, log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	done, err := migrations.Run(ctx, a.owner, a.engine)
	if err != nil {
		return err
	}
	for _, m := range done {
		fmt.Fprintf(t.out, "%05d %s\n", m.Version, m.Name)
	}
	_, err = fmt.Fprintln(t.out, t.say("База приведена к схеме этой версии.", "The database has this version's schema."))
	return err
}
