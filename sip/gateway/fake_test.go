package gateway

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/dispatch"
)

// fakeHouse keeps contacts as the database does: one row for a key, over restarts
// of the gateway too.
type fakeHouse struct {
	mu       sync.Mutex
	contacts []dispatch.Contact
	facts    []dispatch.Progress
	actors   []dispatch.Actor
	attempts int
	fail     func(attempt int) error                  // of OpenContact
	hook     func(ctx context.Context)                // before OpenContact
	failFact func(p dispatch.Progress, try int) error // of Progress
	tries    int
}

func (h *fakeHouse) OpenContact(ctx context.Context, c dispatch.Contact) (dispatch.Contact, bool, error) {
	h.mu.Lock()
	hook := h.hook
	h.mu.Unlock()
	if hook != nil {
		hook(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attempts++
	if err := ctx.Err(); err != nil {
		return dispatch.Contact{}, false, err
	}
	if h.fail != nil {
		if err := h.fail(h.attempts); err != nil {
			return dispatch.Contact{}, false, err
		}
	}
	for _, k := range h.contacts {
		if k.Key == c.Key {
			return k, true, nil
		}
	}
	c.Incident = dispatch.NewIncidentID()
	h.contacts = append(h.contacts, c)
	return c, false, nil
}

func (h *fakeHouse) Progress(ctx context.Context, p dispatch.Progress, by dispatch.Actor) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	h.tries++
	if h.failFact != nil {
		if err := h.failFact(p, h.tries); err != nil {
			return err
		}
	}
	i := slices.IndexFunc(h.contacts, func(c dispatch.Contact) bool { return c.ID == p.ID && c.Incident == p.Incident })
	if i < 0 {
		return dispatch.ErrNotFound
	}
	c := &h.contacts[i]
	c.State = p.State
	switch p.State {
	case dispatch.ContactAnswered:
		c.AnsweredAt = p.At
	case dispatch.ContactEnded:
		c.EndedAt, c.EndReason, c.CallbackDue = p.At, p.Reason, p.CallbackDue
	case dispatch.ContactRinging:
		c.EndedAt, c.EndReason, c.CallbackDue = time.Time{}, "", false
	}
	if !p.Run.IsZero() {
		c.Run = p.Run
	}
	h.facts = append(h.facts, p)
	h.actors = append(h.actors, by)
	return nil
}

func (h *fakeHouse) all() []dispatch.Contact {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.contacts)
}

func (h *fakeHouse) states() []dispatch.ContactState {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []dispatch.ContactState
	for _, f := range h.facts {
		out = append(out, f.State)
	}
	return out
}

// only is the one contact there is.
func (h *fakeHouse) only(t *testing.T) dispatch.Contact {
	t.Helper()
	all := h.all()
	require.Len(t, all, 1)
	return all[0]
}
