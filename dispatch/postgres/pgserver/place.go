package pgserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// relocateRoot is where a cluster goes that cannot lie in the data directory.
const relocateRoot = "/var/lib/nabat"

// place is where a cluster lies and who may touch it.
type place struct {
	dir       string              // holds the cluster, its log; belongs to the server's user
	cred      *syscall.Credential // nil: ourselves
	user      string
	relocated bool
	major     int // of the cluster that is there, 0 for none
}

func (p place) pgdata() string { return filepath.Join(p.dir, "cluster") }
func (p place) log() string    { return filepath.Join(p.dir, "server.log") }

// findPlace decides where the cluster of a data directory lies. A cluster that
// exists stays where it is: its owner runs it. A new one goes into the data
// directory if the server's user can get there.
func findPlace(ctx context.Context, data, relocate, runAs string) (place, error) {
	here := place{dir: filepath.Join(data, "postgres")}
	there := place{dir: filepath.Join(relocate, hashOf(data), "postgres"), relocated: true}
	for _, p := range []place{here, there} {
		found, err := p.occupied()
		if err != nil {
			return place{}, err
		}
		if !found {
			continue
		}
		if p, err = p.adoptOwner(); err != nil {
			return place{}, err
		}
		if err := p.reachable(ctx, p.pgdata()); err != nil {
			return place{}, fmt.Errorf("user %q cannot reach its database in %s: %w", p.user, p.pgdata(), err)
		}
		p.major, err = clusterMajor(p.pgdata())
		return p, err
	}
	if os.Geteuid() != 0 {
		return here, nil
	}
	cred, name, err := unprivileged(runAs)
	if err != nil {
		return place{}, err
	}
	here.cred, here.user = cred, name
	there.cred, there.user = cred, name
	if here.reachable(ctx, data) == nil {
		return here, nil
	}
	return there, ctx.Err() // a question that was broken off is no answer
}

// Exists says whether a data directory has a cluster, here or relocated, whatever
// became of its password file. It makes nothing.
func Exists(data string) (bool, error) {
	abs, err := filepath.Abs(data)
	if err != nil {
		return false, err
	}
	name, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	fresh, err := untouched(name)
	if err != nil || fresh { // a relocated one would be of a directory that was removed
		return false, err
	}
	for _, dir := range []string{name, filepath.Join(relocateRoot, hashOf(name))} {
		if there, err := (place{dir: filepath.Join(dir, "postgres")}).occupied(); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// occupied says whether a cluster lies there.
func (p place) occupied() (bool, error) {
	_, err := os.Stat(p.pgdata())
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, os.ErrPermission):
		return false, fmt.Errorf("%s belongs to another user; start the engine as the one who made it, or name another --data: %w", p.dir, err)
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}

// adoptOwner makes the cluster's owner its runner, so that data made by an
// ordinary user works for root too, and the other way is refused in words.
func (p place) adoptOwner() (place, error) {
	info, err := os.Stat(p.pgdata())
	if err != nil {
		return p, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return p, fmt.Errorf("owner of %s is not known on this system", p.pgdata())
	}
	name := strconv.Itoa(int(st.Uid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	p.user = name
	me := os.Geteuid()
	switch {
	case st.Uid == 0:
		return p, fmt.Errorf("%s belongs to root, as whom PostgreSQL does not run", p.pgdata())
	case me == 0:
		p.cred = &syscall.Credential{Uid: st.Uid, Gid: st.Gid}
	case me != int(st.Uid):
		return p, fmt.Errorf("%s belongs to user %s; start the engine as that user or as root, or name another --data", p.pgdata(), name)
	}
	return p, nil
}

// reachable tries to stand in dir as the server's user. The kernel answers, so
// access lists and mounts count too, not only the nine bits.
func (p place) reachable(ctx context.Context, dir string) error {
	if p.cred == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "exit 0")
	cmd.Dir = dir
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred}
	return broken(ctx, cmd.Run())
}

// broken adds to a program's failure that it was ended by us.
func broken(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return errors.Join(err, ctx.Err())
}

// make creates the cluster's directory, owned by the server's user, and what
// leads to it below relocateRoot. It changes no right of what was there before.
func (p place) make(ctx context.Context) error {
	if p.relocated {
		hash := filepath.Dir(p.dir)
		for _, dir := range []string{filepath.Dir(hash), hash} {
			if err := mkdirPassable(dir); err != nil {
				return err
			}
		}
	}
	if err := os.Mkdir(p.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if p.cred == nil {
		return nil
	}
	if err := os.Chown(p.dir, int(p.cred.Uid), int(p.cred.Gid)); err != nil {
		return err
	}
	if err := p.reachable(ctx, p.dir); err != nil {
		return fmt.Errorf("user %q cannot reach %s: %w", p.user, p.dir, err)
	}
	return nil
}

// mkdirPassable makes a directory that anybody may walk through, whatever the
// umask; one that exists is left as it is.
func mkdirPassable(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o711)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, 0o711)
}

// unprivileged finds the user that runs the server for a root engine.
func unprivileged(name string) (*syscall.Credential, string, error) {
	names := []string{"postgres", "nobody"}
	if name != "" {
		names = []string{name}
	}
	for _, n := range names {
		u, err := user.Lookup(n)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil || uid == 0 {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, n, nil
	}
	return nil, "", fmt.Errorf("PostgreSQL does not run as root, and none of the users %v is here to run it", names)
}

func hashOf(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:8])
}

// settle makes the data directory if it is missing and returns its one true name.
func settle(data string) (string, error) {
	abs, err := filepath.Abs(data)
	if err != nil {
		return "", err
	}
	if err := MakeData(abs); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// lockFile keeps a second server off a data directory. Every start leaves it
// behind for good, so that it also tells a used directory from a new one.
const lockFile = "postgres.lock"

// engineLock is taken by a serving engine before it starts its server; alone it
// says nothing about the directory's age.
const engineLock = "nabat.lock"

// untouched says whether no engine has left anything in the data directory.
// Whatever else lies there counts as left: doubt must never cost a database.
func untouched(data string) (bool, error) {
	entries, err := os.ReadDir(data)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.Name() != engineLock {
			return false, nil
		}
	}
	return true, nil
}

// MakeData makes a data directory if it is missing: passable, so that the
// server's user gets through to the cluster; everything private in it is 0600.
func MakeData(dir string) error { return mkdirPassable(dir) }
