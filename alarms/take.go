package alarms

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"nabat/dispatch"
)

// take is one message on its way through the receiver. It saves its rows
// together where it can. It never waits for another message's original while one
// of its own is pending, and with one pending waits for nothing but a card that
// is being saved: two messages can then not wait for each other.
type take struct {
	r     *Receiver
	m     *Message
	panel *Panel // nil: nobody vouches for the account

	rows []Notification
	held []*claim // of the originals among rows
}

func (t *take) run(ctx context.Context) error {
	for i := range t.m.Events {
		if err := t.event(ctx, &t.m.Events[i]); err != nil {
			return err
		}
	}
	return t.flush(ctx)
}

// event makes the notification of one event and decides about it.
func (t *take) event(ctx context.Context, e *Event) error {
	n := t.notification(e)
	for {
		c := t.r.window.claim(&n, t)
		switch {
		case c.repeat != nil:
			n.Incident = c.repeat.incident
			t.repeat(n)
			return nil
		case c.wait != nil:
			if err := t.flush(ctx); err != nil {
				return err
			}
			if err := await(ctx, c.wait); err != nil {
				return err
			}
		case c.own.id != n.ID:
			return t.takeOver(ctx, n, c.own)
		default:
			return t.original(ctx, n, c.own)
		}
	}
}

// original decides about a notification that is not a repeat. From here on the
// claim must be settled.
func (t *take) original(ctx context.Context, n Notification, c *claim) error {
	if _, opens := Opens(n.Class, n.Condition); opens && (t.panel != nil || Urgent(n.Class)) {
		return t.signal(ctx, n, c, true)
	}
	if noted(n.Class, n.Condition) {
		return t.signal(ctx, n, c, false)
	}
	t.plain(n, c)
	return nil
}

// plain puts a row aside that touches no card.
func (t *take) plain(n Notification, c *claim) {
	n.Why = t.why(whyRow)
	switch {
	case t.m.Link != "":
		n.Why = t.why(whyMismatch)
	case t.panel == nil:
		n.Why = t.why(whyStranger)
	case n.Class == ClassUnknown:
		n.Why = t.why(whyUnknown)
	}
	t.rows = append(t.rows, n)
	t.held = append(t.held, c)
}

// repeat puts the row of a repeat aside.
func (t *take) repeat(n Notification) {
	n.Duplicate, n.Why = true, t.why(whyRepeat)
	t.rows = append(t.rows, n)
}

// takeOver tries an original again whose commit was not learned of, under its
// old id and time: if it did commit the database refuses the second row, and n
// is a repeat of it.
func (t *take) takeOver(ctx context.Context, n Notification, c *claim) error {
	if err := t.flush(ctx); err != nil {
		t.r.window.settle(c, false, dispatch.IncidentID{})
		return err
	}
	again := n
	again.ID, again.ReceivedAt = c.id, c.at
	err := t.original(ctx, again, c)
	if err == nil {
		err = t.flush(ctx)
	}
	if !errors.Is(err, dispatch.ErrDuplicate) {
		return err
	}
	incident, err := t.r.store.IncidentOf(ctx, c.id, c.at)
	if err != nil {
		return err // the claim stays unsure
	}
	t.r.window.settle(c, true, incident)
	n.Incident = incident
	t.repeat(n)
	return nil
}

// flush saves what was put aside.
func (t *take) flush(ctx context.Context) error {
	if len(t.rows) == 0 {
		return nil
	}
	err := t.r.store.Save(ctx, Change{Key: t.key(), Rows: t.rows})
	t.settle(err == nil)
	return err
}

// settle tells the window what became of the rows put aside.
func (t *take) settle(committed bool) {
	if committed {
		t.r.metrics.original.Add(float64(len(t.held)))
		t.r.metrics.repeat.Add(float64(len(t.rows) - len(t.held)))
	}
	for _, c := range t.held {
		t.r.window.settle(c, committed, dispatch.IncidentID{})
	}
	t.rows, t.held = t.rows[:0], t.held[:0]
}

