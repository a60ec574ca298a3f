package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const envPrefix = "NABAT_"

// foreign are the variables that bear our prefix and are not meant for the
// engine.
var foreign = []string{
	"NABAT_TEST_",         // knobs of our tests, which start engines
	"NABAT_E2E_",          // likewise, of the story in a browser
	"NABAT_CRASH_",        // likewise, of the kill test
	"NABAT_BENCH_",        // likewise, of the measurements
	"NABAT_REQUIRE_PEERS", // likewise: a missing peer fails a test
	"NABAT_SERVICE_",      // an orchestrator tells every container where its service «nabat» is
	"NABAT_PORT_",         // likewise: NABAT_PORT_8112_TCP and so on
	"NABAT_PORT=tcp://",   // likewise; NABAT_PORT=8112 is somebody's mistake
	"NABAT_PORT=udp://",
}

// VariableError is a variable of the environment that nobody knows.
type VariableError struct {
	Name    string
	Nearest string // empty when nothing is alike
}

func (e *VariableError) Error() string {
	if e.Nearest == "" {
		return fmt.Sprintf("unknown environment variable %s", e.Name)
	}
	return fmt.Sprintf("unknown environment variable %s; did you mean %s?", e.Name, e.Nearest)
}

// CheckEnvironment finds every NABAT_ variable of the environment ("name=value")
// that belongs to no flag of the command tree. Each is a *VariableError.
func CheckEnvironment(environ []string, tree *kong.Node) error {
	known, open := map[string]bool{}, []string(nil)
	for flag := range flags(tree) {
		for _, env := range flag.Tag.Envs {
			if known[env] = true; !flag.Hidden {
				open = append(open, env)
			}
		}
	}
	slices.Sort(open) // of two that are as near, always the same
	var errs error
	for _, line := range slices.Sorted(slices.Values(environ)) {
		name, _, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, envPrefix) || known[name] ||
			slices.ContainsFunc(foreign, func(p string) bool { return strings.HasPrefix(line, p) }) {
			continue
		}
		errs = errors.Join(errs, &VariableError{Name: name, Nearest: nearest(name, open)})
	}
	return errs
}

// nearest is the name that was perhaps meant; more slips than two are another
// word.
func nearest(name string, of []string) string {
	best, at := "", 3
	for _, k := range of {
		if d := distance(name, k); d < at {
			best, at = k, d
		}
	}
	return best
}
