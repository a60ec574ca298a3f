package routing

import (
	"strings"
	"sync"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"

	"nabat/dispatch"
)

func compile(t testing.TB, body string) *Ruleset {
	t.Helper()
	set, err := Compile("test.yaml", []byte(body), DefaultVocabulary())
	require.NoError(t, err)
	return set
}

func services(d dispatch.Decision) string {
	var out []string
	for _, c := range d.Choices {
		out = append(out, string(c.Service))
	}
	return strings.Join(out, " ")
}

// The demo's rules, by the point 10 and the classifier.
func TestDefaultRules(t *testing.T) {
	t.Parallel()
	set := compile(t, string(Default)).WithNumber(4)
	alarm := func(class string) dispatch.Facts {
		return dispatch.Facts{Origin: dispatch.OriginAlarm, Class: class, Category: "education", KnownFacility: true}
	}
	card := func(t dispatch.Type) dispatch.Facts { return dispatch.Facts{Origin: dispatch.OriginCall, Type: t} }
	for _, c := range []struct {
		facts dispatch.Facts
		want  string
		rule  string
	}{
		{alarm("fire"), "fire", "fire"},
		{alarm("panic"), "police", "panic"},
		{alarm("duress"), "police", "panic"},
		{alarm("intrusion"), "police", "intrusion"},
		{alarm("gas"), "gas fire", "gas"},
		{alarm("co"), "gas fire medical", "carbon-monoxide"},
		{alarm("medical"), "medical", "medical"},
		{alarm("something new"), "police", "catch-all"},
		{card(dispatch.TypeFire), "fire", "fire"},
		{card(dispatch.TypeGas), "gas fire", "gas"},
		{card(dispatch.TypeExplosion), "fire police medical gas", "explosion"},
		{card(dispatch.TypeRoadAccident), "police medical", "road-accident"},
		{card(dispatch.TypeMedical), "medical", "medical"},
		{card(dispatch.TypeCrime), "police", "crime"},
		{card(dispatch.TypePanic), "police", "panic"},
		{card(dispatch.TypeIntrusion), "police", "intrusion"},
		{card(dispatch.TypePersonInDanger), "fire medical police", "person-in-danger"},
		{card(dispatch.TypeUtility), "gas", "utility"},
		{card(dispatch.TypePublicOrder), "police", "public-order"},
		{card(dispatch.TypeOther), "police", "catch-all"},
		{dispatch.Facts{}, "police", "catch-all"},
		{dispatch.Facts{Origin: dispatch.OriginECall, Type: dispatch.TypeFire}, "fire police medical", "fire"},
		{dispatch.Facts{Origin: dispatch.OriginAlarm, Class: "co", Type: dispatch.TypeGas}, "gas fire medical", "carbon-monoxide"},
		// An alarm carries both: the union has no service twice.
		{dispatch.Facts{Origin: dispatch.OriginAlarm, Class: "gas", Type: dispatch.TypeGas}, "gas fire", "gas"},
	} {
		d := set.Decide(c.facts)
		require.Equal(t, c.want, services(d), "%+v", c.facts)
		require.Equal(t, c.rule, d.Choices[0].Rule, "%+v", c.facts)
		require.Equal(t, 4, d.Ruleset)
		for _, ch := range d.Choices {
			require.NotEmpty(t, ch.Why)
		}
	}
}

const matrix = `rules:
  - {name: not-fire, when: incident.class != class.fire, services: [gas], why: "{class}", why_en: "Because of {class}"}
  - {name: north, when: "incident.type == type.gas && incident.district == 'Север'", services: [fire, gas], why: "{type}, {district}, {category}, {origin}", why_en: "{type}, {district}, {category}, {origin}"}
  - {name: any-type, when: incident.type == type.gas || incident.class == class.gas, services: [medical], why: w}
otherwise: {name: rest, services: [police], why: "Прочее: {class}"}
`

// A fact that is not known must never look like a zero: «not fire» is not true
// of an alarm whose class nobody knows.
func TestUnknownFactsDoNotMatch(t *testing.T) {
	t.Parallel()
	set := compile(t, matrix)
	d, verdicts := set.Explain(dispatch.Facts{Origin: dispatch.OriginCall})
	require.Equal(t, "police", services(d))
	require.Equal(t, "Прочее: не известно", d.Choices[0].Why)
	require.Equal(t, []Verdict{
		{Rule: "not-fire", Match: Unknown, Missing: []string{"class"}},
		{Rule: "north", Match: Unknown, Missing: []string{"type", "district"}},
		{Rule: "any-type", Match: Unknown, Missing: []string{"type", "class"}},
		{Rule: "rest", Match: Matched},
	}, verdicts)

	// What is known decides as far as it can.
	d, verdicts = set.Explain(dispatch.Facts{Type: dispatch.TypeGas})
	require.Equal(t, "medical", services(d))
	require.Equal(t, Unknown, verdicts[0].Match)
	require.Equal(t, []string{"district"}, verdicts[1].Missing)
	require.Equal(t, Not, verdicts[3].Match)
}

func TestUnionKeepsTheFirstReason(t *testing.T) {
	t.Parallel()
	set := compile(t, matrix)
	d := set.Decide(dispatch.Facts{Origin: dispatch.OriginSMS, Type: dispatch.TypeGas, Class: "gas", District: "Север"})
	require.Equal(t, []dispatch.Choice{
		{Service: dispatch.Gas, Rule: "not-fire", Why: "газ", WhyEN: "Because of gas"},
		{Service: dispatch.Fire, Rule: "north", Why: "Запах газа, загазованность, Север, не известно, СМС",
			WhyEN: "Gas, carbon monoxide, Север, not known, text message"},
		{Service: dispatch.Medical, Rule: "any-type", Why: "w"},
	}, d.Choices)
}

