package routing

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxRuleset bounds a ruleset's text. A city's matrix is some tens of kilobytes.
const maxRuleset = 1 << 20

// text is a scalar of the YAML file and the place of its first character.
type text struct {
	value string
	at    place
}

// entry is one key of a mapping.
type entry struct {
	key   text
	value ast.Node
}

// reader walks the YAML tree of a ruleset and gathers faults.
type reader struct {
	*faults
	lines [][]rune
}

// parse reads the YAML text. The library reports syntax errors with a token; a
// panic inside it on hostile input is one more way of saying «not YAML».
func (r *reader) parse(body []byte) (root ast.Node, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			r.add(place{1, 1}, "not YAML: %v", p)
			root, ok = nil, false
		}
	}()
	if len(body) > maxRuleset {
		r.add(place{1, 1}, "longer than %d bytes", maxRuleset)
		return nil, false
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // some editors put it there
	for line := range strings.SplitSeq(string(body), "\n") {
		r.lines = append(r.lines, []rune(line))
	}
	file, err := parser.ParseBytes(body, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil && syntax.GetToken().Position != nil {
			p := syntax.GetToken().Position
			r.add(place{max(p.Line, 1), max(p.Column, 1)}, "not YAML: %s", syntax.GetMessage())
		} else {
			r.add(place{1, 1}, "not YAML: %v", err)
		}
		return nil, false
	}
	for i, d := range file.Docs {
		if i > 0 && d.Body != nil {
			r.add(where(d.Body), "a second document; a ruleset is one")
			return nil, false
		}
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		r.add(place{1, 1}, "empty; a ruleset has the keys rules and otherwise")
		return nil, false
	}
	return file.Docs[0].Body, true
}

// where is the first character of a node.
func where(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 && n.Start != nil && n.Start.Value != "{" {
			return where(n.Values[0])
		}
	case *ast.MappingValueNode:
		return where(n.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return place{max(t.Position.Line, 1), max(t.Position.Column, 1)}
	}
	return place{1, 1}
}

// mapping lists a mapping's entries in their order; keys that are not among the
// allowed ones are faults and left out.
func (r *reader) mapping(n ast.Node, what string, allowed ...string) ([]entry, bool) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		r.add(where(n), "%s must be a mapping with the keys %s", what, strings.Join(allowed, ", "))
		return nil, false
	}
	var out []entry
	seen := map[string]bool{}
	for _, v := range values {
		key, isText := v.Key.(*ast.StringNode)
		if !isText {
			r.add(where(v.Key), "a key must be a plain word")
			continue
		}
		at := where(key)
		switch {
		case !slices.Contains(allowed, key.Value):
			r.add(at, "unknown key %s%s", key.Value, meant(key.Value, allowed))
		case seen[key.Value]:
			r.add(at, "key %s is there twice", key.Value)
		default:
			seen[key.Value] = true
			out = append(out, entry{text{key.Value, at}, v.Value})
		}
	}
	return out, true
}

// sequence lists a sequence's elements.
func (r *reader) sequence(n ast.Node, what string) []ast.Node {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.add(where(n), "%s must be a list", what)
		return nil
	}
	if len(s.Values) == 0 {
		r.add(where(n), "%s must not be empty", what)
	}
	return s.Values
}

// scalar reads a one-line text. Anything that would make the positions inside it
// differ from those of the file is refused: block scalars, line breaks, escapes.
func (r *reader) scalar(n ast.Node, what string) (text, bool) {
	at := where(n)
	switch n := n.(type) {
	case *ast.LiteralNode:
		r.add(at, "%s must stand on one line: a block scalar (| or >) would make positions untrue", what)
		return text{}, false
	case *ast.StringNode:
		if strings.TrimSpace(n.Value) == "" {
			r.add(at, "%s must not be empty", what)
			return text{}, false
		}
		value := []rune(n.Value)
		if r.stands(value, at) {
			return text{n.Value, at}, true
		}
		for _, quote := range []string{`"`, `'`} {
			if r.stands([]rune(quote+n.Value+quote), at) {
				return text{n.Value, place{at.line, at.column + 1}}, true
			}
		}
		r.add(at, "%s must stand on one line and without escapes, so that positions stay true", what)
		return text{}, false
	case *ast.NullNode:
		r.add(at, "%s must not be empty", what)
		return text{}, false
	default:
		r.add(at, "%s must be text; put it in quotes", what)
		return text{}, false
	}
}

// stands tells whether exactly this text is in the file at this place.
func (r *reader) stands(value []rune, at place) bool {
	if at.line > len(r.lines) {
		return false
	}
	line := r.lines[at.line-1]
	from := at.column - 1
	return from >= 0 && from+len(value) <= len(line) && string(line[from:from+len(value)]) == string(value)
}
