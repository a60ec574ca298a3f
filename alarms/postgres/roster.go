package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"nabat/alarms"
	"nabat/alarms/roster"
)

// Import puts a table into the registry, all or nothing: rows are told apart by
// facility_id or account, those that are there take the new values and keep
// their ids and zones, and those that are not named stay. An account whose
// facility nobody registered is a *roster.FaultsError. With dry set everything
// is tried and nothing kept.
func (s *Store) Import(ctx context.Context, t roster.Table, now time.Time, dry bool) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := importInto(ctx, tx, t, now); err != nil {
			return err
		}
		if dry {
			return errDry
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDry) {
		return fmt.Errorf("import into the registry: %w", err)
	}
	return nil
}

var errDry = errors.New("dry run")

func importInto(ctx context.Context, tx pgx.Tx, t roster.Table, now time.Time) error {
	if len(t.Facilities) > 0 {
		fs := make([]alarms.Facility, len(t.Facilities))
		for i, f := range t.Facilities {
			fs[i] = alarms.Facility{
				Code: f.Code, Name: f.Name, Category: f.Category, Address: f.Address, District: f.District,
				Lat: f.Lat, Lon: f.Lon, Phone: f.Phone,
			}
		}
		return upsertFacilities(ctx, tx, fs, now)
	}
	panels := make([]alarms.Panel, len(t.Accounts))
	codes, lines := make([]string, len(t.Accounts)), make([]int32, len(t.Accounts))
	for i, a := range t.Accounts {
		panels[i] = alarms.Panel{
			Account: a.Account, Protocol: a.Protocol, Heartbeat: time.Duration(a.Heartbeat) * time.Second,
			Facility: alarms.Facility{Code: a.Facility},
		}
		codes[i], lines[i] = a.Facility, int32(a.Line) //nolint:gosec // lines of a file
	}
	rows, err := tx.Query(ctx, `
		SELECT n.code, n.line FROM unnest($1::text[], $2::integer[]) AS n (code, line)
		 WHERE NOT EXISTS (SELECT 1 FROM facilities f WHERE f.code = n.code) ORDER BY n.line LIMIT 1000`, codes, lines)
	if err != nil {
		return err
	}
	faults, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (roster.Fault, error) {
		var code string
		f := roster.Fault{Column: 1}
		err := r.Scan(&code, &f.Line)
		f.Reason = fmt.Sprintf("facility %q is not in the registry", code)
		return f, err
	})
	if err != nil {
		return err
	}
	if len(faults) > 0 {
		return &roster.FaultsError{Faults: faults}
	}
	return upsertPanels(ctx, tx, panels, now)
}

// Export reads the registry as the two tables that Import takes.
func (s *Store) Export(ctx context.Context) (facilities, accounts roster.Table, err error) {
	rows, err := s.pool.Query(ctx, `SELECT code, name, category, address, district, lat, lon, phone FROM facilities ORDER BY code`)
	if err != nil {
		return facilities, accounts, fmt.Errorf("export facilities: %w", err)
	}
	facilities.Facilities, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (f roster.Facility, err error) {
		err = r.Scan(&f.Code, &f.Name, &f.Category, &f.Address, &f.District, &f.Lat, &f.Lon, &f.Phone)
		return f, err
	})
	if err != nil {
		return facilities, accounts, fmt.Errorf("export facilities: %w", err)
	}
	rows, err = s.pool.Query(ctx, `
		SELECT p.account, f.code, p.protocol, p.heartbeat_s FROM panels p JOIN facilities f ON f.id = p.facility_id ORDER BY p.account`)
	if err != nil {
		return facilities, accounts, fmt.Errorf("export accounts: %w", err)
	}
	accounts.Accounts, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (a roster.Account, err error) {
		err = r.Scan(&a.Account, &a.Facility, &a.Protocol, &a.Heartbeat)
		return a, err
	})
	if err != nil {
		return facilities, accounts, fmt.Errorf("export accounts: %w", err)
	}
	return facilities, accounts, nil
}

// Mark changes whenever the registry does: a cheap question for those who keep a
// copy.
func (s *Store) Mark(ctx context.Context) (string, error) {
	var mark string
	err := s.pool.QueryRow(ctx, `
		SELECT concat_ws('/', (SELECT count(*) FROM facilities), (SELECT max(updated_at) FROM facilities),
		                      (SELECT count(*) FROM panels), (SELECT max(updated_at) FROM panels), (SELECT count(*) FROM zones))`).Scan(&mark)
	if err != nil {
		return "", fmt.Errorf("look whether the registry changed: %w", err)
	}
	return mark, nil
}
