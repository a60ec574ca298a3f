package console

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"nabat/dispatch"
)

// Slice is the part of a list that one page shows: newest first, from From
// (inclusive) to To (exclusive), after a position. Zero times are open ends.
type Slice struct {
	From, To time.Time
	After    *Position
	Limit    int
}

// IncidentFilter narrows the list of incidents; empty fields do not.
type IncidentFilter struct {
	Slice
	Status   string // a state, or «open»
	Facility string // code
	Service  dispatch.Service
}

// ContactFilter narrows the list of contacts.
type ContactFilter struct {
	Slice
	Status string
}

// NotificationFilter narrows the list of notifications.
type NotificationFilter struct {
	Slice
	Account  string
	Facility string // code
}

// PanelFilter narrows the list of panels.
type PanelFilter struct {
	Slice
	Account  string
	Facility string // code
}

// Lists reads pages. Each answers up to Limit rows in the order (time, id)
// descending.
type Lists interface {
	IncidentIDs(ctx context.Context, f IncidentFilter) ([]dispatch.IncidentID, error)
	Contacts(ctx context.Context, f ContactFilter) ([]dispatch.Contact, error)
	Notifications(ctx context.Context, f NotificationFilter) ([]Notification, error)
	Facilities(ctx context.Context, s Slice) ([]Facility, error)
	Panels(ctx context.Context, f PanelFilter) ([]Panel, error)
}

// Contact is an approach from outside, as the list shows it.
type Contact struct {
	IncidentContact
	Incident dispatch.IncidentID `json:"incidentId,omitzero" format:"uuid"`
	Called   string              `json:"called,omitempty"`
	Peer     string              `json:"peer,omitempty" doc:"network address of the trunk"`
	Text     string              `json:"text,omitempty" doc:"of an SMS"`
}

func contactView(c dispatch.Contact) Contact {
	return Contact{contactOfCard(c), c.Incident, c.Called, c.Peer, c.Text}
}

// Notification is one message from a panel.
type Notification struct {
	ID         dispatch.NotificationID `json:"id" format:"uuid"`
	Account    string                  `json:"account"`
	Protocol   string                  `json:"protocol"`
	Class      string                  `json:"class" doc:"what it means: fire, panic, gas, intrusion, …"`
	Condition  string                  `json:"condition" doc:"alarm, restore, trouble, test, …"`
	Code       string                  `json:"code" doc:"as the panel sent it"`
	Area       string                  `json:"area"`
	Zone       string                  `json:"zone"`
	User       string                  `json:"user,omitempty"`
	Text       string                  `json:"text"`
	Raw        Octets                  `json:"raw"`
	OccurredAt *time.Time              `json:"occurredAt" doc:"when the panel says it happened; null: it did not say"`
	ReceivedAt time.Time               `json:"receivedAt"`
	Peer       string                  `json:"peer"`
	Duplicate  bool                    `json:"duplicate"`
	Incident   *dispatch.IncidentID    `json:"incidentId" format:"uuid" nullable:"true" doc:"null: it belongs to no card"`
	FacilityID string                  `json:"facilityId,omitempty" doc:"the registry's own code of the facility"`
	Why        string                  `json:"why,omitempty" doc:"what was decided and why"`
}

// Octets are shown as lower-case hexadecimal digits.
type Octets []byte

// MarshalText writes hex.
func (o Octets) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(o)), nil }

// Schema says so in the API's description.
func (Octets) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: "^([0-9a-f]{2})*$", Description: "the octets as received, in hexadecimal"}
}

// Facility is a monitored place.
type Facility struct {
	ID        string    `json:"id" doc:"the registry's own code"`
	UUID      uuid.UUID `json:"uuid" format:"uuid"`
	Name      string    `json:"name"`
	Category  string    `json:"category" enum:"education,health,social,other"`
	Address   string    `json:"address"`
	District  string    `json:"district,omitempty"`
	Lat       *float64  `json:"lat,omitempty" doc:"WGS 84 degrees"`
	Lon       *float64  `json:"lon,omitempty" doc:"WGS 84 degrees"`
	Phone     string    `json:"phone,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Panel is the alarm device of a facility.
type Panel struct {
	ID           dispatch.PanelID `json:"id" format:"uuid"`
	Account      string           `json:"account"`
	FacilityID   string           `json:"facilityId" doc:"the registry's own code of the facility"`
	FacilityName string           `json:"facilityName"`
	Protocol     string           `json:"protocol"`
	Heartbeat    int              `json:"heartbeatSeconds,omitempty" doc:"agreed; absent: none"`
	LastSeenAt   *time.Time       `json:"lastSeenAt,omitempty"`
	CreatedAt    time.Time        `json:"createdAt"`
	UpdatedAt    time.Time        `json:"updatedAt"`
	Zones        []Zone           `json:"zones"`
}

// Zone is one loop of a panel.
type Zone struct {
	Area   string `json:"area,omitempty"`
	Number string `json:"number"`
	Kind   string `json:"kind"`
	Place  string `json:"place,omitempty"`
}
