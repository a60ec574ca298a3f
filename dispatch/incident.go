package dispatch

import (
	"slices"
	"time"
)

// State is where an incident is.
type State string

// States of an incident.
const (
	Draft      State = "draft"
	Registered State = "registered"
	Dispatched State = "dispatched"
	UnderWay   State = "under_way"
	Worked     State = "worked"
	Closed     State = "closed"
	Reopened   State = "reopened"
	Cancelled  State = "cancelled"
)

// next lists every legal move; anything absent is refused.
var next = map[State][]State{
	Draft:      {Registered, Closed, Cancelled},
	Registered: {Dispatched, UnderWay, Closed, Cancelled},
	Dispatched: {UnderWay, Worked, Closed, Cancelled},
	UnderWay:   {Dispatched, Worked, Closed, Cancelled},
	Worked:     {Closed, UnderWay, Dispatched},
	Closed:     {Reopened},
	Cancelled:  {Reopened},
	Reopened:   {Dispatched, UnderWay, Worked, Closed, Cancelled},
}

// States lists every state in the order of an incident's life.
func States() []State {
	return []State{Draft, Registered, Dispatched, UnderWay, Worked, Closed, Reopened, Cancelled}
}

// Open tells that people still have to do with the incident.
func (s State) Open() bool { return s != Closed && s != Cancelled }

// Valid tells whether s is a state.
func (s State) Valid() bool { return slices.Contains(States(), s) }

// Incident is the card (карточка происшествия, УКИО).
type Incident struct {
	ID     IncidentID
	Number int64 // the number people say aloud; given by the store
	State  State
	Origin Origin
	Type   Type   // empty: not known yet
	Class  string // of the alarm that opened it, in the words of package alarms

	Facility     FacilityID
	FacilityCode string // the registry's own id of the facility
	FacilityName string
	// FacilityCategory is a fact for the rules: education, health, social, other.
	FacilityCategory string
	// UnknownFacility: an urgent alarm came from an account nobody registered.
	UnknownFacility bool

	Place       string
	District    string
	Lat, Lon    *float64 // WGS 84 degrees
	Description string
	Caller      string

	OpenedAt     time.Time
	RegisteredAt time.Time
	ClosedAt     time.Time
	CloseReason  string
	// LastSignalAt is when its facility last spoke of it.
	LastSignalAt time.Time

	Version int
	// Head is the hash of the last event.
	Head [32]byte
}

// Card is an incident with its assignments: the unit of change.
type Card struct {
	Incident
	Assignments []Assignment
}

// Assignment finds a service's part.
func (c Card) Assignment(s Service) (Assignment, bool) {
	i := slices.IndexFunc(c.Assignments, func(a Assignment) bool { return a.Service == s })
	if i < 0 {
		return Assignment{}, false
	}
	return c.Assignments[i], true
}

// Facts are what the rules may know of this card. The alarm's class is a fact
// while the card has the type that the class gave it; it may then say more (a gas
// alarm that is carbon monoxide). Once a person has given the card another type,
// that type decides, and the class is only history.
func (c Card) Facts() Facts {
	class := c.Class
	if own, known := AlarmType(class); known && c.Type != "" && c.Type != own {
		class = ""
	}
	return Facts{
		Origin: c.Origin, Type: c.Type, Class: class, Category: c.FacilityCategory,
		District: c.District, KnownFacility: !c.Facility.IsZero(),
	}
}

// Snapshot is the card as others may see it.
func (c Card) Snapshot() *Snapshot {
	s := &Snapshot{
		Number: c.Number, State: c.State, Origin: c.Origin, Type: c.Type, Class: c.Class,
		Place: c.Place, District: c.District, Lat: c.Lat, Lon: c.Lon,
		Description: c.Description, Caller: c.Caller,
		FacilityID: c.FacilityCode, FacilityName: c.FacilityName, OpenedAt: c.OpenedAt,
	}
	for _, a := range c.Assignments {
		s.Services = append(s.Services, a.Service)
	}
	return s
}

// move changes the state if the rules have the move.
func (c Card) move(to State) (Card, error) {
	if c.State == to {
		return c, nil
	}
	if !slices.Contains(next[c.State], to) {
		return c, &TransitionError{What: "incident", From: string(c.State), To: string(to)}
	}
	c.State = to
	return c, nil
}

// withAssignment replaces one service's part in a copy.
func (c Card) withAssignment(a Assignment) Card {
	c.Assignments = slices.Clone(c.Assignments)
	i := slices.IndexFunc(c.Assignments, func(b Assignment) bool { return a.Service == b.Service })
	if i < 0 {
		c.Assignments = append(c.Assignments, a)
	} else {
		c.Assignments[i] = a
	}
	return c
}
