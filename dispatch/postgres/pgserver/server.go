package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// startLimit bounds a start; replaying the log after a crash may take minutes.
const startLimit = 5 * time.Minute

// maxLog is when server.log becomes server.log.1 at the next start.
const maxLog = 16 << 20

// Options say where and how the server runs. Only Data must be set.
type Options struct {
	Data string // the engine's data directory
	Host string // a loopback address; 127.0.0.1 if empty
	Port int    // 0 lets the kernel choose

	RunAs        string            // who runs the server for a root engine; postgres, then nobody if empty
	RelocateRoot string            // /var/lib/nabat if empty
	Settings     map[string]string // further server settings, stronger than postgresql.conf

	// WaiveDurability starts a server although it may lose confirmed commits.
	// For tests that show what would happen; there is no other use.
	WaiveDurability bool

	Log *zap.Logger
}

// Server is a running PostgreSQL.
type Server struct {
	host   string
	port   int
	access access
	place  place
	bin    Binaries
	lock   *Lock
	log    *zap.Logger

	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone
	err  error         // how it ended; read after done
}

// Start makes the cluster if there is none and returns when the server answers
// and keeps what it confirms.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	o.Host = cmp.Or(o.Host, "127.0.0.1")
	if ip := net.ParseIP(o.Host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("the embedded PostgreSQL listens on loopback only, not on %q", o.Host)
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	data, err := settle(o.Data)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	fresh, err := untouched(data) // before the lock file, which is a trace of us
	if err != nil {
		return nil, err
	}
	lock, err := Acquire(filepath.Join(data, lockFile))
	if err != nil {
		return nil, err
	}
	s := &Server{host: o.Host, lock: lock, log: o.Log.Named("pgserver")}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Release())
		}
	}()
	if err := s.prepare(ctx, data, fresh, o); err != nil {
		return nil, err
	}
	if err := s.launch(ctx, o); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, o.WaiveDurability); err != nil {
		// The caller's context may be what ended; the server must go all the same.
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fastWait)
		defer cancel()
		return nil, errors.Join(err, s.halt(stopCtx))
	}
	return s, nil
}

// prepare finds or makes the cluster and frees it of an earlier life. fresh says
// that no engine has worked in the data directory before.
func (s *Server) prepare(ctx context.Context, data string, fresh bool, o Options) (err error) {
	p, err := findPlace(ctx, data, cmp.Or(o.RelocateRoot, relocateRoot), o.RunAs)
	if err != nil {
		return err
	}
	var made bool
	if s.access, made, err = loadAccess(data); err != nil {
		return fmt.Errorf("passwords of the database: %w", err)
	}
	defer func() {
		if err != nil && made {
			// The cluster may not have them yet: the next start makes others.
			err = errors.Join(err, os.Remove(filepath.Join(data, AccessFile)))
		}
	}()
	if p.major != 0 {
		if err := adoptOrphan(ctx, p.pgdata(), s.log); err != nil {
			return err
		}
	}
	if p.major != 0 && made && p.relocated && fresh {
		// The data directory was removed and made anew: the cluster belongs to
		// the old one. Nobody's data is deleted, it steps aside. A lost password
		// file alone says nothing of the kind.
		aside := p.dir + ".of-removed-data-" + time.Now().UTC().Format("20060102T150405")
		if err := os.Rename(p.dir, aside); err != nil {
			return err
		}
		s.log.Warn("the data directory is new; the database of the one that was removed is kept aside", zap.String("dir", aside))
		p.major = 0
	}
	if s.bin, err = FindBinaries(ctx, p.major); err != nil {
		return err
	}
	if err := p.make(ctx); err != nil {
		return fmt.Errorf("place for the database: %w", err)
	}
	s.place = p
	switch {
	case p.major == 0:
		return create(ctx, s.bin, p, s.access, o.Settings["fsync"] != "off")
	case made:
		s.log.Warn("the database's password file was gone; new passwords are set", zap.String("file", AccessFile))
		return resetAdmin(ctx, s.bin, p, s.access)
	}
	return nil
}

// launch starts the process and waits until it answers.
func (s *Server) launch(ctx context.Context, o Options) error {
	if o.Port != 0 {
		return s.launchOn(ctx, o.Port, o.Settings)
	}
	var err error
	for range 5 { // between our look and the server's bind somebody may take the port
		var port int
		if port, err = freePort(o.Host); err != nil {
			return err
		}
		err = s.launchOn(ctx, port, o.Settings)
		if err == nil || ctx.Err() != nil || portFree(o.Host, port) == nil {
			return err
		}
	}
	return err
}

func (s *Server) launchOn(ctx context.Context, port int, extra map[string]string) error {
	if err := portFree(s.host, port); err != nil {
		return err
	}
	s.port = port
	settings := map[string]string{
		"listen_addresses": s.host, "port": strconv.Itoa(port), "unix_socket_directories": "",
		"password_encryption": "scram-sha-256", "logging_collector": "off", "log_destination": "stderr",
	}
	maps.Copy(settings, extra)
	args := []string{"-D", s.place.pgdata()}
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", k+"="+settings[k])
	}
	logFile, mark, err := openLog(s.place.log())
	if err != nil {
		return err
	}
	defer logFile.Close() // the server has its own copy
	// Not CommandContext: the server outlives the context of its start.
	s.cmd = exec.Command(s.bin.path("postgres"), args...) //nolint:noctx // its life ends with Stop
	s.cmd.Dir = s.place.dir
	s.cmd.Env = environment()
	s.cmd.Stdout, s.cmd.Stderr = logFile, logFile
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.place.cred, Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.done = make(chan struct{})
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	if err := s.answers(ctx, mark); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fastWait)
		defer cancel()
		return errors.Join(err, s.halt(stopCtx))
	}
	return nil
}

