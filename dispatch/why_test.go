package dispatch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nabat/dispatch"
)

// inBoth is a router whose rule has its sentence in both languages.
type inBoth struct{}

func (inBoth) Decide(dispatch.Facts) dispatch.Decision {
	return dispatch.Decision{Ruleset: 3, Choices: []dispatch.Choice{
		{Service: dispatch.Fire, Rule: "fire", Why: "горит", WhyEN: "it burns"},
		{Service: dispatch.Police, Rule: "old", Why: "так"},
	}}
}

func TestReasonReachesTheCardInBothLanguages(t *testing.T) {
	t.Parallel()
	c, events, err := dispatch.SendForm(dispatch.Form{Type: new(dispatch.TypeFire), Place: new("тут")}, inBoth{}, "operator:a", noon)(draft(t))
	require.NoError(t, err)
	fire, _ := c.Assignment(dispatch.Fire)
	require.Equal(t, []string{"горит", "it burns"}, []string{fire.Why, fire.WhyEN})
	police, _ := c.Assignment(dispatch.Police)
	require.Equal(t, []string{"так", ""}, []string{police.Why, police.WhyEN})
	told := map[dispatch.Service]string{}
	for _, e := range events {
		if e.Kind == dispatch.EventAssigned {
			d, err := e.Details()
			require.NoError(t, err)
			told[d.Service] = d.WhyEN
		}
	}
	require.Equal(t, map[dispatch.Service]string{dispatch.Fire: "it burns", dispatch.Police: ""}, told)
}