// signal saves a notification that belongs to a card: the one that is open, or,
// if it opens one, a new one.
func (t *take) signal(ctx context.Context, n Notification, c *claim, opens bool) error {
	if err := t.flush(ctx); err != nil {
		t.r.window.settle(c, false, dispatch.IncidentID{})
		return err
	}
	k := siteKey{account: n.Account, class: cardClass(n.Class)}
	if t.panel != nil {
		k = siteKey{facility: t.panel.Facility.ID, class: cardClass(n.Class)}
	}
	// A card may close between our look and our write, but not for ever.
	for range 8 {
		next := t.r.cards.next(k, n.ReceivedAt, opens)
		switch {
		case next.wait != nil:
			if err := await(ctx, next.wait); err != nil {
				t.r.window.settle(c, false, dispatch.IncidentID{})
				return err
			}
			continue
		case next.incident.IsZero():
			t.plain(n, c)
			return nil
		}
		n.Incident = next.incident
		err := t.saveSignal(ctx, &n, next.opens)
		if next.opens {
			t.r.cards.opened(k, next.incident)
		}
		switch {
		case err == nil:
			t.r.cards.joined(k, next.incident, n.ReceivedAt)
			t.r.window.settle(c, true, next.incident)
			t.r.metrics.original.Inc()
			return nil
		case cardRefused(err):
			t.r.cards.refused(k, next.incident)
			n.Incident = dispatch.IncidentID{}
			continue
		}
		// The signal may be on the card all the same.
		t.r.cards.joined(k, next.incident, n.ReceivedAt)
		t.r.window.settle(c, false, dispatch.IncidentID{})
		return err
	}
	t.r.window.settle(c, false, dispatch.IncidentID{})
	return errors.New("no card takes the signal")
}

func (t *take) saveSignal(ctx context.Context, n *Notification, opens bool) error {
	ch := Change{Key: t.key(), Incident: n.Incident, New: opens}
	switch {
	case opens:
		typ, _ := Opens(n.Class, n.Condition)
		var site dispatch.Site
		n.Why = t.why(whyDraft)
		if t.panel != nil {
			site = t.panel.Facility.site()
			n.Why = t.why(whyOpened)
		} else if t.m.Link != "" {
			n.Why = t.why(whyMismatch)
		}
		ch.Decide = dispatch.OpenFromAlarm(n.signal(), typ, t.describe(n), site, t.r.router)
	case n.Condition == Alarm || n.Condition == Verified:
		n.Why = t.why(whyJoined)
		ch.Decide = join(n.signal())
	default:
		n.Why = t.why(whyNoted)
		ch.Decide = dispatch.AddSignal(n.signal())
	}
	ch.Rows = []Notification{*n}
	err := t.r.store.Save(ctx, ch)
	if err == nil && opens {
		t.r.log.Info("alarm opened a card", zap.String("account", n.Account), zap.String("class", string(n.Class)),
			zap.Stringer("incident", n.Incident), zap.Bool("known", t.panel != nil))
	}
	return err
}

// join adds an alarm to a card whose last signal is not too long ago. The card
// is asked, because only the database knows for certain when that was.
func join(s dispatch.Signal) dispatch.Decide {
	add := dispatch.AddSignal(s)
	return func(c dispatch.Card) (dispatch.Card, []dispatch.Event, error) {
		if s.At.Sub(c.LastSignalAt) > JoinWithin {
			return c, nil, &dispatch.TransitionError{What: "incident", From: string(c.State), To: "signal"}
		}
		return add(c)
	}
}

// describe says on the card what the panel told.
func (t *take) describe(n *Notification) string {
	text := n.Text
	if n.Zone != "" {
		text += ", зона " + n.Zone
		if t.panel != nil {
			if place := t.panel.place(n.Area, n.Zone); place != "" {
				text += " (" + place + ")"
			}
		}
	}
	if n.Area != "" && n.Area != "00" {
		text += ", раздел " + n.Area
	}
	if t.panel == nil {
		text = "Неизвестный объект, счёт " + n.Account + ": " + text
	}
	return text
}

func (t *take) notification(e *Event) Notification {
	n := Notification{
		ID: dispatch.NewNotificationID(), ReceivedAt: t.m.ReceivedAt, OccurredAt: t.m.OccurredAt,
		Account: t.m.Account, Protocol: t.m.Protocol, Class: e.Class, Condition: e.Condition, Code: e.Code,
		Area: e.Area, Zone: e.Zone, User: e.User, Text: e.Title, Raw: t.m.Raw, Peer: t.m.Peer, Seq: t.m.Seq,
	}
	switch {
	case e.Code == "":
		n.Text = e.Text
	case e.Text != "":
		n.Text = e.Title + " «" + e.Text + "»"
	}
	if t.panel != nil {
		n.Panel, n.Facility = t.panel.ID, t.panel.Facility.ID
	}
	n.DedupKey = dedupKey(&n)
	return n
}

func (t *take) why(sentence string) string {
	if t.m.ClockWrong {
		return sentence + whyClockWrong
	}
	return sentence
}

// key keeps one facility's work in order.
func (t *take) key() string {
	if t.panel != nil {
		return t.panel.Facility.Code
	}
	return t.m.Account
}

// await blocks until ch is closed.
func await(ctx context.Context, ch <-chan struct{}) error {
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for an earlier message: %w", context.Cause(ctx))
	}
}
