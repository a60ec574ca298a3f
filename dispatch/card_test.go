package dispatch_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"nabat/dispatch"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// choose is a router that always names the same services.
type choose []dispatch.Service

func (c choose) Decide(dispatch.Facts) dispatch.Decision {
	d := dispatch.Decision{Ruleset: 3}
	for _, s := range c {
		d.Choices = append(d.Choices, dispatch.Choice{Service: s, Rule: "r", Why: "так решено"})
	}
	return d
}

func apply(t *testing.T, c dispatch.Card, d dispatch.Decide) dispatch.Card {
	t.Helper()
	c, events, err := d(c)
	require.NoError(t, err)
	require.NotEmpty(t, events)
	return c
}

func draft(t *testing.T) dispatch.Card {
	t.Helper()
	c := dispatch.Card{Incident: dispatch.Incident{ID: dispatch.NewIncidentID(), Number: 1}}
	return apply(t, c, dispatch.OpenFromContact(dispatch.Contact{
		ID: dispatch.NewContactID(), Kind: dispatch.ContactCall, Caller: "+79210000001", ReceivedAt: noon,
	}))
}

func sent(t *testing.T, services ...dispatch.Service) dispatch.Card {
	t.Helper()
	return apply(t, draft(t), dispatch.SendForm(
		dispatch.Form{Type: new(dispatch.TypeFire), Place: new("Невский пр., 1")}, choose(services), "operator:a", noon))
}

func says(s dispatch.Service, to dispatch.AssignmentState) dispatch.Decide {
	return dispatch.TakeReply(dispatch.Reply{Service: s, To: to, Comment: "потому что", By: "service:x", At: noon})
}

func TestDraftIsNeverRouted(t *testing.T) {
	t.Parallel()
	c := draft(t)
	require.Equal(t, dispatch.Draft, c.State)
	require.Empty(t, c.Assignments)
	c = apply(t, c, dispatch.SaveDraft(dispatch.Form{Type: new(dispatch.TypeFire), Place: new("где-то")}, "operator:a", noon))
	require.Equal(t, dispatch.Draft, c.State)
	require.Empty(t, c.Assignments)
}

func TestSentFormIsAssignedWithItsReason(t *testing.T) {
	t.Parallel()
	c := sent(t, dispatch.Fire, dispatch.Medical)
	require.Equal(t, dispatch.Dispatched, c.State)
	require.Len(t, c.Assignments, 2)
	a, ok := c.Assignment(dispatch.Fire)
	require.True(t, ok)
	require.Equal(t, dispatch.Added, a.State)
	require.Equal(t, 3, a.Ruleset)
	require.Equal(t, "так решено", a.Why)
}

func TestFormWithoutPlaceIsRefusedAtItsField(t *testing.T) {
	t.Parallel()
	_, _, err := dispatch.SendForm(dispatch.Form{Type: new(dispatch.TypeFire)}, choose{dispatch.Fire}, "operator:a", noon)(draft(t))
	var field *dispatch.FieldError
	require.ErrorAs(t, err, &field)
	require.Equal(t, "place", field.Field)
}

func TestFormHoldsOnlyWhatChanges(t *testing.T) {
	t.Parallel()
	c := apply(t, draft(t), dispatch.SaveDraft(dispatch.Form{Place: new(" тут "), Description: new("дым")}, "operator:a", noon))
	require.Equal(t, "тут", c.Place)
	for _, tc := range []struct {
		name    string
		form    dispatch.Form
		refused string
		place   string
	}{
		{"absent is left alone", dispatch.Form{Type: new(dispatch.TypeFire)}, "", "тут"},
		{"present and empty clears", dispatch.Form{Place: new("")}, "", ""},
		{"no base sets", dispatch.Form{Place: new("там")}, "", "там"},
		{"the base is what is stored, but for blanks", dispatch.Form{Place: new("там"), Base: dispatch.Base{Place: new("тут ")}}, "", "там"},
		{"somebody else wrote the same", dispatch.Form{Place: new("тут "), Base: dispatch.Base{Place: new("там")}, Type: new(dispatch.TypeFire)}, "", "тут"},
		{"somebody else wrote other words", dispatch.Form{Place: new("там"), Base: dispatch.Base{Place: new("")}, Type: new(dispatch.TypeFire)}, "place", "тут"},
		{"blanks matter in a description", dispatch.Form{Description: new("огонь"), Base: dispatch.Base{Description: new("дым ")}, Type: new(dispatch.TypeFire)}, "description", "тут"},
		{"a type of somebody else", dispatch.Form{Type: new(dispatch.TypeFire), Base: dispatch.Base{Type: new(dispatch.TypeGas)}, Place: new("там")}, "type", "тут"},
	} {
		after, events, err := dispatch.SaveDraft(tc.form, "operator:b", noon)(c)
		if tc.refused == "" {
			require.NoError(t, err, tc.name)
			require.Equal(t, tc.place, after.Place, tc.name)
			require.Equal(t, "дым", after.Description, tc.name)
			continue
		}
		var changed *dispatch.ChangedError
		require.ErrorAs(t, err, &changed, tc.name)
		require.Equal(t, tc.refused, changed.Field, tc.name)
		require.Empty(t, events, tc.name)
		require.Equal(t, c, after, "%s: all or nothing", tc.name)
	}
}

