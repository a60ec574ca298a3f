package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// MinMajor is the oldest PostgreSQL the engine works with.
const MinMajor = 15

// ErrNoBinaries says that no PostgreSQL server is installed.
var ErrNoBinaries = errors.New("no PostgreSQL server of version 15 or newer on this machine " +
	"(Debian: apt-get install postgresql), and no --postgres-url given")

// Binaries is one installed PostgreSQL server.
type Binaries struct {
	Dir   string
	Major int
}

func (b Binaries) path(name string) string { return filepath.Join(b.Dir, name) }

// FindBinaries looks where Debian puts servers, then into PATH, then asks
// pg_config. With want == 0 the newest server from MinMajor on is taken, else
// exactly that major version: a cluster is read only by the version that made it.
func FindBinaries(ctx context.Context, want int) (Binaries, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // fails only on a bad pattern
	if p, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(p))
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	var best Binaries
	for _, dir := range dirs {
		major, err := majorOf(ctx, dir)
		if err != nil || major < MinMajor || (want != 0 && major != want) {
			continue
		}
		if major > best.Major {
			best = Binaries{Dir: dir, Major: major}
		}
	}
	switch {
	case ctx.Err() != nil: // what was not found was not looked for
		return best, ctx.Err()
	case best.Major != 0:
		return best, nil
	case want != 0:
		return best, fmt.Errorf("the data was written by PostgreSQL %d, whose server is not on this machine", want)
	default:
		return best, ErrNoBinaries
	}
}

func majorOf(ctx context.Context, dir string) (int, error) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, err
	}
	return parseMajor(string(out))
}

// parseMajor reads "postgres (PostgreSQL) 15.14 (Debian …)", also "17devel".
func parseMajor(version string) (int, error) {
	_, rest, found := strings.Cut(version, "(PostgreSQL) ")
	if !found {
		return 0, fmt.Errorf("no PostgreSQL version in %q", version)
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	return strconv.Atoi(rest[:end])
}

// clusterMajor reads the version that made the cluster in pgdata; 0 if there is none.
func clusterMajor(pgdata string) (int, error) {
	b, err := os.ReadFile(filepath.Join(pgdata, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}
