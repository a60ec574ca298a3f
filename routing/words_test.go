package routing

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The classes that rules may name are those of package alarms, which this one
// must not import: a new class there must be added here.
func TestClassesAreThoseOfAlarms(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../alarms/words.go", nil, 0)
	require.NoError(t, err)
	var want []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Class" {
			return true
		}
		for _, v := range spec.Values {
			word, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			require.NoError(t, err)
			want = append(want, word)
		}
		return true
	})
	require.NotEmpty(t, want)
	require.ElementsMatch(t, want, Classes())
}
