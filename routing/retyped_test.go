package routing

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/dispatch"
)

// An alarm's card that opened by itself goes by its class; once an operator has
// sent it with another type, the type decides; sent with its own type, the class
// still says more.
func TestTypeOrClass(t *testing.T) {
	t.Parallel()
	set, err := Compile("default.yaml", Default, DefaultVocabulary())
	require.NoError(t, err)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	open := func(class string, typ dispatch.Type, site dispatch.Site) dispatch.Card {
		c, _, err := dispatch.OpenFromAlarm(dispatch.Signal{Account: "1234", Class: class, At: at}, typ, "", site, set)(dispatch.Card{})
		require.NoError(t, err)
		return c
	}
	send := func(c dispatch.Card, typ dispatch.Type) dispatch.Card {
		c, _, err := dispatch.SendForm(dispatch.Form{Type: new(typ), Place: new("здесь")}, set, "operator:o", at)(c)
		require.NoError(t, err)
		return c
	}
	services := func(c dispatch.Card) (out []dispatch.Service) {
		for _, a := range c.Assignments {
			out = append(out, a.Service)
		}
		return out
	}
	known := dispatch.Site{Facility: dispatch.NewFacilityID(), Category: "education"}
	unknown := dispatch.Site{}

	byItself := open("co", dispatch.TypeGas, known)
	require.ElementsMatch(t, []dispatch.Service{dispatch.Gas, dispatch.Fire, dispatch.Medical}, services(byItself))

	draft := open("fire", dispatch.TypeFire, unknown)
	require.Empty(t, services(draft))
	require.Equal(t, []dispatch.Service{dispatch.Police}, services(send(draft, dispatch.TypeCrime)), "not fire: a person has looked")
	saved, _, err := dispatch.SaveDraft(dispatch.Form{Type: new(dispatch.TypeCrime)}, "operator:o", at)(draft)
	require.NoError(t, err)
	require.Equal(t, []dispatch.Service{dispatch.Police}, services(send(saved, dispatch.TypeCrime)))
	require.Equal(t, []dispatch.Service{dispatch.Fire}, services(send(draft, dispatch.TypeFire)))
	require.ElementsMatch(t, []dispatch.Service{dispatch.Gas, dispatch.Fire, dispatch.Medical},
		services(send(open("co", dispatch.TypeGas, unknown), dispatch.TypeGas)))

	// What has gone out stays out; what is new is chosen by the new type.
	retyped := send(open("fire", dispatch.TypeFire, known), dispatch.TypeCrime)
	require.ElementsMatch(t, []dispatch.Service{dispatch.Fire, dispatch.Police}, services(retyped))
	a, _ := retyped.Assignment(dispatch.Police)
	require.Equal(t, "crime", a.Rule)
	require.Empty(t, retyped.Facts().Class)
	require.Equal(t, "fire", retyped.Class, "the card remembers")
}

// A mark that some editors put at the start of a file is no part of the rules,
// and moves no position.
func TestAByteOrderMarkIsAccepted(t *testing.T) {
	t.Parallel()
	set, err := Compile("marked.yaml", append([]byte("\ufeff"), Default...), DefaultVocabulary())
	require.NoError(t, err)
	require.NotEmpty(t, set.Rules)
	for _, body := range []string{"\ufeffroules: []\n", "roules: []\n"} {
		_, err = Compile("x.yaml", []byte(body), DefaultVocabulary())
		require.ErrorContains(t, err, "x.yaml:1:1: unknown key roules")
	}
}
