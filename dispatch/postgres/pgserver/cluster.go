package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// hba lets in whoever knows a password, over loopback, and nobody else.
const hba = `# Written when the cluster was made. There is no "trust" and no "peer" on purpose:
# with them any local user could run programs as the database's owner.
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128      scram-sha-256
`

// tuning is appended to postgresql.conf once; whoever runs the machine may edit it.
const tuning = `
# --- nabat ---
shared_buffers = 256MB
max_wal_size = 2GB
wal_compression = on
checkpoint_completion_target = 0.9
log_line_prefix = '%m [%p] %q%u@%d '
log_lock_waits = on
timezone = 'UTC'
log_timezone = 'UTC'
`

// create makes a new cluster in p. It appears under its name whole or not at
// all, so an interrupted start leaves nothing to repair.
func create(ctx context.Context, bin Binaries, p place, a access, sync bool) error {
	tmp := p.pgdata() + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	pwfile := filepath.Join(p.dir, "initdb.password")
	if err := p.write(pwfile, a.AdminPassword+"\n"); err != nil {
		return err
	}
	defer os.Remove(pwfile)
	var err error
	for _, locale := range []string{"C.UTF-8", "C"} { // Russian letters fold case only under the first
		args := []string{
			"-D", tmp, "-U", a.Admin, "--pwfile=" + pwfile, "--auth=scram-sha-256",
			"--encoding=UTF8", "--locale=" + locale, "--data-checksums",
		}
		if !sync {
			args = append(args, "--no-sync")
		}
		if err = p.run(ctx, bin.path("initdb"), "", args...); err == nil {
			break
		}
		if err := os.RemoveAll(tmp); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("make a database cluster: %w", err)
	}
	if err := p.write(filepath.Join(tmp, "pg_hba.conf"), hba); err != nil {
		return err
	}
	conf := filepath.Join(tmp, "postgresql.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		return err
	}
	if err := p.write(conf, string(text)+tuning); err != nil {
		return err
	}
	if err := os.Rename(tmp, p.pgdata()); err != nil {
		return err
	}
	return syncDir(p.dir)
}

// resetAdmin gives the superuser a new password through single-user mode, for a
// cluster whose password file was lost. The server is not running.
func resetAdmin(ctx context.Context, bin Binaries, p place, a access) error {
	sql := fmt.Sprintf("ALTER ROLE %q PASSWORD '%s';\n", a.Admin, a.AdminPassword)
	return p.run(ctx, bin.path("postgres"), sql, "--single", "-D", p.pgdata(), "-c", "password_encryption=scram-sha-256", "postgres")
}

// run runs a PostgreSQL program as the server's user and quotes it when it fails.
func (p place) run(ctx context.Context, program, stdin string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = p.dir
	cmd.Env = environment()
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred, Setpgid: true}
	if err := broken(ctx, cmd.Run()); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", filepath.Base(program), err), errors.New(lastLines(out.String(), 5)))
	}
	return nil
}

// write puts text into a private file of the server's user.
func (p place) write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if p.cred != nil {
		err = errors.Join(err, f.Chown(int(p.cred.Uid), int(p.cred.Gid)))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// environment is small on purpose: PGDATA, PGPORT or LC_ALL of whoever started
// the engine must not reach the server.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
