package sip

import (
	"context"

	"nabat/dispatch"
)

// Intake is the part of the house that a telephone line talks to.
type Intake interface {
	// OpenContact stores the contact and its draft card and returns after the
	// commit. When the contact's key is known already nothing is written, and the
	// stored contact comes back with duplicate set.
	OpenContact(ctx context.Context, c dispatch.Contact) (stored dispatch.Contact, duplicate bool, err error)
	// Progress stores a later fact of a contact.
	Progress(ctx context.Context, p dispatch.Progress, by dispatch.Actor) error
}
