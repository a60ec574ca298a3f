package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nabat/alarms"
	"nabat/dispatch"
)

// Panels reads the whole registry: what alarms.Registry.Replace takes.
func (s *Store) Panels(ctx context.Context) ([]alarms.Panel, error) {
	var panels []alarms.Panel
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT p.id, p.account, p.protocol, p.heartbeat_s,
			       f.id, f.code, f.name, f.category, f.address, f.district, f.lat, f.lon, f.phone
			  FROM panels p JOIN facilities f ON f.id = p.facility_id`)
		if err != nil {
			return err
		}
		if panels, err = pgx.CollectRows(rows, scanPanel); err != nil {
			return err
		}
		at := make(map[dispatch.PanelID]*alarms.Panel, len(panels))
		for i := range panels {
			at[panels[i].ID] = &panels[i]
		}
		rows, err = tx.Query(ctx, `SELECT panel_id, area, number, kind, place FROM zones ORDER BY panel_id, area, number`)
		if err != nil {
			return err
		}
		var id dispatch.PanelID
		var z alarms.Zone
		_, err = pgx.ForEachRow(rows, []any{&id, &z.Area, &z.Number, &z.Kind, &z.Place}, func() error {
			if p := at[id]; p != nil {
				p.Zones = append(p.Zones, z)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load the registry: %w", err)
	}
	return panels, nil
}

func scanPanel(r pgx.CollectableRow) (alarms.Panel, error) {
	var p alarms.Panel
	var heartbeat int
	f := &p.Facility
	err := r.Scan(&p.ID, &p.Account, &p.Protocol, &heartbeat,
		&f.ID, &f.Code, &f.Name, &f.Category, &f.Address, &f.District, &f.Lat, &f.Lon, &f.Phone)
	p.Heartbeat = time.Duration(heartbeat) * time.Second
	return p, err
}

// Upsert puts facilities with their panels and zones into the registry, all or
// nothing. Facilities are told apart by their code and panels by their account;
// what is there keeps its id and takes the new values. A panel's zones are
// replaced by those given. Facilities and panels that are not named stay.
//
// The ids in the arguments are ignored; a panel's facility is named by
// Panel.Facility.Code, whose other fields are taken too.
func (s *Store) Upsert(ctx context.Context, panels []alarms.Panel, now time.Time) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := upsertFacilities(ctx, tx, facilitiesOf(panels), now); err != nil {
			return fmt.Errorf("facilities: %w", err)
		}
		if err := upsertPanels(ctx, tx, panels, now); err != nil {
			return fmt.Errorf("panels: %w", err)
		}
		if err := replaceZones(ctx, tx, panels); err != nil {
			return fmt.Errorf("zones: %w", err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("import into the registry: %w", err)
	}
	return nil
}

// stage copies rows into a table that lives as long as the transaction.
func stage(ctx context.Context, tx pgx.Tx, name, columns string, names []string, rows [][]any) error {
	// An import of several tables stages one of the kind after another.
	if _, err := tx.Exec(ctx, `DROP TABLE IF EXISTS pg_temp.`+name); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `CREATE TEMP TABLE `+name+` (`+columns+`) ON COMMIT DROP`); err != nil {
		return err
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{name}, names, pgx.CopyFromRows(rows))
	return err
}

// facilitiesOf lists each panel's facility once.
func facilitiesOf(panels []alarms.Panel) []alarms.Facility {
	var out []alarms.Facility
	seen := map[string]bool{}
	for i := range panels {
		if f := panels[i].Facility; !seen[f.Code] {
			seen[f.Code] = true
			out = append(out, f)
		}
	}
	return out
}

func upsertFacilities(ctx context.Context, tx pgx.Tx, facilities []alarms.Facility, now time.Time) error {
	rows := make([][]any, 0, len(facilities))
	for _, f := range facilities {
		rows = append(rows, []any{dispatch.NewFacilityID(), f.Code, f.Name, f.Category, f.Address, f.District, f.Lat, f.Lon, f.Phone})
	}
	err := stage(ctx, tx, "new_facilities",
		`id uuid, code text, name text, category text, address text, district text, lat float8, lon float8, phone text`,
		[]string{"id", "code", "name", "category", "address", "district", "lat", "lon", "phone"}, rows)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO facilities (id, code, name, category, address, district, lat, lon, phone, created_at, updated_at)
		SELECT id, code, name, category, address, district, lat, lon, phone, $1, $1 FROM new_facilities ORDER BY code
		ON CONFLICT (code) DO UPDATE
		   SET name = excluded.name, category = excluded.category, address = excluded.address,
		       district = excluded.district, lat = excluded.lat, lon = excluded.lon, phone = excluded.phone,
		       updated_at = excluded.updated_at
		 WHERE (facilities.name, facilities.category, facilities.address, facilities.district, facilities.lat, facilities.lon, facilities.phone)
		       IS DISTINCT FROM
		       (excluded.name, excluded.category, excluded.address, excluded.district, excluded.lat, excluded.lon, excluded.phone)`, now)
	return err
}

