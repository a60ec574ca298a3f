package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"nabat/alarms"
	"nabat/alarms/roster"
	"nabat/dispatch"
)

// Import puts tables into the registry in their order, all of them or nothing:
// rows are told apart by facility_id, by account, or by account, area and zone;
// those that are there take the new values and keep their ids, and those that are
// not named stay. A facility or an account that nobody registered is a
// *roster.FaultsError; at is the table in which it stands. With dry set
// everything is tried and nothing kept.
func (s *Store) Import(ctx context.Context, tables []roster.Table, now time.Time, dry bool) (at int, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		for at = range tables {
			if err := importInto(ctx, tx, tables[at], now); err != nil {
				return err
			}
		}
		if dry {
			return errDry
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDry) {
		return at, fmt.Errorf("import into the registry: %w", err)
	}
	return 0, nil
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
	if len(t.Zones) > 0 {
		return importZones(ctx, tx, t.Zones, now)
	}
	panels, names := make([]alarms.Panel, len(t.Accounts)), make([]named, len(t.Accounts))
	for i, a := range t.Accounts {
		panels[i] = alarms.Panel{
			Account: a.Account, Protocol: a.Protocol, Heartbeat: time.Duration(a.Heartbeat) * time.Second,
			Facility: alarms.Facility{Code: a.Facility},
		}
		names[i] = named{a.Facility, a.At}
	}
	if err := registered(ctx, tx, "facility", `SELECT code FROM facilities WHERE code = ANY($1)`, names); err != nil {
		return err
	}
	return upsertPanels(ctx, tx, panels, now)
}

func importZones(ctx context.Context, tx pgx.Tx, zs []roster.Zone, now time.Time) error {
	rows, names := make([][]any, len(zs)), make([]named, len(zs))
	for i, z := range zs {
		rows[i] = []any{dispatch.NewZoneID(), z.Account, z.Area, z.Number, z.Kind, z.Place}
		names[i] = named{z.Account, z.At}
	}
	if err := registered(ctx, tx, "account", `SELECT account FROM panels WHERE account = ANY($1)`, names); err != nil {
		return err
	}
	if err := stageZones(ctx, tx, rows); err != nil {
		return err
	}
	if err := upsertZones(ctx, tx); err != nil {
		return err
	}
	// Those who keep a copy of the registry look at the panels' times.
	_, err := tx.Exec(ctx, `UPDATE panels SET updated_at = $1 WHERE account IN (SELECT account FROM new_zones)`, now)
	return err
}

// named is a row of another table that a line names.
type named struct {
	name string
	at   roster.Place
}

// registered finds the names that the registry does not have.
func registered(ctx context.Context, tx pgx.Tx, what, known string, names []named) error {
	asked := make([]string, len(names))
	for i, n := range names {
		asked[i] = n.name
	}
	rows, err := tx.Query(ctx, known, asked)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	have := make(map[string]bool, len(found))
	for _, f := range found {
		have[f] = true
	}
	const most = 1000
	bad := &roster.FaultsError{}
	for _, n := range names {
		switch {
		case have[n.name]:
		case len(bad.Faults) == most:
			bad.More = true
		default:
			bad.Faults = append(bad.Faults, roster.Fault{
				Line: n.at.Line, Column: n.at.Column, Reason: fmt.Sprintf("%s %q is not in the registry", what, n.name),
			})
		}
	}
	if len(bad.Faults) > 0 {
		return bad
	}
	return nil
}

// Export reads the registry as the three tables that Import takes.
func (s *Store) Export(ctx context.Context) (facilities, accounts, zones roster.Table, err error) {
	rows, err := s.pool.Query(ctx, `SELECT code, name, category, address, district, lat, lon, phone FROM facilities ORDER BY code`)
	if err != nil {
		return facilities, accounts, zones, fmt.Errorf("export facilities: %w", err)
	}
	facilities.Facilities, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (f roster.Facility, err error) {
		err = r.Scan(&f.Code, &f.Name, &f.Category, &f.Address, &f.District, &f.Lat, &f.Lon, &f.Phone)
		return f, err
	})
	if err != nil {
		return facilities, accounts, zones, fmt.Errorf("export facilities: %w", err)
	}
	rows, err = s.pool.Query(ctx, `
		SELECT p.account, f.code, p.protocol, p.heartbeat_s FROM panels p JOIN facilities f ON f.id = p.facility_id ORDER BY p.account`)
	if err != nil {
		return facilities, accounts, zones, fmt.Errorf("export accounts: %w", err)
	}
	accounts.Accounts, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (a roster.Account, err error) {
		err = r.Scan(&a.Account, &a.Facility, &a.Protocol, &a.Heartbeat)
		return a, err
	})
	if err != nil {
		return facilities, accounts, zones, fmt.Errorf("export accounts: %w", err)
	}
	rows, err = s.pool.Query(ctx, `
		SELECT p.account, z.area, z.number, z.kind, z.place FROM zones z JOIN panels p ON p.id = z.panel_id
		 ORDER BY p.account, z.area, z.number`)
	if err != nil {
		return facilities, accounts, zones, fmt.Errorf("export zones: %w", err)
	}
	zones.Zones, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (z roster.Zone, err error) {
		err = r.Scan(&z.Account, &z.Area, &z.Number, &z.Kind, &z.Place)
		return z, err
	})
	if err != nil {
		return facilities, accounts, zones, fmt.Errorf("export zones: %w", err)
	}
	return facilities, accounts, zones, nil
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
