package routing

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"regexp"
	"slices"

	"cel.dev/cel-go/cel"
	"github.com/goccy/go-yaml/ast"

	"nabat/dispatch"
)

// Rule is one line of the matrix.
type Rule struct {
	Name     string
	When     string // CEL; empty for the catch-all
	Services []dispatch.Service
	Why      string // shown to people, with {type}, {class}, … filled in
	WhyEN    string // the same in English; may be missing

	program cel.Program // nil for the catch-all
}

// Ruleset is a checked, compiled set of rules. It never changes, so any number
// of goroutines may ask it.
type Ruleset struct {
	// Number is given when the set is published; 0 before that.
	Number int
	// Body is the YAML text, SHA its SHA-256.
	Body []byte
	SHA  [32]byte

	Rules     []Rule
	Otherwise Rule
}

// Default is the demo city's ruleset.
//
//go:embed default.yaml
var Default []byte

// WithNumber is the same set under the number it was published with.
func (s *Ruleset) WithNumber(n int) *Ruleset {
	numbered := *s
	numbered.Number = n
	return &numbered
}

// Compile reads and checks a ruleset; file only names it in messages. The error
// is a *FaultsError with every mistake that was found.
func Compile(file string, body []byte, v Vocabulary) (*Ruleset, error) {
	env, err := environment(v)
	if err != nil {
		return nil, fmt.Errorf("declare the words of rules: %w", err)
	}
	c := &compiler{
		reader: reader{faults: &faults{file: file}},
		env:    env, words: vocabularies(v), services: v.Services,
		names: map[string]bool{},
	}
	set := &Ruleset{Body: slices.Clone(body), SHA: sha256.Sum256(body)}
	if root, ok := c.parse(body); ok {
		c.ruleset(root, set)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	return set, nil
}

// compiler turns the YAML tree into rules.
type compiler struct {
	reader
	env      *cel.Env
	words    map[string][]string
	services []dispatch.Service
	names    map[string]bool
}

func (c *compiler) ruleset(root ast.Node, set *Ruleset) {
	entries, ok := c.mapping(root, "a ruleset", "rules", "otherwise")
	if !ok {
		return
	}
	var rules, otherwise bool
	for _, e := range entries {
		switch e.key.value {
		case "rules":
			rules = true
			for _, n := range c.sequence(e.value, "rules") {
				set.Rules = append(set.Rules, c.rule(n, false))
			}
		case "otherwise":
			otherwise = true
			set.Otherwise = c.rule(e.value, true)
		}
	}
	if !rules {
		c.add(where(root), "no rules")
	}
	if !otherwise {
		c.add(where(root), "no catch-all: the key otherwise must say who gets an incident that no rule knows")
	}
}

// rule reads one rule; the catch-all is a rule without a condition.
func (c *compiler) rule(n ast.Node, catchAll bool) Rule {
	what, keys, must := "a rule", []string{"name", "when", "services", "why", "why_en"}, 4
	if catchAll {
		what, keys, must = "the catch-all", []string{"name", "services", "why", "why_en"}, 3
	}
	var r Rule
	entries, ok := c.mapping(n, what, keys...)
	if !ok {
		return r
	}
	missing := slices.Clone(keys[:must])
	for _, e := range entries {
		missing = slices.DeleteFunc(missing, func(k string) bool { return k == e.key.value })
		if e.key.value == "services" {
			r.Services = c.serviceList(e.value)
			continue
		}
		t, ok := c.scalar(e.value, e.key.value)
		if !ok {
			continue
		}
		switch e.key.value {
		case "name":
			r.Name = c.name(t)
		case "when":
			r.When = t.value
			r.program = c.condition(t)
		case "why":
			r.Why = t.value
			c.sentence(t)
		case "why_en":
			r.WhyEN = t.value
			c.sentence(t)
		}
	}
	for _, k := range missing {
		c.add(where(n), "%s needs the key %s", what, k)
	}
	return r
}

var ruleName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

func (c *compiler) name(t text) string {
	switch {
	case !ruleName.MatchString(t.value):
		c.add(t.at, "name %q: use up to 64 small Latin letters, digits, - and _", t.value)
	case c.names[t.value]:
		c.add(t.at, "a rule named %s is there already", t.value)
	}
	c.names[t.value] = true
	return t.value
}

func (c *compiler) serviceList(n ast.Node) []dispatch.Service {
	known := make([]string, len(c.services))
	for i, s := range c.services {
		known[i] = string(s)
	}
	var out []dispatch.Service
	for _, n := range c.sequence(n, "services") {
		t, ok := c.scalar(n, "a service")
		if !ok {
			continue
		}
		s := dispatch.Service(t.value)
		switch {
		case !slices.Contains(known, t.value):
			c.add(t.at, "unknown service %s%s", t.value, meant(t.value, known))
		case slices.Contains(out, s):
			c.add(t.at, "service %s is there twice", t.value)
		default:
			out = append(out, s)
		}
	}
	return out
}
