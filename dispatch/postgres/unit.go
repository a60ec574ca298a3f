package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"nabat/dispatch"
)

// Unit is one caller's work. Concurrent units share a transaction.
type Unit struct {
	// Key keeps order: units of one key go to the same loop, first come first
	// served. A facility's code, or an incident's id.
	Key string

	// Contact is a row to insert. If its Key is taken, Do returns
	// dispatch.ErrDuplicate and nothing else of the unit happens.
	Contact *dispatch.Contact
	// Progress is a later fact of a contact, whose card is Incident. One that the
	// contact has heard already is dispatch.ErrUnchanged, and Decide is not asked.
	Progress *dispatch.Progress
	// Still, which may be nil, is asked of the locked contact whether Progress is
	// still true; if not, it is dispatch.ErrUnchanged too.
	Still func(dispatch.Contact) bool

	// Incident is the card to lock and change; zero for none.
	Incident dispatch.IncidentID
	// New says that the card does not exist yet: Decide gets an empty one with ID
	// and Number set.
	New    bool
	Decide dispatch.Decide

	// Rows and Then are for tables of other packages, in the same transaction.
	// After dispatch.ErrUnchanged from Decide they still happen.
	Rows []*Rows
	Then func(ctx context.Context, tx pgx.Tx, card dispatch.Card) error
}

// job is a unit on its way through the writer.
type job struct {
	unit Unit
	ctx  context.Context //nolint:containedctx // the caller's patience, looked at before the work starts
	done chan result     // capacity 1

	// Filled while the batch runs.
	card *dispatch.Card // after the unit's change; nil for a unit without one
	// failed means that the unit takes no further part in the batch.
	failed error
	// unchanged remembers dispatch.ErrUnchanged.
	unchanged bool
}

// result is small because every unit's channel has room for one.
type result struct {
	card *dispatch.Card
	err  error
}

// unpack is the result as Do returns it.
func (r result) unpack() (dispatch.Card, error) {
	if r.card == nil {
		return dispatch.Card{}, r.err
	}
	return *r.card, r.err
}

func (j *job) reset() { j.card, j.failed, j.unchanged = nil, nil, false }

// outcome is what the caller hears once the batch is committed.
func (j *job) outcome() result {
	switch {
	case j.failed != nil:
		return result{j.card, j.failed}
	case j.unchanged:
		return result{j.card, dispatch.ErrUnchanged}
	default:
		return result{j.card, nil}
	}
}