func TestEmptyFormSendsTheDraftAsItIsStored(t *testing.T) {
	t.Parallel()
	send := dispatch.SendForm(dispatch.Form{}, choose{dispatch.Fire}, "operator:a", noon)
	c := draft(t)
	_, _, err := send(c)
	var field *dispatch.FieldError
	require.ErrorAs(t, err, &field)
	require.Equal(t, "type", field.Field)
	c = apply(t, c, dispatch.SaveDraft(dispatch.Form{Type: new(dispatch.TypeFire), Place: new("тут")}, "operator:a", noon))
	c = apply(t, c, send)
	require.Equal(t, dispatch.Dispatched, c.State)
	require.Equal(t, "тут", c.Place)
	_, _, err = send(c)
	require.ErrorIs(t, err, dispatch.ErrUnchanged)
}

func TestAlarmOfUnknownFacilityStaysADraft(t *testing.T) {
	t.Parallel()
	sig := dispatch.Signal{Account: "FFFF", Class: "fire", Condition: "alarm", At: noon}
	c := apply(t, dispatch.Card{}, dispatch.OpenFromAlarm(sig, dispatch.TypeFire, "Пожар", dispatch.Site{}, choose{dispatch.Fire}))
	require.Equal(t, dispatch.Draft, c.State)
	require.True(t, c.UnknownFacility)
	require.Empty(t, c.Assignments)
}

func TestRestoreNeverCancelsADispatchedCard(t *testing.T) {
	t.Parallel()
	c := sent(t, dispatch.Fire)
	after := apply(t, c, dispatch.AddSignal(dispatch.Signal{Account: "1234", Class: "fire", Condition: "restore", At: noon.Add(time.Minute)}))
	require.Equal(t, c.State, after.State)
	require.Equal(t, c.Assignments, after.Assignments)
}

func TestIncidentFollowsItsServices(t *testing.T) {
	t.Parallel()
	c := sent(t, dispatch.Fire, dispatch.Medical)
	c = apply(t, c, says(dispatch.Fire, dispatch.Accepted))
	require.Equal(t, dispatch.UnderWay, c.State)
	c = apply(t, c, says(dispatch.Fire, dispatch.Completed))
	require.Equal(t, dispatch.Dispatched, c.State, "the other service has not answered")
	c = apply(t, c, says(dispatch.Medical, dispatch.Refused))
	require.Equal(t, dispatch.Worked, c.State)
	c = apply(t, c, dispatch.Close("всё сделано", "operator:s", noon))
	require.Equal(t, dispatch.Closed, c.State)
}

func TestCardThatAllRefusedWaitsForAPerson(t *testing.T) {
	t.Parallel()
	c := sent(t, dispatch.Fire)
	c = apply(t, c, says(dispatch.Fire, dispatch.Refused))
	require.Equal(t, dispatch.Dispatched, c.State)
	c = apply(t, c, says(dispatch.Fire, dispatch.Accepted))
	require.Equal(t, dispatch.UnderWay, c.State)
}

func TestRepeatedAndLateRepliesChangeNothing(t *testing.T) {
	t.Parallel()
	c := sent(t, dispatch.Fire)
	c = apply(t, c, says(dispatch.Fire, dispatch.Accepted))
	c = apply(t, c, says(dispatch.Fire, dispatch.Arrived))
	for _, late := range []dispatch.AssignmentState{dispatch.Received, dispatch.Accepted, dispatch.EnRoute, dispatch.Arrived} {
		_, _, err := says(dispatch.Fire, late)(c)
		require.ErrorIs(t, err, dispatch.ErrUnchanged, late)
	}
	_, _, err := says(dispatch.Fire, dispatch.Refused)(c)
	var move *dispatch.TransitionError
	require.ErrorAs(t, err, &move)
	_, _, err = says(dispatch.Gas, dispatch.Accepted)(c)
	require.ErrorIs(t, err, dispatch.ErrNotFound)
	_, _, err = dispatch.MarkPublished(dispatch.Fire, noon)(c)
	require.ErrorIs(t, err, dispatch.ErrUnchanged, "an answer that is faster than the broker's confirmation stays")
}

func TestRefusalMustSayWhy(t *testing.T) {
	t.Parallel()
	_, _, err := dispatch.TakeReply(dispatch.Reply{Service: dispatch.Fire, To: dispatch.Refused, At: noon})(sent(t, dispatch.Fire))
	var field *dispatch.FieldError
	require.ErrorAs(t, err, &field)
}

