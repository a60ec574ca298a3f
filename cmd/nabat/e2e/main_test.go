// Package e2e tests the engine as a city gets it: the built binary with its
// built page, from the wire to the duty service and back to the screen.
//
// Nothing here speaks to the engine through its own code. The panel's frames and
// their checksums are made by the test, calls and messages come from sipp, Kafka
// is read and written by kcat, the screen is Debian's Chromium. The story is told
// twice: with a real Apache Kafka, and with the embedded broker.
//
// Every port is chosen by the kernel and all files lie in one directory under
// the system's temporary one. After a failure screenshots and logs stay there;
// NABAT_E2E_ARTIFACTS names a directory where they are kept after success too.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// patience bounds every wait for something that another process does. It is long
// because the machine may be busy with other tests; nothing waits longer than
// it must.
const patience = 90 * time.Second

// root of the module, seen from this directory.
const root = "../../.."

var built struct {
	once sync.Once
	dir  string
	bin  string
	err  error
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built.dir != "" {
			os.RemoveAll(built.dir)
		}
		os.Exit(code)
	}))
}

// peer finds a program that the story needs, or skips the test; where peers are
// required (`make test`) it fails.
func peer(t *testing.T, names, debian string) string {
	t.Helper()
	for _, name := range filepath.SplitList(names) {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if found, err := filepath.Glob(name); err == nil && len(found) > 0 {
			return found[len(found)-1]
		}
	}
	lacking(t, fmt.Sprintf("%s is missing (Debian package %s)", names, debian))
	return ""
}

func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("NABAT_REQUIRE_PEERS") != "" {
		require.FailNow(t, what)
	}
	t.Skip("SKIPPED, AND NOTHING ELSE TESTS THE WHOLE WAY: " + what + "; `make setup-test` installs it")
}

// nabat is the binary, built once for all tests, with the page inside. Under the
// race detector the engine is built with it too.
func nabat(t *testing.T) string {
	t.Helper()
	built.once.Do(func() { built.bin, built.err = build(t) })
	require.NoError(t, built.err)
	return built.bin
}

func build(t *testing.T) (string, error) {
	page := filepath.Join(root, "console/web/dist/index.html")
	if _, err := os.Stat(page); err != nil {
		t.Log("building the console's page")
		out, err := exec.CommandContext(t.Context(), "npm", "--silent", "--prefix", filepath.Join(root, "console/web"), "run", "build").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("the console's page cannot be built: %w: %s", err, out)
		}
		if _, err := os.Stat(page); err != nil {
			return "", fmt.Errorf("the build made no page: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "nabat-e2e-bin-") //nolint:usetesting // shared by the tests of this package
	if err != nil {
		return "", err
	}
	built.dir = dir
	bin := filepath.Join(dir, "nabat")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", bin, "nabat/cmd/nabat")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make builds it: nothing is compiled again
	if raced {
		cmd = exec.CommandContext(t.Context(), "go", "build", "-race", "-o", bin, "nabat/cmd/nabat")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return bin, nil
}

// await looks until look finds what it wants. The error says what was missing at
// the last look.
func await[T any](t *testing.T, what string, look func() (T, error)) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		v, err := look()
		if err == nil {
			return v
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			require.FailNow(t, "waited in vain for "+what, err)
		}
	}
}

// tail is the end of a log file.
func tail(path string, most int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(text) > most {
		text = append([]byte("…"), text[len(text)-most:]...)
	}
	return string(text)
}
