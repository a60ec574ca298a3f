package kafka_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/dispatch"
	"nabat/routing"
)

// city is the store in memory: cards, the journal, positions, taken replies. It
// follows the contract of dispatch/postgres: one change at a time, events
// numbered in the order in which they become visible.
type city struct {
	mu      sync.Mutex
	cards   map[dispatch.IncidentID]dispatch.Card
	events  []dispatch.Event
	cursors map[string]int64
	taken   map[string]dispatch.IncidentID
	wake    chan struct{}
	away    error // every call fails with it while it is set
}

func newCity() *city {
	return &city{
		cards: map[dispatch.IncidentID]dispatch.Card{}, cursors: map[string]int64{},
		taken: map[string]dispatch.IncidentID{}, wake: make(chan struct{}),
	}
}

func (c *city) setAway(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = err
}

func (c *city) C() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wake
}

func (c *city) Events(_ context.Context, after int64, limit int) ([]dispatch.Event, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return nil, c.away
	}
	rest := c.events[min(int(after), len(c.events)):]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

func (c *city) LastSeq(context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(len(c.events)), c.away
}

func (c *city) Load(_ context.Context, topic string) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursors[topic], c.away
}

func (c *city) Save(_ context.Context, topic string, seq int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away == nil {
		c.cursors[topic] = seq
	}
	return c.away
}

func (c *city) Change(_ context.Context, id dispatch.IncidentID, d dispatch.Decide) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.change(id, d)
}

func (c *city) change(id dispatch.IncidentID, d dispatch.Decide) error {
	if c.away != nil {
		return c.away
	}
	card, ok := c.cards[id]
	if !ok {
		return dispatch.ErrNotFound
	}
	card, events, err := d(card)
	if err != nil {
		return err
	}
	for _, e := range events {
		e = e.Seal(card.Version+1, card.Head)
		e.Seq = int64(len(c.events) + 1)
		card.Version, card.Head = e.Version, e.Hash
		c.events = append(c.events, e)
	}
	c.cards[id] = card
	close(c.wake)
	c.wake = make(chan struct{})
	return nil
}

func (c *city) TakeReply(_ context.Context, s dispatch.Service, r routing.Reply, d dispatch.Decide) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return c.away
	}
	key := strings.Join([]string{string(s), r.Source, r.ID}, "\x00")
	if earlier, known := c.taken[key]; known {
		if earlier != r.Incident {
			return routing.ReusedID(r, earlier)
		}
		return dispatch.ErrDuplicate
	}
	err := c.change(r.Incident, d)
	if err == nil {
		c.taken[key] = r.Incident
	}
	return err
}

// open makes a card and applies changes to it.
func (c *city) open(t testing.TB, changes ...dispatch.Decide) dispatch.IncidentID {
	t.Helper()
	id := dispatch.NewIncidentID()
	c.mu.Lock()
	defer c.mu.Unlock()
	var card dispatch.Card
	card.ID, card.Number = id, int64(len(c.cards)+1)
	c.cards[id] = card
	for _, d := range changes {
		require.NoError(t, c.change(id, d))
	}
	return id
}

func (c *city) assignment(t testing.TB, id dispatch.IncidentID, s dispatch.Service) dispatch.Assignment {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.cards[id].Assignment(s)
	require.True(t, ok, "%s is not assigned", s)
	return a
}

func (c *city) journal() []dispatch.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

func (c *city) cursor(topic string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursors[topic]
}

// to routes everything to the same services.
type to []dispatch.Service

func (r to) Decide(dispatch.Facts) dispatch.Decision {
	d := dispatch.Decision{Ruleset: 3}
	for _, s := range r {
		d.Choices = append(d.Choices, dispatch.Choice{Service: s, Rule: "test", Why: "проверка", WhyEN: "a test"})
	}
	return d
}

// alarm opens a fire alarm's card for some services.
func alarm(services ...dispatch.Service) dispatch.Decide {
	lat, lon := 59.93, 30.31
	return dispatch.OpenFromAlarm(
		dispatch.Signal{
			Notification: dispatch.NewNotificationID(), Account: "1234", Class: "fire",
			Condition: "alarm", Zone: "3", Text: "шлейф 3", At: time.Now(),
		}, dispatch.TypeFire, "Пожар: школа № 5",
		dispatch.Site{
			Facility: dispatch.NewFacilityID(), Code: "S-5", Name: "Школа № 5", Category: "education",
			Place: "Невский пр., 1", District: "Центральный", Lat: &lat, Lon: &lon,
		}, to(services))
}

func signal() dispatch.Decide {
	return dispatch.AddSignal(dispatch.Signal{
		Notification: dispatch.NewNotificationID(), Account: "1234", Class: "fire", Condition: "restore", Zone: "3", At: time.Now(),
	})
}

// call opens a card of a call and sends its form.
func call(services ...dispatch.Service) []dispatch.Decide {
	return []dispatch.Decide{
		dispatch.OpenFromContact(dispatch.Contact{
			ID: dispatch.NewContactID(), Kind: dispatch.ContactCall, Caller: "+79210000000", ReceivedAt: time.Now(),
		}),
		dispatch.SendForm(dispatch.Form{Type: new(dispatch.TypeCrime), Place: new("у метро"), Description: new("драка")},
			to(services), "operator:ivanova", time.Now()),
	}
}
