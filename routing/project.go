package routing

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"nabat/dispatch"
)

// Projection is what one service may know of one event: the card as it stands
// after the event, why the service is in it, and what changed. Comments, order
// numbers and statuses of other services, names of operators and accounts of
// panels are not in it.
type Projection struct {
	Incident   dispatch.IncidentID `json:"incident"`
	Version    int                 `json:"version"`
	Kind       dispatch.EventKind  `json:"kind"`
	Service    dispatch.Service    `json:"service"`
	Card       Card                `json:"card"`
	Assignment *Reason             `json:"assignment,omitempty"` // on assigned
	Signal     *Signal             `json:"signal,omitempty"`     // on signal
	Changed    []string            `json:"changed,omitempty"`    // on edited: names of the card's fields
	Reason     string              `json:"reason,omitempty"`     // on cancelled, closed, reopened
}

// Card is the incident as a service sees it. A field that is absent is not known.
type Card struct {
	Number       int64              `json:"number"`
	State        dispatch.State     `json:"state"`
	Origin       dispatch.Origin    `json:"origin"`
	Type         dispatch.Type      `json:"type,omitempty"`
	Class        string             `json:"class,omitempty"`
	Place        string             `json:"place,omitempty"`
	District     string             `json:"district,omitempty"`
	Lat          *float64           `json:"lat,omitempty"`
	Lon          *float64           `json:"lon,omitempty"`
	Description  string             `json:"description,omitempty"`
	Caller       string             `json:"caller,omitempty"`
	FacilityID   string             `json:"facilityId,omitempty"`
	FacilityName string             `json:"facilityName,omitempty"`
	OpenedAt     time.Time          `json:"openedAt"`
	Services     []dispatch.Service `json:"services"` // who else is in it
}

// Reason says who chose the service and why.
type Reason struct {
	Rule    string `json:"rule,omitempty"`    // absent: a person chose
	Ruleset int    `json:"ruleset,omitempty"` // absent: a person chose
	Why     string `json:"why"`
	WhyEN   string `json:"whyEn,omitempty"` // absent: the rule has no English sentence
}

// Signal is a further notification of the incident's facility.
type Signal struct {
	Class     string `json:"class,omitempty"`
	Condition string `json:"condition,omitempty"`
	Zone      string `json:"zone,omitempty"`
	Text      string `json:"text,omitempty"`
}

// Project says whether a service must hear of an event, and what. It depends on
// nothing but the event: its own assignment, and what later happens to an
// incident that the service has. The error means an event whose data cannot be
// read.
func Project(e dispatch.Event, s dispatch.Service) (Projection, bool, error) {
	switch e.Kind {
	case dispatch.EventAssigned, dispatch.EventEdited, dispatch.EventSignal,
		dispatch.EventCancelled, dispatch.EventClosed, dispatch.EventReopened:
	default:
		return Projection{}, false, nil
	}
	d, err := e.Details()
	if err != nil {
		return Projection{}, false, fmt.Errorf("data of event %s: %w", e.ID, err)
	}
	if d.Card == nil { // erased: nothing is left to tell
		return Projection{}, false, nil
	}
	if e.Kind == dispatch.EventAssigned && d.Service != s {
		return Projection{}, false, nil
	}
	if e.Kind != dispatch.EventAssigned && !slices.Contains(d.Card.Services, s) {
		return Projection{}, false, nil
	}
	p := Projection{
		Incident: e.Incident, Version: e.Version, Kind: e.Kind, Service: s, Card: cardOf(d.Card),
	}
	switch e.Kind {
	case dispatch.EventAssigned:
		p.Assignment = &Reason{Rule: d.Rule, Ruleset: d.Ruleset, Why: d.Why, WhyEN: d.WhyEN}
	case dispatch.EventSignal:
		p.Signal = &Signal{Class: d.Class, Condition: d.Condition, Zone: d.Zone, Text: d.Text}
	case dispatch.EventEdited:
		p.Changed = slices.Sorted(maps.Keys(d.Changes))
	case dispatch.EventCancelled, dispatch.EventClosed, dispatch.EventReopened:
		p.Reason = d.Reason
	default:
	}
	return p, true, nil
}

func cardOf(c *dispatch.Snapshot) Card {
	services := c.Services
	if services == nil {
		services = []dispatch.Service{}
	}
	return Card{
		Number: c.Number, State: c.State, Origin: c.Origin, Type: c.Type, Class: c.Class,
		Place: c.Place, District: c.District, Lat: c.Lat, Lon: c.Lon, Description: c.Description,
		Caller: c.Caller, FacilityID: c.FacilityID, FacilityName: c.FacilityName,
		OpenedAt: c.OpenedAt, Services: services,
	}
}
