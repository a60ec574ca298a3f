package routing

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// good is a ruleset; each fault below spoils it in one place.
const goodRules = `rules:
  - name: fire
    when: incident.class == class.fire
    services: [fire, gas]
    why: "Пожар: {type}"
`

const good = goodRules + `otherwise:
  name: rest
  services: [police]
  why: Прочее
`

func TestFaultsNameTheirPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, old, new string
		want           string // the faults, each «line:column: reason», by newline
	}{
		{"misspelt class", "class.fire", "class.fyre",
			"3:35: when: unknown class fyre; did you mean fire?"},
		{"misspelt fact", "incident.class", "incident.klass",
			"3:20: when: unknown fact klass; did you mean class?"},
		{"word of another vocabulary", "class.fire", "type.fire",
			"3:26: when: found no matching overload for '_==_' applied to '(class, type)'"},
		{"a string instead of a word", "class.fire", "'fire'",
			"3:26: when: found no matching overload for '_==_' applied to '(class, string)'"},
		{"unknown name", "incident.class", "accident.class",
			"3:11: when: undeclared reference to 'accident'"},
		{"position counts letters, not bytes", "incident.class == class.fire",
			"incident.district == 'Невский' && incident.klass == class.fire",
			"3:54: when: unknown fact klass; did you mean class?"},
		{"position inside quotes", "incident.class == class.fire", `"incident.klass == class.fire"`,
			"3:21: when: unknown fact klass; did you mean class?"},
		{"two at once", "incident.class == class.fire", "incident.klass == class.fyre",
			"3:20: when: unknown fact klass; did you mean class?\n3:35: when: unknown class fyre; did you mean fire?"},
		{"not a yes-or-no", "incident.class == class.fire", "incident.district",
			"3:11: when must be true or false, not string"},
		{"half a condition", "class.fire\n", "class.fire &&\n",
			"3:42: when: Syntax error: mismatched input '<EOF>'"},
		{"a loop", "incident.class == class.fire", "'[1].all(x, x > 0)'",
			"3:19: when: undeclared reference to 'all'\n3:20: when: undeclared reference to 'x'\n3:23: when: undeclared reference to 'x'"},
		{"a made-up value", "incident.class", "routing.facts{}.class",
			"3:24: when: routing.facts{…}: a condition looks at facts and makes none"},
		{"literal block", "when: incident.class == class.fire", "when: |\n      incident.klass == class.fire",
			"3:11: when must stand on one line: a block scalar (| or >) would make positions untrue"},
		{"folded block", "when: incident.class == class.fire", "when: >-\n      incident.class == class.fire",
			"3:11: when must stand on one line: a block scalar (| or >) would make positions untrue"},
		{"plain text over two lines", "incident.class == class.fire", "incident.class ==\n      class.fire",
			"3:11: when must stand on one line and without escapes, so that positions stay true"},
		{"escapes", "incident.class == class.fire", `"incident.district == \"x\""`,
			"3:11: when must stand on one line and without escapes, so that positions stay true"},
		{"not text", "incident.class == class.fire", "true",
			"3:11: when must be text; put it in quotes"},
		{"nothing", " incident.class == class.fire", "", "3:10: when must not be empty"},
		{"an alias", "incident.class == class.fire", "*x", "3:11: when must be text; put it in quotes"},
		{"unknown key of a rule", "    why:", "    whyy:",
			"2:5: a rule needs the key why\n5:5: unknown key whyy; did you mean why?"},
		{"unknown key of the set", "otherwise:", "othrwise:",
			"1:1: no catch-all: the key otherwise must say who gets an incident that no rule knows\n" +
				"6:1: unknown key othrwise; did you mean otherwise?"},
		{"a catch-all with a condition", "  name: rest", "  when: 'true'\n  name: rest",
			"7:3: unknown key when; known are name, services, why, why_en"},
		{"key twice", "    why:", "    name: b\n    why:",
			`5:5: not YAML: mapping key "name" already defined at [2:5]`},
		{"unknown service", "gas]", "gass]", "4:22: unknown service gass; did you mean gas?"},
		{"service twice", "gas]", "fire]", "4:22: service fire is there twice"},
		{"no service", "[fire, gas]", "[]", "4:15: services must not be empty"},
		{"services no list", "[fire, gas]", "fire", "4:15: services must be a list"},
		{"a name nobody can type", "name: fire", "name: Пожар",
			`2:11: name "Пожар": use up to 64 small Latin letters, digits, - and _`},
		{"a name twice", "name: rest", "name: fire", "7:9: a rule named fire is there already"},
		{"unknown placeholder", "{type}", "{tipe}", "5:19: unknown {tipe}; did you mean type?"},
		{"lone brace", "{type}", "{type", "5:18: a lone {"},
		{"not YAML", "[fire, gas]", "[fire, gas", "5:5: not YAML: "},
		{"rules no list", goodRules, "rules: none\n", "1:8: rules must be a list"},
		{"no rules", goodRules, "", "1:1: no rules"},
		{"empty", good, "", "1:1: empty; a ruleset has the keys rules and otherwise"},
		{"no mapping", good, "- a", "1:1: a ruleset must be a mapping with the keys rules, otherwise"},
		{"two documents", "  why: Прочее\n", "  why: Прочее\n---\na: 1\n", "11:1: a second document; a ruleset is one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, good, c.old)
			body := strings.Replace(good, c.old, c.new, 1)
			_, err := Compile("rules.yaml", []byte(body), DefaultVocabulary())
			var faults *FaultsError
			require.ErrorAs(t, err, &faults, body)
			got := strings.Split(err.Error(), "\n")
			want := strings.Split(c.want, "\n")
			require.Len(t, got, len(want), err.Error())
			for i := range want {
				require.True(t, strings.HasPrefix(got[i], "rules.yaml:"+want[i]), "want %s\ngot  %s", want[i], got[i])
			}
		})
	}
}

