package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"
	"nabat/dispatch"
)

const selectIncidents = `
	SELECT id, number, state, origin, type, class, facility_id, facility_code, facility_name,
	       facility_category, unknown_facility, place, district, lat, lon, description, caller, opened_at, registered_at, closed_at, close_reason,
	       last_signal_at, version, head
	  FROM incidents`

func scanIncident(row pgx.CollectableRow) (dispatch.Incident, error) {
	var (
		in                             dispatch.Incident
		facility                       *dispatch.FacilityID
		registered, closed, lastSignal *time.Time
		head                           []byte
	)
	err := row.Scan(&in.ID, &in.Number, &in.State, &in.Origin, &in.Type, &in.Class, &facility, &in.FacilityCode,
		&in.FacilityName, &in.FacilityCategory, &in.UnknownFacility, &in.Place, &in.District, &in.Lat, &in.Lon, &in.Description,
		&in.Caller, &in.OpenedAt, &registered, &closed, &in.CloseReason, &lastSignal, &in.Version, &head)
	if err != nil {
		return in, err
	}
	if facility != nil {
		in.Facility = *facility
	}
	in.OpenedAt = in.OpenedAt.UTC()
	in.RegisteredAt, in.ClosedAt, in.LastSignalAt = utc(registered), utc(closed), utc(lastSignal)
	copy(in.Head[:], head)
	return in, nil
}

const selectAssignments = `
	SELECT id, incident_id, service, state, rule, ruleset, why, why_en, added_by, order_number, comment,
	       undeliverable, added_at, published_at, received_at, decided_at, en_route_at, arrived_at, working_at, finished_at
	  FROM assignments`

func scanAssignment(row pgx.CollectableRow) (dispatch.Assignment, error) {
	var a dispatch.Assignment
	var t [7]*time.Time
	err := row.Scan(&a.ID, &a.Incident, &a.Service, &a.State, &a.Rule, &a.Ruleset, &a.Why, &a.WhyEN, &a.AddedBy,
		&a.OrderNumber, &a.Comment, &a.Undeliverable, &a.AddedAt, &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6])
	if err != nil {
		return a, err
	}
	a.AddedAt = a.AddedAt.UTC()
	a.PublishedAt, a.ReceivedAt, a.DecidedAt, a.EnRouteAt = utc(t[0]), utc(t[1]), utc(t[2]), utc(t[3])
	a.ArrivedAt, a.WorkingAt, a.FinishedAt = utc(t[4]), utc(t[5]), utc(t[6])
	return a, nil
}

const selectContacts = `
	SELECT id, kind, key, run_id, incident_id, caller, called, peer, text, state, received_at, answered_at,
	       ended_at, end_reason, callback_due, body, content_type
	  FROM contacts`

