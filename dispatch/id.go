package dispatch

import (
	"fmt"

	"github.com/google/uuid"
)

// ID is a UUIDv7 (RFC 9562 §5.7) naming one thing of kind K. The type parameter
// only keeps the kinds apart: an IncidentID cannot be passed where a ContactID
// is wanted.
type ID[K any] [16]byte

// Kinds of ID, never instantiated.
type (
	incidentKind     struct{}
	assignmentKind   struct{}
	eventKind        struct{}
	contactKind      struct{}
	notificationKind struct{}
	facilityKind     struct{}
	panelKind        struct{}
	zoneKind         struct{}
	operatorKind     struct{}
	runKind          struct{}
)

// The named things of the house.
type (
	IncidentID     = ID[incidentKind]
	AssignmentID   = ID[assignmentKind]
	EventID        = ID[eventKind]
	ContactID      = ID[contactKind]
	NotificationID = ID[notificationKind]
	FacilityID     = ID[facilityKind]
	PanelID        = ID[panelKind]
	ZoneID         = ID[zoneKind]
	OperatorID     = ID[operatorKind]
	// RunID names one life of one engine process.
	RunID = ID[runKind]
)

// newID makes a fresh, time-ordered ID of kind K.
func newID[K any]() ID[K] {
	u, err := uuid.NewV7()
	if err != nil {
		// The operating system's random source failed: nothing sensible can go on.
		panic(fmt.Sprintf("dispatch: no randomness: %v", err))
	}
	return ID[K](u)
}

// NewIncidentID makes a fresh incident id.
func NewIncidentID() IncidentID { return newID[incidentKind]() }

// NewAssignmentID makes a fresh assignment id.
func NewAssignmentID() AssignmentID { return newID[assignmentKind]() }

// NewEventID makes a fresh event id.
func NewEventID() EventID { return newID[eventKind]() }

// NewContactID makes a fresh contact id.
func NewContactID() ContactID { return newID[contactKind]() }

// NewNotificationID makes a fresh notification id.
func NewNotificationID() NotificationID { return newID[notificationKind]() }

// NewFacilityID makes a fresh facility id.
func NewFacilityID() FacilityID { return newID[facilityKind]() }

// NewPanelID makes a fresh panel id.
func NewPanelID() PanelID { return newID[panelKind]() }

// NewZoneID makes a fresh zone id.
func NewZoneID() ZoneID { return newID[zoneKind]() }

// NewOperatorID makes a fresh operator id.
func NewOperatorID() OperatorID { return newID[operatorKind]() }

// NewRunID makes a fresh run id.
func NewRunID() RunID { return newID[runKind]() }

// IsZero tells «no id».
func (id ID[K]) IsZero() bool { return id == ID[K]{} }

// String is the canonical text form; a zero id is empty.
func (id ID[K]) String() string {
	if id.IsZero() {
		return ""
	}
	return uuid.UUID(id).String()
}

// MarshalText writes the canonical text form.
func (id ID[K]) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads any form that RFC 9562 allows; empty is the zero id.
func (id *ID[K]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = ID[K]{}
		return nil
	}
	u, err := uuid.ParseBytes(b)
	if err != nil {
		return err
	}
	*id = ID[K](u)
	return nil
}

// ParseIncidentID reads an incident id from text.
func ParseIncidentID(s string) (IncidentID, error) {
	var id IncidentID
	if s == "" {
		return id, fmt.Errorf("empty incident id")
	}
	err := id.UnmarshalText([]byte(s))
	return id, err
}

// Ptr is nil for a zero id: what a nullable column wants.
func (id ID[K]) Ptr() *ID[K] {
	if id.IsZero() {
		return nil
	}
	return &id
}
