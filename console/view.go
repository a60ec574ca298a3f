package console

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"time"

	"nabat/dispatch"
)

// Me is the person who is logged in.
type Me struct {
	Login   string           `json:"login"`
	Name    string           `json:"name"`
	Role    Role             `json:"role" doc:"operator, duty, supervisor, admin, auditor"`
	Service dispatch.Service `json:"service,omitempty" doc:"of a duty officer"`
}

func (p Person) me() Me { return Me{p.Login, p.Name, p.Role, p.Service} }

// Incident is a card as a screen or a program sees it. What is absent is not
// known, or not this reader's to see.
type Incident struct {
	ID              dispatch.IncidentID `json:"id" format:"uuid"`
	Number          int64               `json:"number" doc:"the number that people say aloud"`
	State           dispatch.State      `json:"state" enum:"draft,registered,dispatched,under_way,worked,closed,reopened,cancelled"`
	Origin          dispatch.Origin     `json:"origin" enum:"call,sms,ecall,alarm"`
	Type            dispatch.Type       `json:"type,omitempty"`
	Class           string              `json:"class,omitempty" doc:"of the alarm that opened it"`
	FacilityID      string              `json:"facilityId,omitempty" doc:"the registry's own code of the facility"`
	FacilityName    string              `json:"facilityName,omitempty"`
	UnknownFacility bool                `json:"unknownFacility" doc:"an urgent alarm came from an account nobody registered"`
	Place           string              `json:"place,omitempty"`
	District        string              `json:"district,omitempty"`
	Lat             *float64            `json:"lat,omitempty" doc:"WGS 84 degrees"`
	Lon             *float64            `json:"lon,omitempty" doc:"WGS 84 degrees"`
	Description     string              `json:"description,omitempty"`
	Caller          string              `json:"caller,omitempty"`
	OpenedAt        time.Time           `json:"openedAt"`
	RegisteredAt    *time.Time          `json:"registeredAt,omitempty"`
	ClosedAt        *time.Time          `json:"closedAt,omitempty"`
	CloseReason     string              `json:"closeReason,omitempty"`
	LastSignalAt    *time.Time          `json:"lastSignalAt,omitempty"`
	Version         int                 `json:"version" doc:"of its last journal line"`
	Assignments     []Assignment        `json:"assignments"`
	Contacts        []IncidentContact   `json:"contacts,omitzero" required:"false" doc:"absent for a duty officer"`
}

// Assignment is one service's part of a card.
type Assignment struct {
	ID            dispatch.AssignmentID    `json:"id" format:"uuid"`
	Service       dispatch.Service         `json:"service"`
	State         dispatch.AssignmentState `json:"state" enum:"added,published,received,accepted,refused,en_route,arrived,working,completed,work_refused,cancelled"`
	Rule          string                   `json:"rule,omitempty"`
	Ruleset       int                      `json:"ruleset,omitempty" doc:"the published number; absent when a person chose"`
	Why           string                   `json:"why,omitempty" doc:"the rule's sentence, in Russian"`
	WhyEN         string                   `json:"whyEn,omitempty" doc:"the same in English; absent when the rule has none"`
	AddedBy       dispatch.Actor           `json:"addedBy,omitempty"`
	OrderNumber   string                   `json:"orderNumber,omitempty" doc:"the service's own"`
	Comment       string                   `json:"comment,omitempty"`
	Undeliverable string                   `json:"undeliverable,omitempty" doc:"why the broker refused the record for good"`
	AddedAt       time.Time                `json:"addedAt"`
	PublishedAt   *time.Time               `json:"publishedAt,omitempty"`
	ReceivedAt    *time.Time               `json:"receivedAt,omitempty"`
	DecidedAt     *time.Time               `json:"decidedAt,omitempty"`
	EnRouteAt     *time.Time               `json:"enRouteAt,omitempty"`
	ArrivedAt     *time.Time               `json:"arrivedAt,omitempty"`
	WorkingAt     *time.Time               `json:"workingAt,omitempty"`
	FinishedAt    *time.Time               `json:"finishedAt,omitempty"`
}

// IncidentContact is a call or a message as its card shows it.
type IncidentContact struct {
	ID          dispatch.ContactID    `json:"id" format:"uuid"`
	Kind        dispatch.ContactKind  `json:"kind" enum:"call,sms,ecall"`
	State       dispatch.ContactState `json:"state" enum:"ringing,answered,ended"`
	Caller      string                `json:"caller,omitempty"`
	ReceivedAt  time.Time             `json:"receivedAt"`
	AnsweredAt  *time.Time            `json:"answeredAt,omitempty"`
	EndedAt     *time.Time            `json:"endedAt,omitempty"`
	EndReason   dispatch.EndReason    `json:"endReason,omitempty"`
	CallbackDue bool                  `json:"callbackDue"`
}

// Event is one line of the journal.
type Event struct {
	Seq      int64               `json:"seq" doc:"place in the whole journal"`
	ID       dispatch.EventID    `json:"id" format:"uuid"`
	Incident dispatch.IncidentID `json:"incident" format:"uuid"`
	Version  int                 `json:"version"`
	At       time.Time           `json:"at"`
	Actor    dispatch.Actor      `json:"actor"`
	Kind     dispatch.EventKind  `json:"kind"`
	Data     any                 `json:"data,omitempty" doc:"what the line tells; absent when it was erased"`
	Hash     string              `json:"hash,omitempty" doc:"hex; chained per incident; not told to a duty officer, who could try guesses of what is withheld against it"`
}

// known is nil for a zero time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = utc(t)
	return &t
}

