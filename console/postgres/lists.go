package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nabat/console"
	"nabat/dispatch"
	store "nabat/dispatch/postgres"
)

// clause gathers conditions with their numbered arguments.
type clause struct {
	conds []string
	args  []any
}

// and adds a condition; every «?» in it becomes the next argument's number.
func (c *clause) and(cond string, args ...any) {
	for _, a := range args {
		c.args = append(c.args, a)
		cond = strings.Replace(cond, "?", "$"+strconv.Itoa(len(c.args)), 1)
	}
	c.conds = append(c.conds, cond)
}

// page ends the query: time bounds, the place to go on from, the order, the
// limit. table is the alias that holds the time column and id.
func (c *clause) page(table, column string, s console.Slice) string {
	at, id := table+"."+column, table+".id"
	if !s.From.IsZero() {
		c.and(at+" >= ?", s.From)
	}
	if !s.To.IsZero() {
		c.and(at+" < ?", s.To)
	}
	if s.After != nil {
		c.and("("+at+", "+id+") < (?, ?)", s.After.At, s.After.ID)
	}
	where := ""
	if len(c.conds) > 0 {
		where = " WHERE " + strings.Join(c.conds, " AND ")
	}
	c.args = append(c.args, s.Limit)
	return where + " ORDER BY " + at + " DESC, " + id + " DESC LIMIT $" + strconv.Itoa(len(c.args))
}

func collect[T any](ctx context.Context, s *Store, what, query string, args []any, scan pgx.RowToFunc[T]) (out []T, err error) {
	err = store.Patiently(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, scan)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	return out, nil
}

// IncidentIDs is a page of incidents by the time they were opened.
func (s *Store) IncidentIDs(ctx context.Context, f console.IncidentFilter) ([]dispatch.IncidentID, error) {
	var c clause
	switch f.Status {
	case "":
	case "open":
		c.and("i.state NOT IN ('closed', 'cancelled')")
	default:
		c.and("i.state = ?", f.Status)
	}
	if f.Facility != "" {
		c.and("i.facility_id = (SELECT id FROM facilities WHERE code = ?)", f.Facility)
	}
	if f.Service != "" {
		c.and("EXISTS (SELECT FROM assignments a WHERE a.incident_id = i.id AND a.service = ?)", f.Service)
	}
	query := "SELECT i.id FROM incidents i" + c.page("i", "opened_at", f.Slice)
	return collect(ctx, s, "incidents", query, c.args, pgx.RowTo[dispatch.IncidentID])
}

// Contacts is a page of contacts by the time they came.
func (s *Store) Contacts(ctx context.Context, f console.ContactFilter) ([]dispatch.Contact, error) {
	var c clause
	if f.Status != "" {
		c.and("c.state = ?", f.Status)
	}
	query := `
		SELECT c.id, c.kind, c.incident_id, c.caller, c.called, c.peer, c.text, c.state, c.received_at,
		       c.answered_at, c.ended_at, c.end_reason, c.callback_due
		  FROM contacts c` + c.page("c", "received_at", f.Slice)
	return collect(ctx, s, "contacts", query, c.args, func(row pgx.CollectableRow) (dispatch.Contact, error) {
		var ct dispatch.Contact
		var answered, ended *time.Time
		err := row.Scan(&ct.ID, &ct.Kind, &ct.Incident, &ct.Caller, &ct.Called, &ct.Peer, &ct.Text, &ct.State,
			&ct.ReceivedAt, &answered, &ended, &ct.EndReason, &ct.CallbackDue)
		ct.AnsweredAt, ct.EndedAt = zeroTime(answered), zeroTime(ended)
		return ct, err
	})
}

