package dispatch

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"
)

// EventKind is what a journal line tells.
type EventKind string

// Kinds of event.
const (
	EventOpened        EventKind = "opened"          // the card came into being
	EventContact       EventKind = "contact"         // a contact was linked
	EventContactState  EventKind = "contact_state"   // a contact was answered or ended
	EventSignal        EventKind = "signal"          // a further notification of its facility
	EventRegistered    EventKind = "registered"      // type, place and description are set
	EventEdited        EventKind = "edited"          // fields changed
	EventAssigned      EventKind = "assigned"        // a service was added
	EventStatus        EventKind = "status"          // an assignment changed its state
	EventUndeliverable EventKind = "not_deliverable" // the broker refused the record for good
	EventWorked        EventKind = "worked"          // every service has reported its end
	EventClosed        EventKind = "closed"
	EventCancelled     EventKind = "cancelled"
	EventReopened      EventKind = "reopened"
)

// Event is one line of the journal (запись журнала).
type Event struct {
	// Seq is the place in the whole journal, given by the database in commit
	// order; 0 before it is stored.
	Seq      int64
	ID       EventID
	Incident IncidentID
	// Version counts an incident's events from 1.
	Version int
	At      time.Time // UTC, whole microseconds
	Actor   Actor
	Kind    EventKind
	// Data is the JSON text of Details, kept to the byte. It can be erased later
	// (personal data); the chain holds through DataSHA.
	Data    []byte
	DataSHA [32]byte
	Prev    [32]byte
	Hash    [32]byte
}

// Details is what an event carries. Which fields are set depends on the kind.
type Details struct {
	// Card is the card as it stands after the event, set on every event that a
	// service must hear of, so that a record is a function of its event alone.
	Card *Snapshot `json:"card,omitempty"`

	Service     Service           `json:"service,omitempty"`
	From        string            `json:"from,omitempty"`
	To          string            `json:"to,omitempty"`
	OrderNumber string            `json:"orderNumber,omitempty"`
	Comment     string            `json:"comment,omitempty"`
	Rule        string            `json:"rule,omitempty"`
	Ruleset     int               `json:"ruleset,omitempty"`
	Why         string            `json:"why,omitempty"`
	WhyEN       string            `json:"whyEn,omitempty"`
	Reason      string            `json:"reason,omitempty"`
	Changes     map[string]Change `json:"changes,omitempty"`

	Contact      ContactID      `json:"contact,omitzero"`
	ContactKind  ContactKind    `json:"contactKind,omitempty"`
	Caller       string         `json:"caller,omitempty"`
	Notification NotificationID `json:"notification,omitzero"`
	Account      string         `json:"account,omitempty"`
	Class        string         `json:"class,omitempty"`
	Condition    string         `json:"condition,omitempty"`
	Zone         string         `json:"zone,omitempty"`
	Text         string         `json:"text,omitempty"`
}

// Change is one field's old and new value.
type Change struct {
	Old string `json:"old"`
	New string `json:"new"`
}

// Snapshot is the card as others may see it. Lat and Lon are WGS 84 degrees.
type Snapshot struct {
	Number       int64     `json:"number"`
	State        State     `json:"state"`
	Origin       Origin    `json:"origin"`
	Type         Type      `json:"type,omitempty"`
	Class        string    `json:"class,omitempty"`
	Place        string    `json:"place,omitempty"`
	District     string    `json:"district,omitempty"`
	Lat          *float64  `json:"lat,omitempty"`
	Lon          *float64  `json:"lon,omitempty"`
	Description  string    `json:"description,omitempty"`
	Caller       string    `json:"caller,omitempty"`
	FacilityID   string    `json:"facilityId,omitempty"`
	FacilityName string    `json:"facilityName,omitempty"`
	OpenedAt     time.Time `json:"openedAt"`
	Services     []Service `json:"services,omitempty"`
}

// newEvent builds an event that is not numbered yet: Version, Prev and Hash are
// set by Seal when the store knows the incident's head.
func newEvent(id IncidentID, kind EventKind, by Actor, at time.Time, d Details) Event {
	data, err := json.Marshal(d)
	if err != nil {
		// Details holds only strings, numbers and times within RFC 3339's years.
		panic("dispatch: event details: " + err.Error())
	}
	return Event{
		ID: NewEventID(), Incident: id, Kind: kind, Actor: by,
		At:   at.UTC().Truncate(time.Microsecond),
		Data: data, DataSHA: sha256.Sum256(data),
	}
}

// Details reads the event's data. An erased event gives empty details.
func (e Event) Details() (Details, error) {
	var d Details
	if len(e.Data) == 0 {
		return d, nil
	}
	err := json.Unmarshal(e.Data, &d)
	return d, err
}

// Seal gives the event its version and its place in the incident's chain.
func (e Event) Seal(version int, prev [32]byte) Event {
	e.Version, e.Prev = version, prev
	e.Hash = e.ComputeHash()
	return e
}

// ComputeHash is SHA-256 over the previous hash and the fixed columns, each
// variable-length one preceded by its length, and the SHA-256 of the data's
// stored bytes. The data itself is not in it, so that it can be erased.
func (e Event) ComputeHash() [32]byte {
	h := sha256.New()
	num := func(v int64) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(v))
		h.Write(b[:])
	}
	text := func(s string) {
		num(int64(len(s)))
		h.Write([]byte(s))
	}
	h.Write(e.Prev[:])
	h.Write(e.Incident[:])
	h.Write(e.ID[:])
	num(int64(e.Version))
	num(e.At.UnixMicro())
	text(string(e.Actor))
	text(string(e.Kind))
	h.Write(e.DataSHA[:])
	var sum [32]byte
	h.Sum(sum[:0])
	return sum
}

// DataIntact tells whether the stored data still has the hash it was sealed
// with. Erased data (nil) is intact by definition.
func (e Event) DataIntact() bool {
	return e.Data == nil || sha256.Sum256(e.Data) == e.DataSHA
}
