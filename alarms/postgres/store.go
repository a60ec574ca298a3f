package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"nabat/alarms"
	"nabat/dispatch"
	journal "nabat/dispatch/postgres"
)

// Writer is the group-commit writer.
type Writer interface {
	Do(ctx context.Context, u journal.Unit) (dispatch.Card, error)
}

// Store implements alarms.Store and alarms.Memory.
type Store struct {
	pool   *pgxpool.Pool
	writer Writer
}

// NewStore builds a store.
func NewStore(pool *pgxpool.Pool, writer Writer) *Store { return &Store{pool, writer} }

var notifications = journal.NewTable("notifications",
	"id", "received_at", "occurred_at", "account", "panel_id", "facility_id", "protocol", "class", "condition",
	"code", "area", "zone", "user_no", "text", "raw", "peer", "seq", "duplicate", "dedup_key", "incident_id", "why",
)

// Save commits rows and what they do to a card.
func (s *Store) Save(ctx context.Context, c alarms.Change) error {
	rows := journal.NewRows(notifications, len(c.Rows))
	for i := range c.Rows {
		write(rows, &c.Rows[i])
	}
	_, err := s.writer.Do(ctx, journal.Unit{
		Key: c.Key, Incident: c.Incident, New: c.New, Decide: c.Decide,
		Rows: []*journal.Rows{rows},
	})
	if journal.IsUnique(err, "") {
		// Ids are random: only our own earlier attempt can have written this one.
		return fmt.Errorf("notification is there already: %w", dispatch.ErrDuplicate)
	}
	return err
}

// write appends a notification, its fields in the order of the table's columns.
func write(r *journal.Rows, n *alarms.Notification) {
	r.Row()
	r.UUID(n.ID)
	r.Time(n.ReceivedAt)
	r.Time(n.OccurredAt)
	r.Text(n.Account)
	r.UUID(n.Panel)
	r.UUID(n.Facility)
	r.Text(n.Protocol)
	r.Text(string(n.Class))
	r.Text(string(n.Condition))
	r.Text(n.Code)
	r.Text(n.Area)
	r.Text(n.Zone)
	r.Text(n.User)
	r.Text(n.Text)
	r.Text(n.Raw)
	r.Text(n.Peer)
	r.Text(n.Seq)
	r.Bool(n.Duplicate)
	r.Text(n.DedupKey)
	r.UUID(n.Incident)
	r.Text(n.Why)
}

// IncidentOf tells which card a stored notification is on; zero for none.
func (s *Store) IncidentOf(ctx context.Context, id dispatch.NotificationID, receivedAt time.Time) (dispatch.IncidentID, error) {
	var incident *dispatch.IncidentID
	err := journal.Patiently(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `SELECT incident_id FROM notifications WHERE received_at = $1 AND id = $2`, receivedAt, id).Scan(&incident)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return dispatch.IncidentID{}, dispatch.ErrNotFound
	case err != nil:
		return dispatch.IncidentID{}, fmt.Errorf("look up notification %s: %w", id, err)
	case incident == nil:
		return dispatch.IncidentID{}, nil
	}
	return *incident, nil
}

// Drafts tells which of some cards are drafts still.
func (s *Store) Drafts(ctx context.Context, ids []dispatch.IncidentID) (drafts []dispatch.IncidentID, err error) {
	err = journal.Patiently(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, `SELECT id FROM incidents WHERE id = ANY($1) AND state = 'draft'`, ids)
		if err != nil {
			return err
		}
		drafts, err = pgx.CollectRows(rows, pgx.RowTo[dispatch.IncidentID])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for drafts: %w", err)
	}
	return drafts, nil
}

// SaveSeen moves «last seen» forwards, all panels in one statement.
func (s *Store) SaveSeen(ctx context.Context, at map[dispatch.PanelID]time.Time) error {
	ids, times := make([]dispatch.PanelID, 0, len(at)), make([]time.Time, 0, len(at))
	for id, t := range at {
		ids, times = append(ids, id), append(times, t)
	}
	// In the order of ids, so that two nodes never wait for each other in a ring.
	_, err := s.pool.Exec(ctx, `
		WITH seen AS (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS n (id, at)),
		     mine AS (SELECT p.id FROM panels p JOIN seen USING (id) ORDER BY p.id FOR NO KEY UPDATE OF p)
		UPDATE panels p SET last_seen_at = seen.at
		  FROM seen JOIN mine USING (id)
		 WHERE p.id = seen.id AND (p.last_seen_at IS NULL OR p.last_seen_at < seen.at)`, ids, times)
	if err != nil {
		return fmt.Errorf("save last seen: %w", err)
	}
	return nil
}

// Originals lists the notifications since a time that are no repeats, oldest
// first. It waits for the batches that are being committed at this moment: a
// process that was just killed may have one under way.
func (s *Store) Originals(ctx context.Context, since time.Time) ([]alarms.Notification, error) {
	if _, err := s.pool.Exec(ctx, `SELECT 1 FROM writers FOR SHARE`); err != nil {
		return nil, fmt.Errorf("wait for writers: %w", err)
	}
	rows, err := s.pool.Query(ctx, `
		SELECT id, received_at, account, protocol, class, condition, code, area, zone, user_no, text, panel_id, incident_id
		  FROM notifications
		 WHERE received_at >= $1 AND NOT duplicate
		 ORDER BY received_at, id`, since)
	if err != nil {
		return nil, fmt.Errorf("load the originals since %s: %w", since, err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (alarms.Notification, error) {
		var n alarms.Notification
		var panel *dispatch.PanelID
		var incident *dispatch.IncidentID
		err := r.Scan(&n.ID, &n.ReceivedAt, &n.Account, &n.Protocol, &n.Class, &n.Condition, &n.Code, &n.Area, &n.Zone,
			&n.User, &n.Text, &panel, &incident)
		n.ReceivedAt = n.ReceivedAt.UTC()
		if panel != nil {
			n.Panel = *panel
		}
		if incident != nil {
			n.Incident = *incident
		}
		return n, err
	})
}

// OpenCards lists the cards of alarms that are still open. The account of a card
// without a facility is that of the panel that opened it, which its first event
// names.
func (s *Store) OpenCards(ctx context.Context) ([]alarms.OpenCard, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT i.id, i.facility_id, i.class, i.state = 'draft', COALESCE(i.last_signal_at, i.opened_at),
		       COALESCE((SELECT substr(e.actor, 7) FROM events e
		                  WHERE e.incident_id = i.id AND e.version = 1 AND e.actor LIKE 'panel:%'), '')
		  FROM incidents i
		 WHERE i.origin = 'alarm' AND i.state NOT IN ('closed', 'cancelled')`)
	if err != nil {
		return nil, fmt.Errorf("load open cards: %w", err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (alarms.OpenCard, error) {
		var c alarms.OpenCard
		var facility *dispatch.FacilityID
		err := r.Scan(&c.Incident, &facility, &c.Class, &c.Draft, &c.LastSignal, &c.Account)
		c.LastSignal = c.LastSignal.UTC()
		if facility != nil {
			c.Facility = *facility
		}
		return c, err
	})
}
