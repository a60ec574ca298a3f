package dispatch

import "time"

// Decide is a change of one card as a pure function: the card as the store holds
// it, locked, in; the card and the events that tell the change, out. For a new
// card the store hands in an empty one with ID and Number set.
//
// ErrUnchanged means that there is nothing to do and is not a failure.
type Decide func(Card) (Card, []Event, error)

// OpenFromContact makes the draft card of a call or an SMS. A draft is never
// routed: an operator's form registers it.
func OpenFromContact(ct Contact) Decide {
	return func(c Card) (Card, []Event, error) {
		c.State = Draft
		c.Origin = Origin(ct.Kind)
		c.Caller = ct.Caller
		c.Description = ct.Text
		c.OpenedAt = ct.ReceivedAt.UTC().Truncate(time.Microsecond)
		return c, []Event{newEvent(c.ID, EventOpened, callerActor(ct), ct.ReceivedAt, Details{
			Card: c.Snapshot(), Contact: ct.ID, ContactKind: ct.Kind, Caller: ct.Caller, Text: ct.Text,
		})}, nil
	}
}

func callerActor(ct Contact) Actor {
	if ct.Caller == "" {
		return "caller"
	}
	return Actor("caller:" + ct.Caller)
}

// Signal is what an alarm tells its card.
type Signal struct {
	Notification NotificationID
	Account      string
	Class        string
	Condition    string
	Zone         string
	Text         string
	At           time.Time // when we received it
}

func (s Signal) details() Details {
	return Details{
		Notification: s.Notification, Account: s.Account, Class: s.Class,
		Condition: s.Condition, Zone: s.Zone, Text: s.Text,
	}
}

// Site is what the registry knows of the place that an alarm came from. The zero
// Site is an unknown facility.
type Site struct {
	Facility FacilityID
	Code     string
	Name     string
	Category string
	Place    string
	District string
	Lat, Lon *float64
}

// OpenFromAlarm makes the card of an alarm. For a known facility it is
// registered and its services are assigned at once, with no person in between
// (law 123-ФЗ art. 83 for fire); for an unknown one it stays a draft that a
// person must look at.
func OpenFromAlarm(s Signal, t Type, description string, site Site, route Router) Decide {
	return func(c Card) (Card, []Event, error) {
		by := Actor("panel:" + s.Account)
		c.State = Draft
		c.Origin = OriginAlarm
		c.Type, c.Class = t, s.Class
		c.Facility, c.FacilityCode, c.FacilityName, c.FacilityCategory = site.Facility, site.Code, site.Name, site.Category
		c.UnknownFacility = site.Facility.IsZero()
		c.Place, c.District, c.Lat, c.Lon = site.Place, site.District, site.Lat, site.Lon
		c.Description = description
		c.OpenedAt = s.At.UTC().Truncate(time.Microsecond)
		c.LastSignalAt = c.OpenedAt

		d := s.details()
		d.Card = c.Snapshot()
		events := []Event{newEvent(c.ID, EventOpened, by, s.At, d)}
		if c.UnknownFacility {
			return c, events, nil
		}
		c.State, c.RegisteredAt = Registered, c.OpenedAt
		events = append(events, newEvent(c.ID, EventRegistered, System, s.At, Details{Card: c.Snapshot()}))
		c, more := c.assign(route.Decide(c.Facts()), System, s.At)
		return c, append(events, more...), nil
	}
}

// AddSignal tells an open card of a further notification of its facility: a
// second detector, a restore. It never closes anything and never dispatches
// less. A card that is no longer open refuses, and the caller opens another.
func AddSignal(s Signal) Decide {
	return func(c Card) (Card, []Event, error) {
		if !c.State.Open() || c.State == Worked {
			return c, nil, &TransitionError{What: "incident", From: string(c.State), To: "signal"}
		}
		// A signal that was taken again after an outage keeps its old time.
		if at := s.At.UTC().Truncate(time.Microsecond); at.After(c.LastSignalAt) {
			c.LastSignalAt = at
		}
		d := s.details()
		d.Card = c.Snapshot()
		return c, []Event{newEvent(c.ID, EventSignal, Actor("panel:"+s.Account), s.At, d)}, nil
	}
}

// assign adds the services of a decision that the card does not have yet, and
// moves the card to dispatched.
func (c Card) assign(d Decision, by Actor, at time.Time) (Card, []Event) {
	at = at.UTC().Truncate(time.Microsecond)
	var events []Event
	var fresh []Assignment
	for _, ch := range d.Choices {
		if _, has := c.Assignment(ch.Service); has {
			continue
		}
		a := Assignment{
			ID: NewAssignmentID(), Incident: c.ID, Service: ch.Service,
			Rule: ch.Rule, Ruleset: d.Ruleset, Why: ch.Why, WhyEN: ch.WhyEN, AddedBy: by,
		}.enter(Added, at)
		c = c.withAssignment(a)
		fresh = append(fresh, a)
	}
	if len(fresh) > 0 && (c.State == Registered || c.State == Reopened || c.State == Worked) {
		c.State = Dispatched
	}
	for _, a := range fresh {
		events = append(events, newEvent(c.ID, EventAssigned, by, at, Details{
			Card: c.Snapshot(), Service: a.Service, To: string(Added),
			Rule: a.Rule, Ruleset: a.Ruleset, Why: a.Why, WhyEN: a.WhyEN,
		}))
	}
	return c, events
}
