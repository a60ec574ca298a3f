package dispatch

import (
	"errors"
	"fmt"
)

// Sentinels that drivers map their own errors to.
var (
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("not found")
	// ErrDuplicate: this very thing is already stored; nothing was changed.
	ErrDuplicate = errors.New("already stored")
	// ErrBusy: the writer's queue is full or the database is away. The peer is
	// not answered and will repeat.
	ErrBusy = errors.New("store is busy")
	// ErrUnchanged: the fact changes nothing (a repeated reply, a second click).
	ErrUnchanged = errors.New("nothing to change")
)

// TransitionError is a move that the state rules do not have.
type TransitionError struct {
	What     string // "incident" or "assignment"
	From, To string
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("%s cannot go from %s to %s", e.What, e.From, e.To)
}

// FieldError is a value that a form refuses.
type FieldError struct {
	Field  string
	Reason string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// ChangedError is a field that somebody else has changed since the person who
// edits it saw it.
type ChangedError struct{ Field string }

func (e *ChangedError) Error() string { return e.Field + " was changed by somebody else" }
