package console

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/dispatch"
)

// Of the calls behind a card a duty officer's journal tells what the card shows,
// and no more; everybody else reads the lines as they are stored.
func TestDutyOfficersJournalTellsNoMoreOfCallsThanTheCard(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	first := dispatch.Contact{
		ID: dispatch.NewContactID(), Kind: dispatch.ContactSMS, Caller: "+79210000001", Text: "горит склад", ReceivedAt: at,
	}
	card := dispatch.Card{Incident: dispatch.Incident{ID: dispatch.NewIncidentID(), Number: 1}}
	card, opened, err := dispatch.OpenFromContact(first)(card)
	require.NoError(t, err)
	_, ended, err := dispatch.NoteProgress(dispatch.Progress{
		ID: first.ID, State: dispatch.ContactEnded, Reason: dispatch.EndCallerHungUp, Why: "TIMEOUT", At: at,
	}, "caller:+79219999999")(card)
	require.NoError(t, err)
	// A second caller of the same card, as later parts will link them.
	data, err := json.Marshal(dispatch.Details{
		Card: card.Snapshot(), Contact: dispatch.NewContactID(), ContactKind: dispatch.ContactCall, Caller: "+79219999999", Text: "я видел",
	})
	require.NoError(t, err)
	second := dispatch.Event{ID: dispatch.NewEventID(), Incident: card.ID, Kind: dispatch.EventContact, Actor: "caller:+79219999999", At: at, Data: data}

	journal := []dispatch.Event{opened[0], ended[0], second}
	text := mustJSON(audience{service: dispatch.Fire}.events(journal))
	for _, secret := range []string{"9999999", first.ID.String(), "TIMEOUT", string(dispatch.EndCallerHungUp), "я видел", `"call"`} {
		require.NotContains(t, string(text), secret)
	}
	// What is withheld could be guessed and tried against a line's hash.
	require.NotContains(t, string(text), `"hash"`)
	erased := second
	erased.Data = nil
	require.Equal(t, dispatch.Actor("caller"), audience{service: dispatch.Fire}.event(erased).Actor)
	seen := audience{service: dispatch.Fire}.incident(card, []dispatch.Contact{first})
	line := audience{service: dispatch.Fire}.event(opened[0])
	d, ok := line.Data.(dispatch.Details)
	require.True(t, ok)
	require.Equal(t, seen.Caller, d.Caller)
	require.Equal(t, string(seen.Origin), string(d.ContactKind))
	require.Equal(t, dispatch.Actor("caller:"+seen.Caller), line.Actor)

	all := string(mustJSON(audience{}.events(journal)))
	for _, told := range []string{`"hash"`, "9999999", first.ID.String(), "TIMEOUT", "я видел"} {
		require.Contains(t, all, told)
	}
}
