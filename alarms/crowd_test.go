package alarms_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/alarms"
	"nabat/dispatch"
)

func (h *house) stranger(n int) alarms.Verdict {
	account := fmt.Sprintf("F%05d", n)
	return h.send(cidBody(1, account, "1110 01 007"))
}

func (h *house) drafts() (own, gathered []dispatch.Card) {
	for _, id := range h.store.order {
		switch c := *h.store.cards[id]; {
		case c.State != dispatch.Draft:
		case c.Class == "":
			gathered = append(gathered, c)
		default:
			own = append(own, c)
		}
	}
	return own, gathered
}

// A flood of accounts that nobody registered: every alarm is stored and
// acknowledged, the board gets a bounded number of drafts, a registered panel
// notices nothing.
func TestStrangersBeyondTheBoundGather(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range 100 {
		require.Equal(t, alarms.Stored, h.stranger(n))
	}
	own, gathered := h.drafts()
	require.Len(t, own, alarms.MaxStrangers)
	require.Len(t, gathered, 1)
	require.Contains(t, gathered[0].Description, "ещё 80 ")
	require.Empty(t, gathered[0].Assignments)
	require.Equal(t, 81-1, gathered[0].Version, "an event for each, which names its account")
	require.Len(t, h.store.originals(), 100)
	require.Equal(t, gathered[0].ID, h.last().Incident)
	require.LessOrEqual(t, h.store.asked, 1, "asked once a second at most")

	require.Equal(t, alarms.Stored, h.cid("1110 01 007"))
	require.Equal(t, dispatch.Dispatched, h.card(len(h.store.order)-1).State)

	// An account that has a draft of its own goes on with it; a restart forgets
	// neither its draft nor the one for all.
	h.restart()
	h.after(2 * time.Minute)
	require.Equal(t, alarms.Stored, h.stranger(3))
	require.Equal(t, own[3].ID, h.last().Incident)
	h.after(time.Hour)
	require.Equal(t, alarms.Stored, h.stranger(3))
	require.Equal(t, gathered[0].ID, h.last().Incident, "its own took no more, and there is no room for another")
	own, gathered = h.drafts()
	require.Len(t, own, alarms.MaxStrangers)
	require.Len(t, gathered, 1)
	require.Contains(t, gathered[0].Description, "ещё 81 ")
}

// As people work drafts off, strangers get their own again; a gathered draft that
// a person has taken stays as it is.
func TestStrangersGetRoomAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range alarms.MaxStrangers + 1 {
		h.stranger(n)
	}
	_, gathered := h.drafts()
	require.Len(t, gathered, 1)
	taken := h.store.cards[gathered[0].ID]
	after, _, err := dispatch.SendForm(dispatch.Form{Type: new(dispatch.TypeFire), Place: new("здесь")}, router{}, "operator:o", h.now)(*taken)
	require.NoError(t, err)
	*taken = after
	h.after(2 * time.Second)
	h.stranger(1000)
	_, gathered = h.drafts()
	require.Len(t, gathered, 1)
	require.NotEqual(t, taken.ID, gathered[0].ID)
	require.Contains(t, gathered[0].Description, "ещё 1 ")

	h.card(0) // the first stranger's
	closed := h.store.cards[h.store.order[0]]
	after, _, err = dispatch.CloseWithoutResponse(dispatch.NoResponseTest, "operator:o", h.now)(*closed)
	require.NoError(t, err)
	*closed = after
	h.after(2 * time.Second)
	h.stranger(1001)
	require.Equal(t, dispatch.Draft, h.card(len(h.store.order)-1).State)
	require.NotEqual(t, gathered[0].ID, h.last().Incident)
}

// An operator's own words on the gathered draft are not written over.
func TestAnOperatorsWordsStay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range alarms.MaxStrangers + 1 {
		h.stranger(n)
	}
	_, gathered := h.drafts()
	c := h.store.cards[gathered[0].ID]
	c.Description = "разбираюсь"
	h.stranger(1000)
	require.Equal(t, "разбираюсь", h.store.cards[gathered[0].ID].Description)
	require.Equal(t, gathered[0].ID, h.last().Incident)
}

func TestStrangersAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			if v := h.stranger(n); v != alarms.Stored {
				t.Errorf("%d: %s", n, v)
			}
		})
	}
	all.Wait()
	own, gathered := h.drafts()
	require.Len(t, own, alarms.MaxStrangers)
	require.Len(t, gathered, 1)
	require.Contains(t, gathered[0].Description, "ещё 180 ")
}