// finite leaves out what JSON cannot say.
func finite(f *float64) *float64 {
	if f == nil || math.IsNaN(*f) || math.IsInf(*f, 0) {
		return nil
	}
	return f
}

func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// incident is a card as an audience sees it. A duty officer sees who else got
// the card and how far they are, but not the others' words and numbers, and not
// the calls behind the card.
func (a audience) incident(c dispatch.Card, contacts []dispatch.Contact) Incident {
	v := Incident{
		ID: c.ID, Number: c.Number, State: c.State, Origin: c.Origin, Type: c.Type, Class: c.Class,
		FacilityID: c.FacilityCode, FacilityName: c.FacilityName, UnknownFacility: c.UnknownFacility,
		Place: c.Place, District: c.District, Lat: finite(c.Lat), Lon: finite(c.Lon),
		Description: c.Description, Caller: c.Caller, OpenedAt: utc(c.OpenedAt),
		RegisteredAt: known(c.RegisteredAt), ClosedAt: known(c.ClosedAt), CloseReason: c.CloseReason,
		LastSignalAt: known(c.LastSignalAt), Version: c.Version,
		Assignments: make([]Assignment, 0, len(c.Assignments)),
	}
	for _, as := range c.Assignments {
		v.Assignments = append(v.Assignments, a.assignment(as))
	}
	if a.service != "" {
		return v
	}
	v.Contacts = make([]IncidentContact, 0, len(contacts))
	for _, ct := range contacts {
		v.Contacts = append(v.Contacts, contactOfCard(ct))
	}
	return v
}

func (a audience) assignment(as dispatch.Assignment) Assignment {
	v := Assignment{
		ID: as.ID, Service: as.Service, State: as.State,
		AddedAt: utc(as.AddedAt), PublishedAt: known(as.PublishedAt), ReceivedAt: known(as.ReceivedAt),
		DecidedAt: known(as.DecidedAt), EnRouteAt: known(as.EnRouteAt), ArrivedAt: known(as.ArrivedAt),
		WorkingAt: known(as.WorkingAt), FinishedAt: known(as.FinishedAt),
	}
	if a.service == "" || a.service == as.Service {
		v.Rule, v.Ruleset, v.Why, v.WhyEN, v.AddedBy = as.Rule, as.Ruleset, as.Why, as.WhyEN, as.AddedBy
		v.OrderNumber, v.Comment, v.Undeliverable = as.OrderNumber, as.Comment, as.Undeliverable
	}
	return v
}

func contactOfCard(ct dispatch.Contact) IncidentContact {
	return IncidentContact{
		ID: ct.ID, Kind: ct.Kind, State: ct.State, Caller: ct.Caller, ReceivedAt: utc(ct.ReceivedAt),
		AnsweredAt: known(ct.AnsweredAt), EndedAt: known(ct.EndedAt), EndReason: ct.EndReason,
		CallbackDue: ct.CallbackDue,
	}
}

// event is a journal line as an audience sees it.
func (a audience) event(e dispatch.Event) Event {
	v := Event{
		Seq: e.Seq, ID: e.ID, Incident: e.Incident, Version: e.Version, At: utc(e.At),
		Actor: e.Actor, Kind: e.Kind,
	}
	readable := len(e.Data) > 0 && json.Valid(e.Data) // else erased, or tampered with
	if a.service == "" {
		v.Hash = hex.EncodeToString(e.Hash[:])
		if readable {
			v.Data = json.RawMessage(e.Data)
		}
		return v
	}
	d, err := e.Details()
	if !readable || err != nil {
		// Better nothing than another service's words: not even who, but what kind.
		who, _, _ := strings.Cut(string(e.Actor), ":")
		v.Actor = dispatch.Actor(who)
		return v
	}
	if d.Service != "" && d.Service != a.service {
		// Whose officer it was is the other service's matter too.
		if kind, _, _ := strings.Cut(string(e.Actor), ":"); kind == string(Duty) || kind == "service" {
			v.Actor = dispatch.Actor("service:" + string(d.Service))
		}
		d.OrderNumber, d.Comment, d.Reason, d.Rule, d.Ruleset, d.Why, d.WhyEN = "", "", "", "", 0, "", ""
	}
	v.Actor, d = withoutCalls(v.Actor, e.Kind, d)
	v.Data = d
	return v
}

// withoutCalls leaves of the calls and messages behind a card what the card itself
// shows a duty officer: how the first of them came (its origin) and from which
// number. Another caller's number, how and when each ended, its words and its id
// are not the service's.
func withoutCalls(by dispatch.Actor, kind dispatch.EventKind, d dispatch.Details) (dispatch.Actor, dispatch.Details) {
	var shown dispatch.Snapshot
	if d.Card != nil {
		shown = *d.Card
	}
	if d.Caller != shown.Caller {
		d.Caller = ""
	}
	if string(d.ContactKind) != string(shown.Origin) {
		d.ContactKind = ""
	}
	if who, number, _ := strings.Cut(string(by), ":"); who == "caller" && number != shown.Caller {
		by = "caller"
	}
	if kind == dispatch.EventContact && d.Text != shown.Description {
		d.Text = ""
	}
	if kind == dispatch.EventContactState {
		d.From, d.To, d.Reason, d.Why = "", "", "", ""
	}
	d.Contact = dispatch.ContactID{}
	return by, d
}

func (a audience) events(list []dispatch.Event) []Event {
	out := make([]Event, 0, len(list))
	for _, e := range list {
		out = append(out, a.event(e))
	}
	return out
}