type panicking struct{ cel.Program }

func (panicking) Eval(any) (out ref.Val, d *cel.EvalDetails, err error) { panic("inside a rule") }

// A rule that divides by zero, and one that panics, cost nobody a service: the
// others still count, the catch-all comes besides, people hear of it once.
func TestFailedRuleBringsTheCatchAll(t *testing.T) {
	t.Parallel()
	set := compile(t, `rules:
  - {name: broken, when: 1 / incident.district.size() == 1 || 1 / 0 == 1, services: [gas], why: w}
  - {name: worse, when: "true", services: [gas], why: w}
  - {name: fire, when: incident.class == class.fire, services: [fire], why: w}
otherwise: {name: rest, services: [police], why: w}
`)
	set.Rules[1].program = panicking{}
	core, logs := observer.New(zapcore.InfoLevel)
	reg := prometheus.NewPedanticRegistry()
	h := NewHolder(set, zap.New(core), reg)
	for range 3 {
		require.Equal(t, "fire police", services(h.Decide(dispatch.Facts{Class: "fire", District: "дд"})))
	}
	require.Equal(t, 2, logs.Len(), "one line per broken rule")
	require.InDelta(t, 3, testutil.ToFloat64(h.failed.WithLabelValues("broken")), 0)
	require.InDelta(t, 3, testutil.ToFloat64(h.failed.WithLabelValues("worse")), 0)

	h.Replace(compile(t, matrix).WithNumber(2))
	require.Equal(t, 2, h.Ruleset().Number)
	require.Equal(t, 2, h.Decide(dispatch.Facts{}).Ruleset)
}

func drawFacts(t *rapid.T) dispatch.Facts {
	types := []dispatch.Type{"", "nonsense"}
	for _, n := range dispatch.Types() {
		types = append(types, n.Type)
	}
	return dispatch.Facts{
		Origin:        rapid.SampledFrom(append([]dispatch.Origin{""}, origins...)).Draw(t, "origin"),
		Type:          rapid.SampledFrom(types).Draw(t, "type"),
		Class:         rapid.SampledFrom(append([]string{"", "nonsense"}, Classes()...)).Draw(t, "class"),
		Category:      rapid.SampledFrom(append([]string{""}, categories...)).Draw(t, "category"),
		District:      rapid.SampledFrom([]string{"", "Север"}).Draw(t, "district"),
		KnownFacility: rapid.Bool().Draw(t, "known"),
	}
}

// Laws of every decision: somebody is chosen, nobody twice, by a service of the
// vocabulary and with a reason; asking again gives the same; what Explain says
// is what Decide did; to learn a fact never takes a matched rule away.
func TestDecisionLaws(t *testing.T) {
	t.Parallel()
	for _, set := range []*Ruleset{compile(t, string(Default)), compile(t, matrix)} {
		rapid.Check(t, func(t *rapid.T) {
			f := drawFacts(t)
			d, verdicts := set.Explain(f)
			require.Equal(t, d, set.Decide(f))
			require.NotEmpty(t, d.Choices)
			seen := map[dispatch.Service]bool{}
			for _, c := range d.Choices {
				require.False(t, seen[c.Service], "%s twice", c.Service)
				seen[c.Service] = true
				require.True(t, c.Service.Valid())
				require.NotEmpty(t, c.Why)
				require.NotContains(t, c.Why, "{")
			}
			matched := 0
			for i, v := range verdicts {
				require.NotEqual(t, Failed, v.Match, "%v", v.Err)
				require.Equal(t, v.Match == Unknown, len(v.Missing) > 0, "%+v", v)
				if v.Match == Matched && i < len(set.Rules) {
					matched++
					for _, s := range set.Rules[i].Services {
						require.True(t, seen[s])
					}
				}
			}
			require.Equal(t, matched == 0, verdicts[len(verdicts)-1].Match == Matched)

			learned := f
			other := drawFacts(t)
			if learned.Class == "" {
				learned.Class = other.Class
			}
			if learned.Type == "" {
				learned.Type = other.Type
			}
			if learned.District == "" {
				learned.District = other.District
			}
			_, after := set.Explain(learned)
			for i := range set.Rules {
				if verdicts[i].Match != Unknown {
					require.Equal(t, verdicts[i].Match, after[i].Match, "rule %s", verdicts[i].Rule)
				}
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	set := compile(b, string(Default))
	f := dispatch.Facts{Origin: dispatch.OriginAlarm, Class: "fire", Type: dispatch.TypeFire, Category: "education"}
	b.ReportAllocs()
	for b.Loop() {
		set.Decide(f)
	}
}

// Decisions go on, on all processors, while rulesets are replaced.
func TestReplacingWhileDeciding(t *testing.T) {
	t.Parallel()
	sets := []*Ruleset{compile(t, string(Default)).WithNumber(1), compile(t, matrix).WithNumber(2)}
	h := NewHolder(sets[0], zap.NewNop(), nil)
	facts := dispatch.Facts{Type: dispatch.TypeGas, Class: "gas", District: "Север"}
	want := map[int]string{1: services(sets[0].Decide(facts)), 2: services(sets[1].Decide(facts))}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 300 {
				if i == 0 {
					h.Replace(sets[j%2])
				}
				d := h.Decide(facts)
				if want[d.Ruleset] != services(d) {
					t.Errorf("ruleset %d chose %s", d.Ruleset, services(d))
				}
			}
		})
	}
	wg.Wait()
}
