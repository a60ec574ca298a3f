package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"nabat/dispatch"
	"nabat/dispatch/audit"
	"nabat/dispatch/postgres"
	"pgregory.net/rapid"
)

// The CHECK constraints repeat the state rules: whatever the domain allows, the
// database takes, and what is read back is what was written.
func TestDatabaseTakesWhateverTheDomainAllows(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	rapid.Check(t, func(rt *rapid.T) {
		ct := call(rapid.StringMatching(`[a-z0-9]{24}`).Draw(rt, "key"))
		ct, dup, err := b.store.OpenContact(t.Context(), ct)
		require.NoError(t, err)
		if dup {
			rt.Skip("key drawn twice")
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			written, err := b.w.Do(t.Context(), postgres.Unit{Key: ct.Key, Incident: ct.Incident, Decide: anyDecision(rt)})
			var move *dispatch.TransitionError
			var field *dispatch.FieldError
			if errors.As(err, &move) || errors.As(err, &field) || errors.Is(err, dispatch.ErrNotFound) {
				continue
			}
			if !errors.Is(err, dispatch.ErrUnchanged) {
				require.NoError(t, err)
			}
			read, err := b.store.Card(t.Context(), ct.Incident)
			require.NoError(t, err)
			require.ElementsMatch(t, written.Assignments, read.Assignments)
			require.Equal(t, written.Incident, read.Incident)
		}
		events, err := b.store.IncidentEvents(t.Context(), ct.Incident)
		require.NoError(t, err)
		require.NoError(t, audit.CheckChain(events))
	})
}

func anyDecision(t *rapid.T) dispatch.Decide {
	at := noon.Add(time.Duration(rapid.IntRange(0, 1e6).Draw(t, "µs")) * time.Microsecond)
	service := rapid.SampledFrom([]dispatch.Service{dispatch.Fire, dispatch.Police}).Draw(t, "service")
	form := dispatch.Form{Type: new(dispatch.TypeFire), Place: new(rapid.StringN(1, 40, 400).Draw(t, "place")), Description: new(rapid.StringN(0, 40, 400).Draw(t, "text"))}
	return rapid.SampledFrom([]dispatch.Decide{
		dispatch.SaveDraft(form, "operator:a", at),
		dispatch.SendForm(form, router{dispatch.Fire, dispatch.Police}, "operator:a", at),
		dispatch.CloseWithoutResponse(dispatch.NoResponseTest, "operator:a", at),
		dispatch.Close("готово", "operator:a", at),
		dispatch.Cancel("ошибка", "operator:a", at),
		dispatch.AddSignal(dispatch.Signal{Account: "1", At: at}),
		dispatch.MarkPublished(service, at),
		dispatch.MarkUndeliverable(service, "too large", at),
		dispatch.TakeReply(dispatch.Reply{
			Service: service, To: rapid.SampledFrom(dispatch.AssignmentStates()).Draw(t, "to"),
			Comment: rapid.SampledFrom([]string{"", "потому"}).Draw(t, "comment"), By: "service:x", At: at,
		}),
	}).Draw(t, "decision")
}
