package config

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// FileError says where in the file what is wrong.
type FileError struct {
	File         string
	Line, Column int
	Reason       string
}

func (e *FileError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Reason)
}

// File is a configuration file that was read and whose every key and value is
// known to be good. It resolves what neither the command line nor the
// environment has set.
type File struct {
	path   string
	values map[string]entry // by flag name
	used   map[string]bool  // flags that took the file's value
}

// entry is a value and where it stands.
type entry struct {
	text         string
	line, column int
}

// Load reads a file, in which every flag of the command tree may stand but
// help and the file's own name. An error holds every fault, each a *FileError.
func Load(path string, tree *kong.Node) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text, keys(tree))
}

func parse(path string, text []byte, known map[string]*kong.Flag) (*File, error) {
	doc, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, malformed(path, err)
	}
	r := reader{path: path, known: known, values: map[string]entry{}}
	for _, d := range doc.Docs {
		if d.Body != nil {
			r.walk(d.Body, nil)
		}
	}
	return &File{path: path, values: r.values, used: map[string]bool{}}, errors.Join(r.faults...)
}

// malformed is the YAML library's complaint with our way of saying where.
func malformed(path string, err error) error {
	if y, ok := errors.AsType[yaml.Error](err); ok && y.GetToken() != nil {
		pos := y.GetToken().Position
		return &FileError{File: path, Line: pos.Line, Column: pos.Column, Reason: y.GetMessage()}
	}
	return fmt.Errorf("%s: %w", path, err)
}

// keys is the set of flags that a file may hold, by name. Commands that share a
// flag's name share its meaning.
func keys(tree *kong.Node) map[string]*kong.Flag {
	out := map[string]*kong.Flag{}
	for f := range flags(tree) {
		if f.Name != "help" && f.Name != "config" && out[f.Name] == nil {
			out[f.Name] = f
		}
	}
	return out
}

// flags walks over those of a command and of all below it.
func flags(n *kong.Node) iter.Seq[*kong.Flag] {
	return func(yield func(*kong.Flag) bool) {
		for _, f := range n.Flags {
			if !yield(f) {
				return
			}
		}
		for _, child := range n.Children {
			for f := range flags(child) {
				if !yield(f) {
					return
				}
			}
		}
	}
}

type reader struct {
	path   string
	known  map[string]*kong.Flag
	values map[string]entry
	faults []error
}

func (r *reader) fault(n ast.Node, format string, args ...any) {
	pos := n.GetToken().Position
	r.faults = append(r.faults, &FileError{File: r.path, Line: pos.Line, Column: pos.Column, Reason: fmt.Sprintf(format, args...)})
}

func (r *reader) walk(n ast.Node, at []string) {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			r.pair(v, at)
		}
	case *ast.MappingValueNode:
		r.pair(n, at)
	case *ast.CommentGroupNode:
	default:
		r.fault(n, "expected keys and values here")
	}
}

func (r *reader) pair(v *ast.MappingValueNode, at []string) {
	key := append(slices.Clone(at), v.Key.GetToken().Value)
	name := strings.Join(key, ".")
	flag := r.known[strings.ReplaceAll(strings.Join(key, "-"), "_", "-")]
	switch {
	case flag != nil && !strings.Contains(key[len(key)-1], "-"):
		r.value(v, flag, name)
	case r.section(key):
		r.walk(v.Value, key)
	default:
		r.fault(v.Key, "unknown key %q%s", name, r.nearest(name))
	}
}

// section says whether keys lie below this one.
func (r *reader) section(key []string) bool {
	prefix := strings.ReplaceAll(strings.Join(key, "-"), "_", "-") + "-"
	for name := range r.known {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (r *reader) value(v *ast.MappingValueNode, flag *kong.Flag, name string) {
	text, ok := scalar(v.Value)
	if !ok {
		r.fault(v.Value, "%s: expected a plain value", name)
		return
	}
	if _, twice := r.values[flag.Name]; twice {
		r.fault(v.Key, "%s is given twice", name)
		return
	}
	if err := try(flag, text); err != nil {
		r.fault(v.Value, "%s: %v", name, err)
		return
	}
	pos := v.Value.GetToken().Position
	r.values[flag.Name] = entry{text: text, line: pos.Line, column: pos.Column}
}

// try reads the value the way the command line would, and throws it away.
func try(flag *kong.Flag, text string) error {
	target := reflect.New(flag.Target.Type()).Elem()
	if err := flag.Parse(kong.Scan().PushTyped(text, kong.FlagValueToken), target); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), flag.ShortSummary()+": "))
	}
	if flag.Enum != "" && !slices.Contains(flag.EnumSlice(), text) {
		return fmt.Errorf("%q is none of %s", text, strings.Join(flag.EnumSlice(), ", "))
	}
	return nil
}

// scalar is the text of a value; lists become what the command line takes.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.SequenceNode:
		var items []string
		for _, v := range n.Values {
			item, ok := scalar(v)
			if !ok {
				return "", false
			}
			items = append(items, item)
		}
		return strings.Join(items, ","), len(items) > 0
	default:
		return "", false
	}
}

// nearest proposes the key that was perhaps meant.
func (r *reader) nearest(key string) string {
	name := strings.NewReplacer(".", "-", "_", "-").Replace(key)
	var open []string
	for k, f := range r.known {
		if !f.Hidden {
			open = append(open, k)
		}
	}
	slices.Sort(open)
	best := nearest(name, open)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", dotted(best))
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Validate satisfies kong; the file was checked when it was read.
func (*File) Validate(*kong.Application) error { return nil }

// Lang is the language that the file asks for, or empty.
func (f *File) Lang() string { return f.values["lang"].text }

// Resolve gives kong the file's value. The environment is stronger, and kong by
// itself would let the file win.
func (f *File) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Tag.Envs {
		if _, set := os.LookupEnv(env); set {
			return nil, nil
		}
	}
	if v, ok := f.values[flag.Name]; ok {
		f.used[flag.Name] = true
		return v.text, nil
	}
	return nil, nil
}