// Notifications is a page of panels' messages by the time they came.
func (s *Store) Notifications(ctx context.Context, f console.NotificationFilter) ([]console.Notification, error) {
	var c clause
	if f.Account != "" {
		c.and("n.account = ?", f.Account)
	}
	if f.Facility != "" {
		c.and("n.facility_id = (SELECT id FROM facilities WHERE code = ?)", f.Facility)
	}
	query := `
		SELECT n.id, n.received_at, n.occurred_at, n.account, COALESCE(f.code, ''), n.protocol, n.class, n.condition,
		       n.code, n.area, n.zone, n.user_no, n.text, n.raw, n.peer, n.duplicate, n.incident_id, n.why
		  FROM notifications n LEFT JOIN facilities f ON f.id = n.facility_id` + c.page("n", "received_at", f.Slice)
	return collect(ctx, s, "notifications", query, c.args, func(row pgx.CollectableRow) (console.Notification, error) {
		var n console.Notification
		var raw []byte
		err := row.Scan(&n.ID, &n.ReceivedAt, &n.OccurredAt, &n.Account, &n.FacilityID, &n.Protocol, &n.Class, &n.Condition,
			&n.Code, &n.Area, &n.Zone, &n.User, &n.Text, &raw, &n.Peer, &n.Duplicate, &n.Incident, &n.Why)
		n.Raw, n.ReceivedAt = raw, n.ReceivedAt.UTC()
		n.OccurredAt = inUTC(n.OccurredAt)
		return n, err
	})
}

// Facilities is a page of the registry by the time of entry.
func (s *Store) Facilities(ctx context.Context, sl console.Slice) ([]console.Facility, error) {
	var c clause
	query := `
		SELECT f.code, f.id, f.name, f.category, f.address, f.district, f.lat, f.lon, f.phone, f.created_at, f.updated_at
		  FROM facilities f` + c.page("f", "created_at", sl)
	return collect(ctx, s, "facilities", query, c.args, func(row pgx.CollectableRow) (console.Facility, error) {
		var f console.Facility
		err := row.Scan(&f.ID, &f.UUID, &f.Name, &f.Category, &f.Address, &f.District, &f.Lat, &f.Lon, &f.Phone,
			&f.CreatedAt, &f.UpdatedAt)
		f.CreatedAt, f.UpdatedAt = f.CreatedAt.UTC(), f.UpdatedAt.UTC()
		return f, err
	})
}

// Panels is a page of panels, with their zones, by the time of entry.
func (s *Store) Panels(ctx context.Context, f console.PanelFilter) ([]console.Panel, error) {
	var c clause
	if f.Account != "" {
		c.and("p.account = ?", f.Account)
	}
	if f.Facility != "" {
		c.and("f.code = ?", f.Facility)
	}
	query := `
		SELECT p.id, p.account, f.code, f.name, p.protocol, p.heartbeat_s, p.last_seen_at, p.created_at, p.updated_at
		  FROM panels p JOIN facilities f ON f.id = p.facility_id` + c.page("p", "created_at", f.Slice)
	panels, err := collect(ctx, s, "panels", query, c.args, func(row pgx.CollectableRow) (console.Panel, error) {
		p := console.Panel{Zones: []console.Zone{}}
		err := row.Scan(&p.ID, &p.Account, &p.FacilityID, &p.FacilityName, &p.Protocol, &p.Heartbeat, &p.LastSeenAt,
			&p.CreatedAt, &p.UpdatedAt)
		p.LastSeenAt, p.CreatedAt, p.UpdatedAt = inUTC(p.LastSeenAt), p.CreatedAt.UTC(), p.UpdatedAt.UTC()
		return p, err
	})
	if err != nil {
		return nil, err
	}
	return panels, s.addZones(ctx, panels)
}

func (s *Store) addZones(ctx context.Context, panels []console.Panel) error {
	ids := make([]dispatch.PanelID, len(panels))
	at := make(map[dispatch.PanelID]int, len(panels))
	for i, p := range panels {
		ids[i], at[p.ID] = p.ID, i
	}
	rows, err := s.pool.Query(ctx, `
		SELECT panel_id, area, number, kind, place FROM zones WHERE panel_id = ANY($1) ORDER BY panel_id, area, number`, ids)
	if err != nil {
		return fmt.Errorf("list zones: %w", err)
	}
	var id dispatch.PanelID
	var z console.Zone
	_, err = pgx.ForEachRow(rows, []any{&id, &z.Area, &z.Number, &z.Kind, &z.Place}, func() error {
		p := &panels[at[id]]
		p.Zones = append(p.Zones, z)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list zones: %w", err)
	}
	return nil
}

func zeroTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
