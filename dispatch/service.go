package dispatch

import (
	"slices"
	"time"
)

// Reply is what a duty service says of its part, by Kafka or on a console.
type Reply struct {
	Service     Service
	To          AssignmentState
	OrderNumber string
	Comment     string // mandatory for refused and work_refused
	By          Actor
	At          time.Time
}

// TakeReply moves the service's assignment. A reply that repeats what is already
// so, or comes late for a step that was passed, is ErrUnchanged.
func TakeReply(r Reply) Decide {
	return func(c Card) (Card, []Event, error) {
		a, ok := c.Assignment(r.Service)
		if !ok {
			return c, nil, ErrNotFound
		}
		if (r.To == Refused || r.To == WorkRefused) && r.Comment == "" {
			return c, nil, &FieldError{"comment", "a refusal must say why"}
		}
		if r.To == Added || r.To == Published || r.To == CancelledA || r.To.rank() < 0 {
			return c, nil, &FieldError{"status", "is not a service's to give"}
		}
		if a.State == r.To {
			return c, nil, ErrUnchanged
		}
		if !slices.Contains(nextAssignment[a.State], r.To) {
			if !a.State.Final() && r.To.rank() < a.State.rank() && r.To != Refused {
				return c, nil, ErrUnchanged
			}
			return c, nil, &TransitionError{What: "assignment", From: string(a.State), To: string(r.To)}
		}
		from := a.State
		a = a.enter(r.To, r.At.UTC().Truncate(time.Microsecond))
		if r.OrderNumber != "" {
			a.OrderNumber = r.OrderNumber
		}
		a.Comment = r.Comment
		c = c.withAssignment(a)
		return c.follow(r.At, newEvent(c.ID, EventStatus, r.By, r.At, Details{
			Service: r.Service, From: string(from), To: string(r.To),
			OrderNumber: r.OrderNumber, Comment: r.Comment,
		}))
	}
}

// MarkPublished notes that the broker confirmed the service's record.
func MarkPublished(s Service, at time.Time) Decide {
	return func(c Card) (Card, []Event, error) {
		a, ok := c.Assignment(s)
		if !ok {
			return c, nil, ErrNotFound
		}
		if a.State != Added {
			return c, nil, ErrUnchanged // an answer was faster, or this is a repeat
		}
		c = c.withAssignment(a.enter(Published, at.UTC().Truncate(time.Microsecond)))
		return c, []Event{newEvent(c.ID, EventStatus, System, at, Details{
			Service: s, From: string(Added), To: string(Published),
		})}, nil
	}
}

// MarkUndeliverable notes that the broker refused the service's record for good.
func MarkUndeliverable(s Service, reason string, at time.Time) Decide {
	return func(c Card) (Card, []Event, error) {
		a, ok := c.Assignment(s)
		if !ok {
			return c, nil, ErrNotFound
		}
		if a.Undeliverable != "" {
			return c, nil, ErrUnchanged
		}
		a.Undeliverable = reason
		c = c.withAssignment(a)
		return c, []Event{newEvent(c.ID, EventUndeliverable, System, at, Details{Service: s, Reason: reason})}, nil
	}
}

// follow moves the incident after one of its assignments moved: under_way as
// soon as a service works, worked when every one has reported its end and at
// least one of them completed or gave up its work; a card that all refused stays
// where a person sees it.
func (c Card) follow(at time.Time, first Event) (Card, []Event, error) {
	events := []Event{first}
	working, open, done := false, false, false
	for _, a := range c.Assignments {
		working = working || a.State.UnderWay()
		open = open || !a.State.Final()
		done = done || a.State == Completed || a.State == WorkRefused
	}
	want := c.State
	switch {
	case working:
		want = UnderWay
	case !open && done:
		want = Worked
	case c.State == UnderWay || c.State == Worked:
		want = Dispatched
	}
	if want == c.State || !slices.Contains(next[c.State], want) {
		return c, events, nil
	}
	c.State = want
	if want == Worked {
		events = append(events, newEvent(c.ID, EventWorked, System, at, Details{Card: c.Snapshot()}))
	}
	return c, events, nil
}

// NoteProgress tells the card that its contact was answered, ended or lost.
func NoteProgress(p Progress, by Actor) Decide {
	return func(c Card) (Card, []Event, error) {
		return c, []Event{newEvent(c.ID, EventContactState, by, p.At, Details{
			Contact: p.ID, To: string(p.State), Reason: string(p.Reason), Why: p.Why,
		})}, nil
	}
}