func TestGoodRulesetKeepsItsText(t *testing.T) {
	t.Parallel()
	set, err := Compile("rules.yaml", []byte(good), DefaultVocabulary())
	require.NoError(t, err)
	require.Equal(t, good, string(set.Body))
	require.Equal(t, "rest", set.Otherwise.Name)
	require.Equal(t, 7, set.WithNumber(7).Number)
	require.Zero(t, set.Number, "WithNumber must leave the original alone")
}

// Quoting a condition changes neither what it means nor where its faults are.
func TestQuotedConditions(t *testing.T) {
	t.Parallel()
	for _, quoted := range []string{
		`"incident.district == 'Невский'"`, `'incident.district == "Невский"'`, `incident.district == 'Невский'`,
	} {
		body := strings.Replace(good, "incident.class == class.fire", quoted, 1)
		_, err := Compile("rules.yaml", []byte(body), DefaultVocabulary())
		require.NoError(t, err, quoted)
	}
}

// Whatever the text, Compile answers with faults that have a place inside it,
// or with a set that has a catch-all.
func FuzzCompile(f *testing.F) {
	f.Add(good)
	f.Add(string(Default))
	f.Add("rules:\n - {name: a, when: 'a', services: [fire], why: b}")
	f.Add("a: &x [*x]")
	v := DefaultVocabulary()
	f.Fuzz(func(t *testing.T, body string) {
		set, err := Compile("f", []byte(body), v)
		if err != nil {
			var faults *FaultsError
			require.ErrorAs(t, err, &faults)
			for _, x := range faults.Faults {
				require.Positive(t, x.Line)
				require.Positive(t, x.Column)
			}
			return
		}
		require.NotEmpty(t, set.Otherwise.Services)
		for _, r := range set.Rules {
			require.NotNil(t, r.program)
			require.NotEmpty(t, r.Services)
		}
	})
}