func scanContact(row pgx.CollectableRow) (dispatch.Contact, error) {
	var c dispatch.Contact
	var answered, ended *time.Time
	err := row.Scan(&c.ID, &c.Kind, &c.Key, &c.Run, &c.Incident, &c.Caller, &c.Called, &c.Peer, &c.Text, &c.State,
		&c.ReceivedAt, &answered, &ended, &c.EndReason, &c.CallbackDue, &c.Body, &c.ContentType)
	if len(c.Body) == 0 {
		c.Body = nil
	}
	c.ReceivedAt = c.ReceivedAt.UTC()
	c.AnsweredAt, c.EndedAt = utc(answered), utc(ended)
	return c, err
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// queueIncidents writes the cards that changed: new ones with one INSERT, the
// others with one UPDATE that the version guards.
func queueIncidents(p *pgx.Batch, cards []*locked) {
	fresh, old := make([][]any, 24), make([][]any, 24)
	for _, l := range cards {
		if !l.changed {
			continue
		}
		c := &l.card
		into := old
		if l.isNew {
			into = fresh
		}
		for i, v := range []any{
			c.ID, c.Number, c.State, c.Origin, c.Type, c.Class, c.Facility.Ptr(), c.FacilityCode, c.FacilityName,
			c.FacilityCategory, c.UnknownFacility, c.Place, c.District, c.Lat, c.Lon, c.Description, c.Caller, c.OpenedAt,
			nilTime(c.RegisteredAt), nilTime(c.ClosedAt), c.CloseReason, nilTime(c.LastSignalAt), c.Version, c.Head[:],
		} {
			into[i] = append(into[i], v)
		}
	}
	const unnest = `unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[],
		$9::text[], $10::text[], $11::boolean[], $12::text[], $13::text[], $14::float8[], $15::float8[], $16::text[],
		$17::text[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::text[], $22::timestamptz[],
		$23::integer[], $24::bytea[])`
	const names = `id, number, state, origin, type, class, facility_id, facility_code, facility_name, facility_category,
		unknown_facility, place, district, lat, lon, description, caller, opened_at, registered_at, closed_at, close_reason,
		last_signal_at, version, head`
	if len(fresh[0]) > 0 {
		p.Queue(`INSERT INTO incidents (`+names+`) SELECT * FROM `+unnest, columns(fresh)...)
	}
	if len(old[0]) > 0 {
		// The rows are locked since they were read, so no version can have moved.
		p.Queue(`
			UPDATE incidents i
			   SET state = n.state, type = n.type, class = n.class, facility_id = n.facility_id,
			       facility_code = n.facility_code, facility_name = n.facility_name,
			       facility_category = n.facility_category,
			       unknown_facility = n.unknown_facility, place = n.place, district = n.district, lat = n.lat,
			       lon = n.lon, description = n.description, caller = n.caller, registered_at = n.registered_at,
			       closed_at = n.closed_at, close_reason = n.close_reason, last_signal_at = n.last_signal_at,
			       version = n.version, head = n.head
			  FROM `+unnest+` AS n (`+names+`)
			 WHERE i.id = n.id`, columns(old)...)
	}
}

// queueAssignments writes the assignments that are new or changed.
func queueAssignments(p *pgx.Batch, cards []*locked) {
	c := make([][]any, 20)
	for _, l := range cards {
		if !l.changed {
			continue
		}
		for _, a := range l.card.Assignments {
			if was, ok := l.stored[a.ID]; ok && was == a {
				continue
			}
			for i, v := range []any{
				a.ID, a.Incident, a.Service, a.State, a.Rule, a.Ruleset, a.Why, a.WhyEN, a.AddedBy, a.OrderNumber,
				a.Comment, a.Undeliverable, a.AddedAt, nilTime(a.PublishedAt), nilTime(a.ReceivedAt), nilTime(a.DecidedAt),
				nilTime(a.EnRouteAt), nilTime(a.ArrivedAt), nilTime(a.WorkingAt), nilTime(a.FinishedAt),
			} {
				c[i] = append(c[i], v)
			}
		}
	}
	if len(c[0]) == 0 {
		return
	}
	p.Queue(`
		INSERT INTO assignments (id, incident_id, service, state, rule, ruleset, why, why_en, added_by, order_number,
		                         comment, undeliverable, added_at, published_at, received_at, decided_at, en_route_at, arrived_at,
		                         working_at, finished_at)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[],
		                     $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[],
		                     $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[],
		                     $18::timestamptz[], $19::timestamptz[], $20::timestamptz[])
		ON CONFLICT (id) DO UPDATE
		   SET state = excluded.state, order_number = excluded.order_number, comment = excluded.comment,
		       undeliverable = excluded.undeliverable, published_at = excluded.published_at,
		       received_at = excluded.received_at, decided_at = excluded.decided_at, en_route_at = excluded.en_route_at,
		       arrived_at = excluded.arrived_at, working_at = excluded.working_at, finished_at = excluded.finished_at`,
		columns(c)...)
}

// queueEvents appends the journal lines in the order of the cards.
func queueEvents(p *pgx.Batch, cards []*locked) bool {
	c := make([][]any, 10)
	for _, l := range cards {
		for _, e := range l.events {
			for i, v := range []any{
				e.ID, e.Incident, e.Version, e.At, e.Actor, e.Kind, string(e.Data), e.DataSHA[:], e.Prev[:], e.Hash[:],
			} {
				c[i] = append(c[i], v)
			}
		}
	}
	if len(c[0]) == 0 {
		return false
	}
	p.Queue(`
		INSERT INTO events (id, incident_id, version, at, actor, kind, data, data_sha, prev_hash, hash)
		SELECT id, incident_id, version, at, actor, kind, data, data_sha, prev_hash, hash
		  FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
		              $8::bytea[], $9::bytea[], $10::bytea[])
		       WITH ORDINALITY AS n (id, incident_id, version, at, actor, kind, data, data_sha, prev_hash, hash, place)
		 ORDER BY place`, columns(c)...)
	return true
}