func TestCardWithWorkingServicesIsNotClosed(t *testing.T) {
	t.Parallel()
	c := sent(t, dispatch.Fire)
	for _, d := range []dispatch.Decide{
		dispatch.Close("готово", "operator:a", noon),
		dispatch.CloseWithoutResponse(dispatch.NoResponseTest, "operator:a", noon),
	} {
		_, _, err := d(c)
		var move *dispatch.TransitionError
		require.ErrorAs(t, err, &move)
	}
}

func TestCancelWithdrawsEveryOpenAssignment(t *testing.T) {
	t.Parallel()
	c := apply(t, sent(t, dispatch.Fire, dispatch.Gas), says(dispatch.Gas, dispatch.Accepted))
	c = apply(t, c, dispatch.Cancel("ошибка", "operator:a", noon))
	require.Equal(t, dispatch.Cancelled, c.State)
	for _, a := range c.Assignments {
		require.Equal(t, dispatch.CancelledA, a.State)
	}
}

func TestHashCoversEveryFixedColumnAndTheData(t *testing.T) {
	t.Parallel()
	_, events, err := dispatch.SaveDraft(dispatch.Form{Place: new("a")}, "operator:a", noon)(draft(t))
	require.NoError(t, err)
	e := events[0].Seal(2, [32]byte{1})
	for name, alter := range map[string]func(*dispatch.Event){
		"incident": func(e *dispatch.Event) { e.Incident[0]++ },
		"id":       func(e *dispatch.Event) { e.ID[0]++ },
		"version":  func(e *dispatch.Event) { e.Version++ },
		"at":       func(e *dispatch.Event) { e.At = e.At.Add(time.Microsecond) },
		"actor":    func(e *dispatch.Event) { e.Actor += "x" },
		"kind":     func(e *dispatch.Event) { e.Kind += "x" },
		"data":     func(e *dispatch.Event) { e.DataSHA[0]++ },
		"previous": func(e *dispatch.Event) { e.Prev[0]++ },
		// A boundary moved between two texts must show as well.
		"boundary": func(e *dispatch.Event) { e.Actor, e.Kind = e.Actor+"e", e.Kind[1:] },
	} {
		f := e
		alter(&f)
		require.NotEqual(t, e.Hash, f.ComputeHash(), name)
	}
}

// decisions draws any change that anybody might ask for.
func decisions(t *rapid.T) dispatch.Decide {
	service := rapid.SampledFrom([]dispatch.Service{dispatch.Fire, dispatch.Police, dispatch.Gas}).Draw(t, "service")
	form := dispatch.Form{
		Type:  new(rapid.SampledFrom([]dispatch.Type{"", dispatch.TypeFire, "nonsense"}).Draw(t, "type")),
		Place: new(rapid.SampledFrom([]string{"", "Невский пр., 1"}).Draw(t, "place")),
	}
	route := choose(rapid.SliceOfDistinct(rapid.SampledFrom([]dispatch.Service{dispatch.Fire, dispatch.Police}), rapid.ID[dispatch.Service]).Draw(t, "route"))
	return rapid.SampledFrom([]dispatch.Decide{
		dispatch.SaveDraft(form, "operator:a", noon),
		dispatch.SendForm(form, route, "operator:a", noon),
		dispatch.CloseWithoutResponse(dispatch.NoResponseTest, "operator:a", noon),
		dispatch.Close("готово", "operator:a", noon),
		dispatch.Cancel("ошибка", "operator:a", noon),
		dispatch.AddSignal(dispatch.Signal{Account: "1", At: noon}),
		dispatch.MarkPublished(service, noon),
		dispatch.MarkUndeliverable(service, "too large", noon),
		says(service, rapid.SampledFrom(dispatch.AssignmentStates()).Draw(t, "to")),
	}).Draw(t, "decision")
}

// Whatever anybody asks for in whatever order: a refusal changes nothing, every
// change has an event, a draft has no services, nothing is assigned twice, and
// what ended stays ended.
func TestCardsHoldTheirInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := draft(t)
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			after, events, err := decisions(rt)(c)
			if err != nil {
				var move *dispatch.TransitionError
				var field *dispatch.FieldError
				known := errors.As(err, &move) || errors.As(err, &field) ||
					errors.Is(err, dispatch.ErrUnchanged) || errors.Is(err, dispatch.ErrNotFound)
				require.True(t, known, "%v", err)
				require.Empty(t, events)
				continue
			}
			require.NotEmpty(t, events)
			require.True(t, after.State.Valid())
			require.False(t, !c.State.Open() && after.State.Open(), "an ended card came back")
			if after.State == dispatch.Draft {
				require.Empty(t, after.Assignments)
			}
			require.Equal(t, !after.State.Open(), !after.ClosedAt.IsZero())
			seen := map[dispatch.Service]bool{}
			for _, a := range after.Assignments {
				require.False(t, seen[a.Service])
				seen[a.Service] = true
				require.NotEmpty(t, a.Why)
				if a.State == dispatch.Accepted || a.State == dispatch.Refused {
					require.False(t, a.DecidedAt.IsZero())
				}
			}
			c = after
		}
	})
}
