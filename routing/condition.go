package routing

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// maxCondition bounds a condition, and with it the time that it can take:
// without macros a condition has no loops.
const maxCondition = 4096

// condition checks and compiles one condition. The places of its faults are
// those of the YAML file, because scalar only lets a text through whose
// characters stand in the file one after the other.
func (c *compiler) condition(t text) cel.Program {
	if len(t.value) > maxCondition {
		c.add(t.at, "when is longer than %d bytes", maxCondition)
		return nil
	}
	parsed, issues := c.env.Parse(t.value)
	if c.issues(t, issues) || c.wordsOf(t, parsed) {
		return nil
	}
	checked, issues := c.env.Check(parsed)
	if c.issues(t, issues) {
		return nil
	}
	if checked.OutputType() != cel.BoolType {
		c.add(t.at, "when must be true or false, not %s", checked.OutputType())
		return nil
	}
	program, err := c.env.Program(checked, cel.EvalOptions(cel.OptPartialEval, cel.OptOptimize))
	if err != nil {
		c.add(t.at, "when: %v", err)
		return nil
	}
	return program
}

func (c *compiler) issues(t text, issues *cel.Issues) bool {
	if issues.Err() == nil {
		return false
	}
	for _, e := range issues.Errors() {
		c.add(place{t.at.line, t.at.column + max(e.Location.Column(), 0)}, "when: %s", e.Message)
	}
	return true
}

// wordsOf refuses what the type checker would let through or would say less
// plainly: words and facts that nobody declared, and values built on the spot.
func (c *compiler) wordsOf(t text, parsed *cel.Ast) bool {
	found := false
	info := parsed.NativeRep().SourceInfo()
	fault := func(column int, format string, args ...any) {
		found = true
		c.add(place{t.at.line, t.at.column + column}, format, args...)
	}
	ast.PreOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		column := max(info.GetStartLocation(e.ID()).Column(), 0)
		switch e.Kind() {
		case ast.StructKind:
			fault(column, "when: %s{…}: a condition looks at facts and makes none", e.AsStruct().TypeName())
		case ast.SelectKind:
			s := e.AsSelect()
			if s.Operand().Kind() != ast.IdentKind {
				return
			}
			// The place of a selection is its dot; people look for the word.
			column = wordAfterDot(t.value, column)
			space, field := s.Operand().AsIdent(), s.FieldName()
			words, declared := c.words[space]
			switch {
			case space == "incident" && !slices.Contains(factNames, field):
				fault(column, "when: unknown fact %s%s", field, meant(field, factNames))
			case declared && !slices.Contains(words, field):
				fault(column, "when: unknown %s %s%s", space, field, meant(field, words))
			}
		}
	}))
	return found
}

// wordAfterDot is the column of the first letter after the dot at column.
func wordAfterDot(source string, column int) int {
	runes := []rune(source)
	if column >= len(runes) || runes[column] != '.' {
		return column
	}
	for column++; column < len(runes) && unicode.IsSpace(runes[column]); column++ {
	}
	return column
}

// placeholders are what a sentence may fill in.
var placeholders = []string{"origin", "type", "class", "category", "district"}

// sentence checks the {…} of a sentence for people.
func (c *compiler) sentence(t text) {
	rest, column := t.value, t.at.column
	skip := func(n int) {
		column += utf8.RuneCountInString(rest[:n])
		rest = rest[n:]
	}
	for {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			return
		}
		skip(i)
		end := strings.IndexByte(rest, '}')
		if rest[0] == '}' || end < 0 {
			c.add(place{t.at.line, column}, "a lone %c", rest[0])
			return
		}
		if name := rest[1:end]; !slices.Contains(placeholders, name) {
			c.add(place{t.at.line, column + 1}, "unknown {%s}%s", name, meant(name, placeholders))
		}
		skip(end + 1)
	}
}
