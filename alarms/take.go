package alarms

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"nabat/dispatch"
)

// take is messages of one account on their way through the receiver, in the
// order in which they came. It saves their rows together where it can. It never
// waits for another take's original while one of its own is pending, and with one
// pending waits for nothing but a card that is being saved: two takes can then
// not wait for each other.
type take struct {
	r        *Receiver
	ms       []*Message
	verdicts []Verdict // of ms

	at    int // the message that is being taken
	m     *Message
	panel *Panel // nil: nobody vouches for the account

	first int // the earliest message with a row among rows
	rows  []Notification
	held  []*claim // of the originals among rows
}

// run takes every message and sets its verdict. One that cannot be stored is a
// Fault and keeps no later one from its try.
func (t *take) run(ctx context.Context) {
	for i, m := range t.ms {
		t.at, t.m, t.panel = i, m, t.r.vouched(m)
		t.verdicts[i] = Alive
		if len(m.Events) == 0 {
			continue
		}
		err := t.message(ctx)
		if t.verdicts[i] = Stored; err != nil {
			t.verdicts[i] = Fault
			t.fault(err)
		}
	}
	if err := t.flush(ctx); err != nil {
		t.fault(err)
	}
}

// message takes the events of one message. After an error nothing is put aside.
func (t *take) message(ctx context.Context) error {
	for i := range t.m.Events {
		if err := t.event(ctx, &t.m.Events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *take) fault(err error) {
	t.r.log.Error("message not stored, its sender is not answered", zap.String("account", t.m.Account),
		zap.String("peer", t.m.Peer), zap.Error(err))
}

// event makes the notification of one event and decides about it.
func (t *take) event(ctx context.Context, e *Event) error {
	n := t.notification(e)
	if t.undoes(&n) {
		// Whether the next of the kind is a repeat hangs on the opposite being there.
		if err := t.flush(ctx); err != nil {
			return err
		}
	}
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
	t.put(n)
	t.held = append(t.held, c)
}

func (t *take) put(n Notification) {
	if len(t.rows) == 0 {
		t.first = t.at
	}
	t.rows = append(t.rows, n)
}

// undoes tells whether n is the opposite of an original that was put aside.
func (t *take) undoes(n *Notification) bool {
	for _, c := range t.held {
		if opposed(c.condition, n.Condition) && c.topic == topicOf(n) {
			return true
		}
	}
	return false
}

// repeat puts the row of a repeat aside.
func (t *take) repeat(n Notification) {
	n.Duplicate, n.Why = true, t.why(whyRepeat)
	t.put(n)
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

// flush saves what was put aside. Where that fails, every message with a row in
// it is a Fault.
func (t *take) flush(ctx context.Context) error {
	if len(t.rows) == 0 {
		return nil
	}
	err := t.r.store.Save(ctx, Change{Key: t.key(), Rows: t.rows})
	t.settle(err == nil)
	for i := t.first; err != nil && i <= t.at; i++ {
		if len(t.ms[i].Events) > 0 {
			t.verdicts[i] = Fault
		}
	}
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

// abandon ends a take that panicked: nothing that was put aside may keep others
// waiting, and nobody is answered who is not known to be stored.
func (t *take) abandon() {
	from := t.at
	if len(t.rows) > 0 {
		from = t.first
	}
	t.settle(false)
	for i := from; i < len(t.ms); i++ {
		t.verdicts[i] = Fault
	}
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
		case next.opens && t.panel == nil && k != everybody && !t.r.room(ctx, next.incident, n.ReceivedAt):
			t.r.cards.forgo(k, next.incident)
			k = everybody
			continue
		}
		n.Incident = next.incident
		err := t.saveSignal(ctx, &n, next.opens, k == everybody)
		if next.opens {
			t.r.cards.opened(k, next.incident)
			t.r.crowd.saved(next.incident)
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

func (t *take) saveSignal(ctx context.Context, n *Notification, opens, gathers bool) error {
	ch := Change{Key: t.key(), Incident: n.Incident, New: opens}
	switch {
	case gathers:
		n.Why = t.why(whyGathered)
		ch.Key, ch.Decide = "", dispatch.GatherStranger(n.signal())
		if opens {
			ch.Decide = dispatch.OpenForStrangers(n.signal())
		}
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
	if err == nil && gathers {
		t.r.metrics.gathered.Inc()
	}
	if err == nil && opens && gathers {
		t.r.log.Warn("too many unknown facilities have drafts: further ones gather in one",
			zap.Int("drafts", MaxStrangers), zap.Stringer("incident", n.Incident))
	} else if err == nil && opens {
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
		// Not the account: the description goes to services, the journal does not.
		text = "Неизвестный объект: " + text
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
