package dispatch

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Form is what an operator fills in, and holds only what is to change: a field
// that is nil is left alone. Place and description are free text.
type Form struct {
	Type        *Type
	Place       *string
	Description *string
	// Base guards against two people at one card.
	Base Base
}

// Base are the stored values that the form's texts grew from. A form whose base
// has been changed meanwhile, to something that it does not say itself, is
// refused whole (ChangedError), so that nobody's words are overwritten unseen. A
// field without a base is set.
type Base struct {
	Type        *Type
	Place       *string
	Description *string
}

// Bounds of the form, in characters.
const (
	MaxPlace       = 500
	MaxDescription = 4000
)

// check says what is wrong with the form's own values.
func (f Form) check() error {
	if f.Type != nil && *f.Type != "" && !f.Type.Valid() {
		return &FieldError{"type", fmt.Sprintf("%q is not in the classifier", *f.Type)}
	}
	for _, v := range []struct {
		name string
		text *string
		most int
	}{{"place", f.Place, MaxPlace}, {"description", f.Description, MaxDescription}} {
		if v.text == nil {
			continue
		}
		if !utf8.ValidString(*v.text) || strings.ContainsRune(*v.text, 0) {
			return &FieldError{v.name, "is not valid text"}
		}
		if utf8.RuneCountInString(*v.text) > v.most {
			return &FieldError{v.name, fmt.Sprintf("is longer than %d characters", v.most)}
		}
	}
	return nil
}

// sendable says what a card still needs before services may hear of it.
func (c Card) sendable() error {
	switch {
	case !c.Type.Valid():
		return &FieldError{"type", fmt.Sprintf("%q is not in the classifier", c.Type)}
	case strings.TrimSpace(c.Place) == "":
		return &FieldError{"place", "must not be empty"}
	}
	return nil
}

// SendForm registers a draft with the form and assigns the services that the
// rules choose; on a card that is registered already it edits the fields and
// adds what the rules now choose besides. An empty form sends the draft as it is
// stored: what a card needs is asked of the card, not of the form.
func SendForm(f Form, route Router, by Actor, at time.Time) Decide {
	return func(c Card) (Card, []Event, error) {
		if err := f.check(); err != nil {
			return c, nil, err
		}
		if !c.State.Open() || c.State == Worked {
			return c, nil, &TransitionError{What: "incident", From: string(c.State), To: string(Registered)}
		}
		was := c
		c, changes, err := c.edit(f)
		if err != nil {
			return was, nil, err
		}
		if err := c.sendable(); err != nil {
			return was, nil, err
		}
		kind := EventEdited
		if c.State == Draft {
			kind = EventRegistered
			c.State, c.RegisteredAt = Registered, at.UTC().Truncate(time.Microsecond)
		}
		before := c
		c, more := c.assign(route.Decide(c.Facts()), by, at)
		if kind == EventEdited && len(changes) == 0 && len(more) == 0 {
			return before, nil, ErrUnchanged
		}
		// Before the new services: they hear of the card by their own event first.
		events := []Event{newEvent(c.ID, kind, by, at, Details{Card: before.Snapshot(), Changes: changes})}
		return c, append(events, more...), nil
	}
}

// SaveDraft keeps what an operator has typed so far. A draft is never routed.
func SaveDraft(f Form, by Actor, at time.Time) Decide {
	return func(c Card) (Card, []Event, error) {
		if c.State != Draft {
			return c, nil, &TransitionError{What: "incident", From: string(c.State), To: string(Draft)}
		}
		if err := f.check(); err != nil {
			return c, nil, err
		}
		c, changes, err := c.edit(f)
		if err != nil {
			return c, nil, err
		}
		if len(changes) == 0 {
			return c, nil, ErrUnchanged
		}
		return c, []Event{newEvent(c.ID, EventEdited, by, at, Details{Card: c.Snapshot(), Changes: changes})}, nil
	}
}

// edit puts the form's values on the card and says what changed. Either all of
// them or none: the card that comes with an error is the one that was.
func (c Card) edit(f Form) (Card, map[string]Change, error) {
	edited, changes := c, map[string]Change{}
	asIs := func(text string) string { return text }
	for _, v := range []struct {
		name       string
		stored     *string
		text, base *string
		clean      func(string) string
	}{
		{"type", (*string)(&edited.Type), (*string)(f.Type), (*string)(f.Base.Type), asIs},
		{"place", &edited.Place, f.Place, f.Base.Place, strings.TrimSpace},
		{"description", &edited.Description, f.Description, f.Base.Description, asIs},
	} {
		if v.text == nil {
			continue
		}
		stored, text := *v.stored, v.clean(*v.text)
		if v.base != nil && v.clean(stored) != v.clean(*v.base) && v.clean(stored) != text {
			return c, nil, &ChangedError{Field: v.name}
		}
		if stored != text {
			changes[v.name] = Change{Old: stored, New: text}
			*v.stored = text
		}
	}
	if len(changes) == 0 {
		return c, nil, nil
	}
	return edited, changes, nil
}

// CloseWithoutResponse ends a draft that needs no service.
func CloseWithoutResponse(why NonResponse, by Actor, at time.Time) Decide {
	return func(c Card) (Card, []Event, error) {
		if why == "" {
			return c, nil, &FieldError{"reason", "must not be empty"}
		}
		if len(c.Assignments) > 0 {
			return c, nil, &TransitionError{What: "incident", From: string(c.State), To: string(Closed)}
		}
		return c.close(string(why), by, at)
	}
}

// Close ends an incident whose services have all reported their end.
func Close(reason string, by Actor, at time.Time) Decide {
	return func(c Card) (Card, []Event, error) {
		for _, a := range c.Assignments {
			if !a.State.Final() {
				return c, nil, &TransitionError{What: "incident", From: string(c.State), To: string(Closed)}
			}
		}
		return c.close(reason, by, at)
	}
}

func (c Card) close(reason string, by Actor, at time.Time) (Card, []Event, error) {
	if c.State == Closed {
		return c, nil, ErrUnchanged
	}
	to, err := c.move(Closed)
	if err != nil {
		return c, nil, err
	}
	to.ClosedAt = at.UTC().Truncate(time.Microsecond)
	to.CloseReason = reason
	return to, []Event{newEvent(c.ID, EventClosed, by, at, Details{Card: to.Snapshot(), Reason: reason})}, nil
}

// Cancel withdraws an incident: every assignment that is not final is cancelled.
func Cancel(reason string, by Actor, at time.Time) Decide {
	return func(c Card) (Card, []Event, error) {
		if c.State == Cancelled {
			return c, nil, ErrUnchanged
		}
		to, err := c.move(Cancelled)
		if err != nil {
			return c, nil, err
		}
		at := at.UTC().Truncate(time.Microsecond)
		to.ClosedAt, to.CloseReason = at, reason
		events := []Event{newEvent(c.ID, EventCancelled, by, at, Details{Card: to.Snapshot(), Reason: reason})}
		for _, a := range c.Assignments {
			if a.State.Final() {
				continue
			}
			from := a.State
			to = to.withAssignment(a.enter(CancelledA, at))
			events = append(events, newEvent(c.ID, EventStatus, by, at, Details{
				Service: a.Service, From: string(from), To: string(CancelledA), Reason: reason,
			}))
		}
		return to, events, nil
	}
}