// answers waits until the administrator can log in, or the process has ended.
func (s *Server) answers(ctx context.Context, mark int64) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		_, err := Inspect(ctx, s.maintenanceURL())
		if err == nil {
			return nil
		}
		if refused(err) {
			return fmt.Errorf("the passwords in %s are not those of the cluster: %w", AccessFile, err)
		}
		select {
		case <-s.done:
			return fmt.Errorf("PostgreSQL ended while starting, its log %s says:\n%s", s.place.log(), logSince(s.place.log(), mark))
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// admit makes the roles and the database and refuses a server that
// forgets. Asked as the engine's role: a setting may hang on a role.
func (s *Server) admit(ctx context.Context, waived bool) error {
	if err := s.bootstrap(ctx); err != nil {
		return err
	}
	err := CheckDurability(ctx, s.URL())
	if errors.Is(err, ErrNotDurable) && waived {
		s.log.Error("DURABILITY IS WAIVED: confirmed signals may be lost; this is for tests only", zap.Error(err))
		return nil
	}
	return err
}

// URL is for the engine: its own role, which owns nothing, in its own database.
func (s *Server) URL() string {
	return dsn(s.host, s.port, s.access.Role, s.access.RolePassword, s.access.Database)
}

// OwnerURL is for migrations: the role that owns what is in the engine's database.
func (s *Server) OwnerURL() string {
	return dsn(s.host, s.port, s.access.Owner, s.access.OwnerPassword, s.access.Database)
}

// AdminURL is the cluster's superuser in the engine's database.
func (s *Server) AdminURL() string {
	return dsn(s.host, s.port, s.access.Admin, s.access.AdminPassword, s.access.Database)
}

// maintenanceURL is the superuser in the database that is always there.
func (s *Server) maintenanceURL() string {
	return dsn(s.host, s.port, s.access.Admin, s.access.AdminPassword, "postgres")
}

// Addr is host and port.
func (s *Server) Addr() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// Pid is the server's process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Dir holds the cluster and its log; Relocated says that it could not lie in the
// data directory.
func (s *Server) Dir() string     { return s.place.dir }
func (s *Server) Relocated() bool { return s.place.relocated }

// User runs the server; empty when it is ourselves.
func (s *Server) User() string { return s.place.user }

// Version is the major version of the server's binaries.
func (s *Server) Version() int { return s.bin.Major }

// Done is closed when the process is gone, by whoever's hand.
func (s *Server) Done() <-chan struct{} { return s.done }

// Watch returns nil when ctx ends, and an error if the server ends by itself
// before that. It does not stop the server.
func (s *Server) Watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.done:
		return fmt.Errorf("PostgreSQL ended by itself: %w", errors.Join(s.err, errors.New(logSince(s.place.log(), -2048))))
	}
}

// Stop asks for a fast shutdown, and when ctx ends before it is done, for an
// immediate one. It may be called again. The data directory is free afterwards.
func (s *Server) Stop(ctx context.Context) error {
	err := s.halt(ctx)
	if rel := s.lock.Release(); !errors.Is(rel, os.ErrClosed) {
		err = errors.Join(err, rel)
	}
	return err
}

func (s *Server) halt(ctx context.Context) error {
	for _, step := range []struct {
		sig   syscall.Signal
		limit <-chan time.Time // nil: the context decides
	}{
		{syscall.SIGINT, nil},
		{syscall.SIGQUIT, time.After(immediateWait)},
		{syscall.SIGKILL, time.After(immediateWait + killWait)},
	} {
		if err := s.cmd.Process.Signal(step.sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop PostgreSQL: %w", err)
		}
		ended := ctx.Done()
		if step.limit != nil {
			ended = nil
			s.log.Warn("PostgreSQL does not stop; asking harder", zap.Stringer("signal", step.sig))
		}
		select {
		case <-s.done:
			return nil
		case <-ended:
		case <-step.limit:
		}
	}
	return fmt.Errorf("PostgreSQL process %d does not end", s.Pid())
}

func freePort(host string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func portFree(host string, port int) error {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("the embedded PostgreSQL needs %s: %w", addr, err)
	}
	return l.Close()
}

// openLog appends to the log, moving a long one away first; mark is where this
// life begins. A link in its place is refused: the directory is another user's.
func openLog(path string) (f *os.File, mark int64, err error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, err
		}
	}
	f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// logSince quotes the end of the log from mark on; a negative mark counts from the end.
func logSince(path string, mark int64) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if mark < 0 {
		mark += int64(len(b))
	}
	return lastLines(string(b[min(max(mark, 0), int64(len(b))):]), 10)
}
