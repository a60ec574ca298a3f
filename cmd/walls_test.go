// Package cmd_test holds the walls of the house: who may import whom.
package cmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "nabat"

// codecs are pure: bytes in, values out. They import the standard library and
// nothing else, so that they can be read, fuzzed and reused alone.
var codecs = []string{
	"alarms/dc09", "alarms/contactid", "alarms/siadcs", "alarms/surgard", "alarms/cap",
	"sip/ecall", "sip/geoloc",
}

// siblings never import each other: they meet in dispatch and in cmd.
var siblings = []string{"sip", "alarms", "routing", "console"}

// owners lists who alone may import a library, as directories with everything
// below them. Simulators are the outside world and bring their own libraries.
var owners = map[string][]string{
	"github.com/emiago/sipgo":      {"sip/gateway", "simulators", "cmd/nabatsim", bench},
	"github.com/twmb/franz-go":     {"routing/kafka", "simulators", "cmd/nabatsim", bench},
	"github.com/gorilla/websocket": {"console/ws", "simulators", "cmd/nabatsim"},
	"github.com/jackc/pgx": {
		"dispatch/postgres", "alarms/postgres", "routing/postgres", "console/postgres", "sip/postgres", "migrations",
		bench,
	},
	"github.com/pressly/goose": {"migrations"},
}

// bench measures the engine from outside, beside bare uses of the same libraries.
const bench = "cmd/nabat/bench"

// domainLibraries is all that the domain may use beside the standard library.
var domainLibraries = []string{"go.uber.org/zap", "github.com/google/uuid"}

// vague names say nothing about what lives inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "models", "misc", "shared"}

type pkg struct {
	ImportPath string
	Name       string
	Imports    []string // of the program; tests may reach wherever they need
	Standard   bool
}

// rel is the package's directory in the module; "" and false for anything outside.
func rel(importPath string) (string, bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func under(dir string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(t string) bool {
		return dir == t || strings.HasPrefix(dir, t+"/")
	})
}

func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".") && first != module
}

func inside(importPath string, libraries ...string) bool {
	return under(importPath, libraries...)
}

// broken names every wall that an import goes through.
func broken(p pkg) []string {
	dir, ours := rel(p.ImportPath)
	if !ours {
		return nil
	}
	var out []string
	say := func(why string) { out = append(out, p.ImportPath+": "+why) }
	if slices.Contains(vague, p.Name) || slices.Contains(vague, path.Base(dir)) {
		say("a package is named after what it holds, not " + p.Name)
	}
	driver := slices.Contains(strings.Split(dir, "/"), "postgres")
	for _, imp := range p.Imports {
		for lib, who := range owners {
			if inside(imp, lib) && !under(dir, who...) {
				say("imports " + imp + "; only " + strings.Join(who, ", ") + " may")
			}
		}
		if under(dir, codecs...) && !standard(imp) {
			say("is a codec and imports " + imp + "; only the standard library is allowed")
		}
		to, internal := rel(imp)
		if under(dir, "dispatch") && !under(dir, "dispatch/postgres") && !standard(imp) &&
			!(internal && under(to, "dispatch")) && !inside(imp, domainLibraries...) {
			say("is the domain and imports " + imp)
		}
		if !internal {
			continue
		}
		for _, s := range siblings {
			if under(dir, s) && under(to, siblings...) && !under(to, s) {
				say("imports its sibling " + imp)
			}
			if dir == s && (under(to, s+"/postgres", "routing/kafka", "console/ws", "sip/gateway")) {
				say("imports its own driver " + imp)
			}
		}
		if under(dir, "dispatch", "migrations") && under(to, siblings...) {
			say("imports " + imp + ", which is above it")
		}
		if under(to, "dispatch/postgres") && !driver && !under(dir, "cmd") {
			say("imports " + imp + "; only */postgres and cmd may")
		}
		if under(to, "dispatch/postgres/pgtest") && !under(dir, "dispatch/postgres/pgtest") {
			say("imports " + imp + ", which is for tests")
		}
		if under(to, "cmd") && !under(dir, "cmd") {
			say("imports the command " + imp)
		}
		// `nabat demo` brings its own city to life, so it alone may start simulators
		// beside the engine; nothing that `nabat serve` is made of may.
		if under(to, "simulators") && !under(dir, "simulators", "cmd/nabatsim", "cmd/nabat/demo", bench) && dir != "cmd/nabat" {
			say("imports " + imp + "; simulators are the outside world")
		}
		if under(dir, "simulators") && !under(to, "simulators") && !under(to, codecs...) {
			say("imports " + imp + "; simulators know public protocols only")
		}
	}
	return out
}

func TestWalls(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Name,Imports,Standard", module+"/...")
	out, err := cmd.Output()
	require.NoError(t, err)
	dec := json.NewDecoder(bytes.NewReader(out))
	seen := 0
	for {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		seen++
		for _, b := range broken(p) {
			t.Error(b)
		}
	}
	require.NotZero(t, seen, "go list found no package of the module")
}

// The walls themselves can break: each line here must be caught.
func TestWallsCatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, imports string }{
		{"alarms/dc09", "nabat/dispatch"},
		{"alarms/dc09", "go.uber.org/zap"},
		{"dispatch", "github.com/jackc/pgx/v5"},
		{"dispatch/desk", "nabat/routing"},
		{"dispatch", "nabat/dispatch/postgres"},
		{"alarms", "nabat/sip"},
		{"alarms/postgres", "nabat/routing/postgres"},
		{"alarms", "nabat/alarms/postgres"},
		{"alarms/listen", "nabat/dispatch/postgres"},
		{"console", "github.com/gorilla/websocket"},
		{"routing", "github.com/twmb/franz-go/pkg/kgo"},
		{"sip", "github.com/emiago/sipgo/sip"},
		{"cmd/nabat", "github.com/jackc/pgx/v5/pgxpool"},
		{"cmd/nabat/config", "nabat/simulators/city"},
		{"cmd/nabat/engine", "nabat/simulators/city"},
		{"console", "nabat/simulators"},
		{"simulators/panels", "nabat/dispatch/postgres"},
		{"simulators", "nabat/alarms"},
		{"cmd/nabat", "nabat/dispatch/postgres/pgtest"},
		{"alarms", "nabat/cmd/nabat/config"},
		{"sip/util", "fmt"},
	} {
		p := pkg{ImportPath: module + "/" + c.from, Name: path.Base(c.from), Imports: []string{c.imports}}
		require.NotEmpty(t, broken(p), "%s → %s", c.from, c.imports)
	}
	for _, c := range []struct{ from, imports string }{
		{"alarms/dc09", "encoding/hex"},
		{"dispatch", "github.com/google/uuid"},
		{"alarms", "nabat/dispatch"},
		{"alarms/postgres", "nabat/dispatch/postgres"},
		{"dispatch/postgres/pgtest", "nabat/migrations"},
		{"routing/kafka/embedded", "github.com/twmb/franz-go/pkg/kfake"},
		{"cmd/nabat", "nabat/simulators/city"},
		{"cmd/nabat/demo", "nabat/simulators/city"},
		{"simulators/panels", "nabat/alarms/dc09"},
	} {
		p := pkg{ImportPath: module + "/" + c.from, Name: path.Base(c.from), Imports: []string{c.imports}}
		require.Empty(t, broken(p), "%s → %s", c.from, c.imports)
	}
}