func upsertPanels(ctx context.Context, tx pgx.Tx, panels []alarms.Panel, now time.Time) error {
	rows := make([][]any, len(panels))
	for i := range panels {
		p := &panels[i]
		protocol := p.Protocol
		if protocol == "" {
			protocol = "dc09"
		}
		rows[i] = []any{
			dispatch.NewPanelID(), p.Facility.Code, strings.ToUpper(p.Account), protocol, int32(p.Heartbeat / time.Second),
		}
	}
	err := stage(ctx, tx, "new_panels", `id uuid, facility text, account text, protocol text, heartbeat_s integer`,
		[]string{"id", "facility", "account", "protocol", "heartbeat_s"}, rows)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO panels (id, facility_id, account, protocol, heartbeat_s, created_at, updated_at)
		SELECT n.id, f.id, n.account, n.protocol, n.heartbeat_s, $1, $1
		  FROM new_panels n JOIN facilities f ON f.code = n.facility ORDER BY n.account
		ON CONFLICT (account) DO UPDATE
		   SET facility_id = excluded.facility_id, protocol = excluded.protocol, heartbeat_s = excluded.heartbeat_s,
		       updated_at = excluded.updated_at
		 WHERE (panels.facility_id, panels.protocol, panels.heartbeat_s)
		       IS DISTINCT FROM (excluded.facility_id, excluded.protocol, excluded.heartbeat_s)`, now)
	return err
}

func replaceZones(ctx context.Context, tx pgx.Tx, panels []alarms.Panel) error {
	var rows [][]any
	for i := range panels {
		for _, z := range panels[i].Zones {
			rows = append(rows, []any{
				dispatch.NewZoneID(), strings.ToUpper(panels[i].Account), z.Area, z.Number, string(z.Kind), z.Place,
			})
		}
	}
	if err := stageZones(ctx, tx, rows); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		DELETE FROM zones z USING panels p, new_panels n
		 WHERE p.account = n.account AND z.panel_id = p.id
		   AND NOT EXISTS (SELECT 1 FROM new_zones w WHERE w.account = p.account AND w.area = z.area AND w.number = z.number)`)
	if err != nil {
		return err
	}
	return upsertZones(ctx, tx)
}

func stageZones(ctx context.Context, tx pgx.Tx, rows [][]any) error {
	return stage(ctx, tx, "new_zones", `id uuid, account text, area text, number text, kind text, place text`,
		[]string{"id", "account", "area", "number", "kind", "place"}, rows)
}

// upsertZones puts the staged zones in.
func upsertZones(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO zones (id, panel_id, area, number, kind, place)
		SELECT n.id, p.id, n.area, n.number, n.kind, n.place
		  FROM new_zones n JOIN panels p ON p.account = n.account
		ON CONFLICT (panel_id, area, number) DO UPDATE SET kind = excluded.kind, place = excluded.place
		 WHERE (zones.kind, zones.place) IS DISTINCT FROM (excluded.kind, excluded.place)`)
	return err
}
