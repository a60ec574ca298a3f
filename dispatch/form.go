package dispatch

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Form is what an operator fills in. Place and description are free text.
type Form struct {
	Type        Type
	Place       string
	Description string
}

// Bounds of the form, in characters.
const (
	MaxPlace       = 500
	MaxDescription = 4000
)

// check says what is wrong with a form that is to be sent.
func (f Form) check() error {
	switch {
	case !f.Type.Valid():
		return &FieldError{"type", fmt.Sprintf("%q is not in the classifier", f.Type)}
	case strings.TrimSpace(f.Place) == "":
		return &FieldError{"place", "must not be empty"}
	}
	return f.checkBounds()
}

func (f Form) checkBounds() error {
	for _, v := range []struct {
		name, text string
		most       int
	}{{"place", f.Place, MaxPlace}, {"description", f.Description, MaxDescription}} {
		if !utf8.ValidString(v.text) || strings.ContainsRune(v.text, 0) {
			return &FieldError{v.name, "is not valid text"}
		}
		if utf8.RuneCountInString(v.text) > v.most {
			return &FieldError{v.name, fmt.Sprintf("is longer than %d characters", v.most)}
		}
	}
	return nil
}

// SendForm registers a draft with the form and assigns the services that the
// rules choose; on a card that is registered already it edits the fields and
// adds what the rules now choose besides.
func SendForm(f Form, route Router, by Actor, at time.Time) Decide {
	return func(c Card) (Card, []Event, error) {
		if err := f.check(); err != nil {
			return c, nil, err
		}
		if !c.State.Open() || c.State == Worked {
			return c, nil, &TransitionError{What: "incident", From: string(c.State), To: string(Registered)}
		}
		c, changes := c.edit(f)
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
		if f.Type != "" && !f.Type.Valid() {
			return c, nil, &FieldError{"type", fmt.Sprintf("%q is not in the classifier", f.Type)}
		}
		if err := f.checkBounds(); err != nil {
			return c, nil, err
		}
		c, changes := c.edit(f)
		if len(changes) == 0 {
			return c, nil, ErrUnchanged
		}
		return c, []Event{newEvent(c.ID, EventEdited, by, at, Details{Card: c.Snapshot(), Changes: changes})}, nil
	}
}

// edit puts the form's values on the card and says what changed.
func (c Card) edit(f Form) (Card, map[string]Change) {
	changes := map[string]Change{}
	set := func(name string, field *string, v string) {
		if *field != v {
			changes[name] = Change{Old: *field, New: v}
			*field = v
		}
	}
	t := string(c.Type)
	set("type", &t, string(f.Type))
	c.Type = Type(t)
	set("place", &c.Place, strings.TrimSpace(f.Place))
	set("description", &c.Description, f.Description)
	if len(changes) == 0 {
		return c, nil
	}
	return c, changes
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
