package routing

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/common/types"

	"nabat/dispatch"
)

// Match is what a rule says about an incident.
type Match string

// The four answers.
const (
	Matched Match = "matched"
	Not     Match = "not"
	Unknown Match = "unknown" // it hangs on facts that are not known: not matched
	Failed  Match = "failed"  // it could not be evaluated: the catch-all applies besides
)

// Verdict is one rule's answer and its reason.
type Verdict struct {
	Rule    string
	Match   Match
	Missing []string // facts on which an unknown answer hangs
	Err     error    // of a failed one
}

// Decide chooses services: those of every rule that matches, each with the
// reason of the first rule that names it. The catch-all adds its own when no
// rule matched or when one failed. The answer is never empty.
func (s *Ruleset) Decide(f dispatch.Facts) dispatch.Decision {
	d, _ := s.decide(f, false)
	return d
}

// Explain tells what every rule said, in the order of the set; the catch-all is
// last and Matched if it applied.
func (s *Ruleset) Explain(f dispatch.Facts) (dispatch.Decision, []Verdict) {
	return s.decide(f, true)
}

// decide gives all verdicts, or without all only the failed ones, which are
// what a running system must hear about.
func (s *Ruleset) decide(f dispatch.Facts, all bool) (dispatch.Decision, []Verdict) {
	in := situationOf(f)
	d := dispatch.Decision{Ruleset: s.Number}
	var verdicts []Verdict
	matched, failed := false, false
	for i := range s.Rules {
		r := &s.Rules[i]
		v := r.ask(in)
		switch v.Match {
		case Matched:
			matched = true
			d.Choices = r.choose(d.Choices, f)
		case Failed:
			failed = true
		case Not, Unknown:
		}
		if all || v.Match == Failed {
			verdicts = append(verdicts, v)
		}
	}
	catchAll := Verdict{Rule: s.Otherwise.Name, Match: Not}
	if !matched || failed {
		catchAll.Match = Matched
		d.Choices = s.Otherwise.choose(d.Choices, f)
	}
	if all {
		verdicts = append(verdicts, catchAll)
	}
	return d, verdicts
}

// ask evaluates the condition. A panic stops here: one bad rule must not cost
// a signal its services.
func (r *Rule) ask(in *situation) (v Verdict) {
	v = Verdict{Rule: r.Name, Match: Failed}
	defer func() {
		if p := recover(); p != nil {
			v = Verdict{Rule: r.Name, Match: Failed, Err: fmt.Errorf("rule %s panicked: %v", r.Name, p)}
		}
	}()
	out, _, err := r.program.Eval(in)
	if err != nil {
		v.Err = fmt.Errorf("rule %s: %w", r.Name, err)
		return v
	}
	switch out := out.(type) {
	case types.Bool:
		v.Match = Not
		if out {
			v.Match = Matched
		}
	case *types.Unknown:
		v.Match = Unknown
		v.Missing = missing(out, in)
	default:
		v.Err = fmt.Errorf("rule %s answered %v", r.Name, out)
	}
	return v
}

// missing names the facts on which an unknown answer hangs, in their order.
func missing(u *types.Unknown, in *situation) []string {
	hangs := map[string]bool{}
	for _, id := range u.IDs() {
		trails, _ := u.GetAttributeTrails(id)
		for _, trail := range trails {
			if path := trail.QualifierPath(); len(path) > 0 {
				hangs[fmt.Sprint(path[0])] = true
			}
		}
	}
	var out []string
	for _, name := range in.missing {
		if hangs[name] {
			out = append(out, name)
		}
	}
	return out
}

// choose adds the rule's services that are not chosen yet.
func (r *Rule) choose(choices []dispatch.Choice, f dispatch.Facts) []dispatch.Choice {
	why, whyEN := "", ""
next:
	for _, s := range r.Services {
		for _, c := range choices {
			if c.Service == s {
				continue next
			}
		}
		if why == "" {
			why, whyEN = russian.fill(r.Why, f), english.fill(r.WhyEN, f)
		}
		choices = append(choices, dispatch.Choice{Service: s, Rule: r.Name, Why: why, WhyEN: whyEN})
	}
	return choices
}

// fill puts the names of facts into a sentence of this language.
func (l language) fill(sentence string, f dispatch.Facts) string {
	if !strings.Contains(sentence, "{") {
		return sentence
	}
	return strings.NewReplacer(
		"{origin}", l.named(string(f.Origin), l.origins[string(f.Origin)]),
		"{type}", l.named(string(f.Type), l.typeName(string(f.Type))),
		"{class}", l.named(f.Class, l.classes[f.Class]),
		"{category}", l.named(f.Category, l.categories[f.Category]),
		"{district}", l.named(f.District, f.District),
	).Replace(sentence)
}

func (l language) named(word, name string) string {
	switch {
	case word == "":
		return l.notKnown
	case name == "":
		return word
	}
	return name
}

func (l language) typeName(t string) string {
	for _, n := range dispatch.Types() {
		if string(n.Type) == t {
			return l.ofType(n)
		}
	}
	return t
}
