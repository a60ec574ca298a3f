package alarms_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"nabat/alarms"
	"nabat/alarms/dc09"
	"nabat/dispatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memStore commits in memory by the rules of the database: ids are unique, a
// refused card writes nothing.
type memStore struct {
	mu    sync.Mutex
	rows  []alarms.Notification
	cards map[dispatch.IncidentID]*dispatch.Card
	order []dispatch.IncidentID
	seen  map[dispatch.PanelID]time.Time
	saves int
	asked int

	// fail is asked before each commit. errLost commits and reports a failure all
	// the same: the answer to the commit was lost.
	fail func(c alarms.Change) error
	// gate, when not nil, is what a commit waits for.
	gate chan struct{}
}

var (
	errDown = errors.New("database is away")
	errLost = errors.New("answer to the commit was lost")
)

func newMemStore() *memStore {
	return &memStore{cards: map[dispatch.IncidentID]*dispatch.Card{}, seen: map[dispatch.PanelID]time.Time{}}
}

func (s *memStore) Save(ctx context.Context, c alarms.Change) error {
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return dispatch.ErrBusy
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves++
	var lost error
	if s.fail != nil {
		switch err := s.fail(c); {
		case errors.Is(err, errLost):
			lost = err
		case err != nil:
			return err
		}
	}
	var after dispatch.Card
	if !c.Incident.IsZero() {
		before := s.cards[c.Incident]
		switch {
		case c.New && before != nil:
			return dispatch.ErrDuplicate
		case c.New:
			before = &dispatch.Card{Incident: dispatch.Incident{ID: c.Incident, Number: int64(len(s.order) + 1)}}
		case before == nil:
			return dispatch.ErrNotFound
		}
		card, events, err := c.Decide(*before)
		if err != nil {
			return err
		}
		card.Version += len(events)
		after = card
	}
	for i := range c.Rows {
		if slices.ContainsFunc(s.rows, func(n alarms.Notification) bool { return n.ID == c.Rows[i].ID }) {
			return dispatch.ErrDuplicate
		}
	}
	if !c.Incident.IsZero() {
		if s.cards[c.Incident] == nil {
			s.order = append(s.order, c.Incident)
		}
		s.cards[c.Incident] = &after
	}
	s.rows = append(s.rows, c.Rows...)
	return lost
}

func (s *memStore) IncidentOf(_ context.Context, id dispatch.NotificationID, at time.Time) (dispatch.IncidentID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.rows {
		if n.ID == id && n.ReceivedAt.Equal(at) {
			return n.Incident, nil
		}
	}
	return dispatch.IncidentID{}, dispatch.ErrNotFound
}

func (s *memStore) SaveSeen(_ context.Context, at map[dispatch.PanelID]time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(alarms.Change{}); err != nil {
			return err
		}
	}
	maps.Copy(s.seen, at)
	return nil
}

func (s *memStore) Originals(_ context.Context, since time.Time) ([]alarms.Notification, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []alarms.Notification
	for _, n := range s.rows {
		if !n.Duplicate && !n.ReceivedAt.Before(since) {
			out = append(out, n)
		}
	}
	return out, nil
}

func (s *memStore) OpenCards(context.Context) ([]alarms.OpenCard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []alarms.OpenCard
	for _, id := range s.order {
		c := s.cards[id]
		if !c.State.Open() {
			continue
		}
		o := alarms.OpenCard{Incident: id, Facility: c.Facility, Class: alarms.Class(c.Class), LastSignal: c.LastSignalAt}
		o.Draft = c.State == dispatch.Draft
		for _, n := range s.rows {
			if n.Incident == id && c.Class != "" { // the draft for all was opened by the system
				o.Account = n.Account
			}
		}
		out = append(out, o)
	}
	return out, nil
}

func (s *memStore) Drafts(_ context.Context, ids []dispatch.IncidentID) ([]dispatch.IncidentID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return slices.DeleteFunc(slices.Clone(ids), func(id dispatch.IncidentID) bool {
		return s.cards[id] == nil || s.cards[id].State != dispatch.Draft
	}), nil
}

// setFail changes what commits meet from now on.
func (s *memStore) setFail(f func(alarms.Change) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

func (s *memStore) originals() (out []alarms.Notification) {
	out, _ = s.Originals(context.Background(), time.Time{})
	return out
}

type router struct{}

func (router) Decide(f dispatch.Facts) dispatch.Decision {
	return dispatch.Decision{Ruleset: 1, Choices: []dispatch.Choice{{Service: dispatch.Fire, Rule: "r1", Why: f.Class}}}
}

// house is a receiver with one known panel, account 4521.
type house struct {
	*alarms.Receiver
	t     *testing.T
	store *memStore
	panel alarms.Panel
	now   time.Time
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, store: newMemStore(), now: noon}
	h.panel = alarms.Panel{
		ID: dispatch.NewPanelID(), Account: "4521",
		Facility: alarms.Facility{
			ID: dispatch.NewFacilityID(), Code: "SCH-1", Name: "Школа № 1", Category: "education", Address: "Невский пр., 1",
		},
		Zones: []alarms.Zone{{Number: "7", Kind: alarms.ClassFire, Place: "Столовая"}},
	}
	h.restart()
	return h
}

// restart makes a new receiver over what the store holds.
func (h *house) restart() {
	var reg alarms.Registry
	reg.Replace([]alarms.Panel{h.panel})
	h.Receiver = alarms.NewReceiver(h.store, &reg, router{}, zap.NewNop(), prometheus.NewRegistry())
	require.NoError(h.t, h.Load(h.t.Context(), h.store, h.now))
}

func parse(t *testing.T, octets []byte) dc09.Frame {
	t.Helper()
	f, _, err := dc09.Next(octets, true)
	require.NoError(t, err)
	return f
}

// send puts a body into a frame and returns the verdict.
func (h *house) send(body string) alarms.Verdict {
	h.t.Helper()
	f := parse(h.t, dc09.AppendFrame(nil, []byte(body), dc09.CRCHex))
	out, v := h.Answer(h.t.Context(), f, "192.0.2.1:999", h.now, nil)
	require.Equal(h.t, v.Reply() == dc09.Silence, len(out) == 0)
	return v
}

func (h *house) cid(event string) alarms.Verdict {
	return h.send(`"ADM-CID"0001L0#4521[#4521|` + event + `]`)
}

func (h *house) after(d time.Duration) { h.now = h.now.Add(d) }

func (h *house) last() alarms.Notification {
	h.t.Helper()
	require.NotEmpty(h.t, h.store.rows)
	return h.store.rows[len(h.store.rows)-1]
}

func (h *house) card(i int) dispatch.Card {
	h.t.Helper()
	require.Greater(h.t, len(h.store.order), i)
	return *h.store.cards[h.store.order[i]]
}
