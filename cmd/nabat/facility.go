package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"nabat/alarms/postgres"
	"nabat/alarms/roster"
	"nabat/cmd/nabat/config"
)

type facilityCmd struct {
	Import facilityImportCmd `cmd:"" help:"${cmd_facility_import}"`
	Export facilityExportCmd `cmd:"" help:"${cmd_facility_export}"`
}

type facilityImportCmd struct {
	config.Base
	DryRun bool     `help:"${flag_dry}"`
	Files  []string `arg:"" type:"existingfile" help:"${flag_tables}"`
}

// Run imports all the files or, if one has a mistake, none.
func (c facilityImportCmd) Run(ctx context.Context, t terminal) error {
	tables := make([]roster.Table, len(c.Files))
	for i, name := range c.Files {
		var err error
		if tables[i], err = readTable(name); err != nil {
			return sayFaults(t, name, err)
		}
	}
	return withDatabase(ctx, c.Base, t, func(d opened) error {
		store := postgres.NewStore(d.pool, nil)
		if at, err := store.Import(ctx, tables, time.Now(), c.DryRun); err != nil {
			return sayFaults(t, c.Files[at], err)
		}
		what := t.say("загружено", "imported")
		if c.DryRun {
			what = t.say("проверено, ничего не записано", "checked, nothing written")
		}
		for i, table := range tables {
			fmt.Fprintf(t.out, "%s: %s: %d\n", c.Files[i], what, table.Len())
		}
		return nil
	})
}

func readTable(name string) (roster.Table, error) {
	f, err := os.Open(name)
	if err != nil {
		return roster.Table{}, err
	}
	defer f.Close()
	return roster.Read(f)
}

// sayFaults lists every mistake as file:line:column.
func sayFaults(t terminal, name string, err error) error {
	faults, ok := errors.AsType[*roster.FaultsError](err)
	if !ok {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, f := range faults.Faults {
		fmt.Fprintf(t.err, "%s:%s\n", name, f)
	}
	if faults.More {
		fmt.Fprintln(t.err, t.say("… и это не всё", "… and there are more"))
	}
	return errSaid
}

type facilityExportCmd struct {
	config.Base
	What string `arg:"" enum:"facilities,accounts,zones" help:"${flag_what}"`
}

// Run writes one of the three tables to standard output.
func (c facilityExportCmd) Run(ctx context.Context, t terminal) error {
	return withExisting(ctx, c.Base, t, func(d opened) error {
		facilities, accounts, zones, err := postgres.NewStore(d.pool, nil).Export(ctx)
		if err != nil {
			return err
		}
		switch c.What {
		case "accounts":
			return roster.WriteAccounts(t.out, accounts.Accounts)
		case "zones":
			return roster.WriteZones(t.out, zones.Zones)
		}
		return roster.WriteFacilities(t.out, facilities.Facilities)
	})
}
