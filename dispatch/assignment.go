package dispatch

import (
	"slices"
	"time"
)

// AssignmentState is a service's place in its part of an incident (promise P4).
type AssignmentState string

// States of an assignment.
const (
	Added       AssignmentState = "added"
	Published   AssignmentState = "published"
	Received    AssignmentState = "received"
	Accepted    AssignmentState = "accepted"
	Refused     AssignmentState = "refused"
	EnRoute     AssignmentState = "en_route"
	Arrived     AssignmentState = "arrived"
	Working     AssignmentState = "working"
	Completed   AssignmentState = "completed"
	WorkRefused AssignmentState = "work_refused"
	CancelledA  AssignmentState = "cancelled"
)

// nextAssignment lists every legal move; anything absent is refused. A service
// may skip a step forwards (its own system may know only «accepted»), never
// repeat or go back; a refusal may still be followed by an acceptance.
var nextAssignment = map[AssignmentState][]AssignmentState{
	Added:     {Published, Received, Accepted, Refused, CancelledA},
	Published: {Received, Accepted, Refused, CancelledA},
	Received:  {Accepted, Refused, CancelledA},
	Refused:   {Accepted, CancelledA},
	Accepted:  {EnRoute, Arrived, Working, Completed, WorkRefused, CancelledA},
	EnRoute:   {Arrived, Working, Completed, WorkRefused, CancelledA},
	Arrived:   {Working, Completed, WorkRefused, CancelledA},
	Working:   {Completed, WorkRefused, CancelledA},
}

// AssignmentStates lists every state in the order of a service's work.
func AssignmentStates() []AssignmentState {
	return []AssignmentState{
		Added, Published, Received, Accepted, Refused, EnRoute, Arrived, Working,
		Completed, WorkRefused, CancelledA,
	}
}

// rank orders states along the work, so that a late repeat of an earlier status
// can be told from an illegal one.
func (s AssignmentState) rank() int { return slices.Index(AssignmentStates(), s) }

// Final tells that nothing more is expected from the service.
func (s AssignmentState) Final() bool {
	return s == Completed || s == WorkRefused || s == CancelledA || s == Refused
}

// UnderWay tells that the service took the incident and works on it.
func (s AssignmentState) UnderWay() bool {
	return s == Accepted || s == EnRoute || s == Arrived || s == Working
}

// Assignment is one service's part of an incident (направление на реагирование).
type Assignment struct {
	ID       AssignmentID
	Incident IncidentID
	Service  Service
	State    AssignmentState

	// Rule, Ruleset and Why say who chose the service: the rule's name and the
	// ruleset's number, or an operator, and one sentence for people, in Russian
	// and, where the rule has one, in English.
	Rule    string
	Ruleset int
	Why     string
	WhyEN   string
	AddedBy Actor

	// OrderNumber is the service's own number of its order.
	OrderNumber string
	// Comment is what the service said to its present state, mandatory for a
	// refusal. What it said to earlier ones is in the journal.
	Comment string
	// Undeliverable is the broker's final refusal; empty when there was none.
	Undeliverable string

	AddedAt     time.Time
	PublishedAt time.Time
	ReceivedAt  time.Time
	DecidedAt   time.Time // accepted or refused: stops the 30 s clock
	EnRouteAt   time.Time
	ArrivedAt   time.Time
	WorkingAt   time.Time
	FinishedAt  time.Time
}

// enter sets the state and its time stamp. The comment was the former state's.
func (a Assignment) enter(s AssignmentState, at time.Time) Assignment {
	a.State, a.Comment = s, ""
	switch s {
	case Published:
		a.PublishedAt = at
	case Received:
		a.ReceivedAt = at
	case Accepted, Refused:
		a.DecidedAt = at
	case EnRoute:
		a.EnRouteAt = at
	case Arrived:
		a.ArrivedAt = at
	case Working:
		a.WorkingAt = at
	case Completed, WorkRefused, CancelledA:
		a.FinishedAt = at
	case Added:
		a.AddedAt = at
	}
	return a
}

// Choice is one service that a decision names, with its reason.
type Choice struct {
	Service Service `json:"service"`
	Rule    string  `json:"rule"`
	Why     string  `json:"why"`
	WhyEN   string  `json:"whyEn,omitempty"` // the rule may have none
}

// Decision is what a ruleset (or a person) says about an incident.
type Decision struct {
	// Ruleset is the published number; 0 when a person chose.
	Ruleset int
	Choices []Choice
}

// Facts are what a rule may look at. An empty string is «not known».
type Facts struct {
	Origin   Origin
	Type     Type
	Class    string // of the alarm, by the vocabulary of package alarms
	Category string // of the facility: education, health, social, other
	District string
	// KnownFacility is false for an alarm from an account nobody registered.
	KnownFacility bool
}

// Router chooses services. It is a pure function of the facts and of the ruleset
// that was published last.
type Router interface {
	Decide(Facts) Decision
}
