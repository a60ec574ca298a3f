package pgserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/dispatch/postgres/pgserver"
)

// childEnv makes the test binary an engine that starts a server in the named
// directory and waits to be killed.
const childEnv = "NABAT_PGSERVER_CHILD"

func TestMain(m *testing.M) {
	if data := os.Getenv(childEnv); data != "" {
		s, err := pgserver.Start(context.Background(), pgserver.Options{Data: data, RelocateRoot: data + ".elsewhere"})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(s.Pid(), s.OwnerURL())
		select {}
	}
	goleak.VerifyTestMain(m)
}

// dataDir is a directory that the server's user can reach; t.TempDir is 0700.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nabat-pgserver-") //nolint:usetesting // t.TempDir is closed to the server's user
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, o pgserver.Options) *pgserver.Server {
	t.Helper()
	s, err := pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, s.Stop(ctx))
	})
	return s
}

func query[T any](t *testing.T, url, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), sql)
	require.NoError(t, err)
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return v
}

func TestTheEnginesRoleOwnsNothing(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	s := start(t, pgserver.Options{Data: data})
	for _, url := range []string{s.URL(), s.OwnerURL()} {
		require.Equal(t, "f f f f f", query[string](t, url, `
		SELECT concat_ws(' ', rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls)
		  FROM pg_roles WHERE rolname = current_user`))
	}
	require.Zero(t, query[int64](t, s.URL(), `SELECT count(*) FROM pg_auth_members WHERE member = 'nabat'::regrole`))
	require.Equal(t, "nabat_owner", query[string](t, s.URL(), `
		SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()`))
	require.Equal(t, "on on on", query[string](t, s.URL(), `
		SELECT concat_ws(' ', current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'))`))
	require.Equal(t, "127.0.0.1", query[string](t, s.AdminURL(), "SHOW listen_addresses"))
	require.Empty(t, query[string](t, s.AdminURL(), "SHOW unix_socket_directories"))

	conn, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "COPY (SELECT 1) TO PROGRAM 'cat'")
	require.ErrorContains(t, err, "42501")

	info, err := os.Stat(filepath.Join(data, pgserver.AccessFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestNobodyComesInWithoutThePassword(t *testing.T) {
	t.Parallel()
	s := start(t, pgserver.Options{Data: dataDir(t)})
	require.Zero(t, query[int64](t, s.AdminURL(), "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'"))
	for _, role := range []string{"nabat", "nabat_admin", "postgres"} {
		u, err := url.Parse(s.URL())
		require.NoError(t, err)
		u.User = url.UserPassword(role, "guess")
		_, err = pgx.Connect(t.Context(), u.String())
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr)
		require.Equal(t, "28P01", pgErr.Code)
	}
}

func TestRowsSurviveAStopAndTheSecondStartIsRefusedMeanwhile(t *testing.T) {
	t.Parallel()
	o := pgserver.Options{Data: dataDir(t)}
	first, err := pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), first.OwnerURL())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS n")
	require.NoError(t, err)

	_, err = pgserver.Start(t.Context(), o)
	require.ErrorIs(t, err, pgserver.ErrLocked)
	require.ErrorContains(t, err, fmt.Sprint(os.Getpid()))

	// An open connection does not hold up a fast shutdown.
	require.NoError(t, first.Stop(t.Context()))
	require.NoError(t, first.Stop(t.Context()), "a second stop is harmless")
	require.NoFileExists(t, filepath.Join(first.Dir(), "cluster", "postmaster.pid"))
	log, err := os.ReadFile(filepath.Join(first.Dir(), "server.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "database system is shut down")

	second := start(t, o)
	require.EqualValues(t, 7, query[int32](t, second.OwnerURL(), "SELECT n FROM kept"))
}

// An engine that is killed with -9 leaves its server running. The next one must
// stop it and start its own, with everything that was committed.
func TestOrphanOfAKilledEngineIsStopped(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	engine, pid, db := child(t, data)
	conn, err := pgx.Connect(t.Context(), db)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS n")
	require.NoError(t, err)
	require.NoError(t, engine.Process.Kill())
	engine.Wait()
	require.NoError(t, syscall.Kill(pid, 0), "the server is in a group of its own and must outlive the engine")

	s := start(t, pgserver.Options{Data: data, RelocateRoot: data + ".elsewhere"})
	require.NotEqual(t, pid, s.Pid())
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	require.EqualValues(t, 7, query[int32](t, s.OwnerURL(), "SELECT n FROM kept"))
}

// Engine and server killed in the same instant, as the power does it.
func TestBothKilled(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	engine, pid, db := child(t, data)
	conn, err := pgx.Connect(t.Context(), db)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS n")
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.NoError(t, engine.Process.Kill())
	engine.Wait()

	s := start(t, pgserver.Options{Data: data, RelocateRoot: data + ".elsewhere"})
	require.EqualValues(t, 7, query[int32](t, s.OwnerURL(), "SELECT n FROM kept"))
}

// A pid file whose number now belongs to somebody else must not stop a start,
// and the somebody must not be touched.
func TestStalePidFileOfAnotherProcess(t *testing.T) {
	t.Parallel()
	o := pgserver.Options{Data: dataDir(t)}
	s, err := pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	pidFile := filepath.Join(s.Dir(), "cluster", "postmaster.pid")
	text, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	require.NoError(t, s.Stop(t.Context()))

	other := exec.CommandContext(t.Context(), "sleep", "600")
	require.NoError(t, other.Start())
	defer func() { other.Process.Kill(); other.Wait() }()
	_, rest, _ := strings.Cut(string(text), "\n")
	require.NoError(t, os.WriteFile(pidFile, fmt.Appendf(nil, "%d\n%s", other.Process.Pid, rest), 0o600))

	start(t, o)
	require.NoError(t, syscall.Kill(other.Process.Pid, 0))
}

func TestLostPasswordFileIsMadeAgain(t *testing.T) {
	t.Parallel()
	o := pgserver.Options{Data: dataDir(t)}
	there, err := pgserver.Exists(o.Data)
	require.NoError(t, err)
	require.False(t, there)
	s, err := pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	old := s.URL()
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, os.Remove(filepath.Join(o.Data, pgserver.AccessFile)))
	there, err = pgserver.Exists(o.Data)
	require.NoError(t, err)
	require.True(t, there, "the cluster is what counts, not the passwords")

	s = start(t, o)
	require.NotEqual(t, old, s.URL())
	require.Equal(t, "nabat", query[string](t, s.URL(), "SELECT current_user::text"))
}

// As root in a directory that the server's user cannot enter: the cluster goes
// elsewhere, no right of a parent changes, and it stays there.
func TestClosedParentMovesTheCluster(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user runs the server as itself and reaches its own directories")
	}
	base := dataDir(t)
	closed := filepath.Join(base, "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	o := pgserver.Options{Data: filepath.Join(closed, "data"), RelocateRoot: filepath.Join(base, "lib")}

	s, err := pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	require.True(t, s.Relocated())
	require.True(t, strings.HasPrefix(s.Dir(), o.RelocateRoot))
	require.NotEmpty(t, s.User())
	info, err := os.Stat(closed)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	require.NoDirExists(t, filepath.Join(o.Data, "postgres"))
	where := s.Dir()
	require.NoError(t, s.Stop(t.Context()))

	// The parent opens: the cluster stays where its data is.
	require.NoError(t, os.Chmod(closed, 0o755))
	s, err = pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, where, s.Dir())
	require.NoError(t, s.Stop(t.Context()))

	// The data directory is removed by hand and made anew: the old database is
	// put aside, not mixed into the new city and not deleted.
	require.NoError(t, os.Chmod(closed, 0o700))
	require.NoError(t, os.RemoveAll(o.Data))
	s = start(t, o)
	require.True(t, s.Relocated())
	aside, err := filepath.Glob(where + ".of-removed-data-*")
	require.NoError(t, err)
	require.Len(t, aside, 1)
}

// A lost password file is no removed data directory: the relocated database is
// served with new passwords, whatever else of the engine is still there.
func TestLostPasswordFileKeepsARelocatedCluster(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only a root engine relocates")
	}
	base := dataDir(t)
	closed := filepath.Join(base, "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	o := pgserver.Options{Data: filepath.Join(closed, "data"), RelocateRoot: filepath.Join(base, "lib")}
	s, err := pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	require.True(t, s.Relocated())
	where, old := s.Dir(), s.URL()
	conn, err := pgx.Connect(t.Context(), s.OwnerURL())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS n")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, s.Stop(t.Context()))

	for _, lose := range []func() error{
		// Only commands have worked here: nothing but the lock file is left.
		func() error { return nil },
		// Somebody tidied up, an engine's journal is left.
		func() error {
			return errors.Join(os.Mkdir(filepath.Join(o.Data, "audit"), 0o700), os.Remove(filepath.Join(o.Data, "postgres.lock")))
		},
	} {
		require.NoError(t, os.Remove(filepath.Join(o.Data, pgserver.AccessFile)))
		require.NoError(t, lose())
		s, err = pgserver.Start(t.Context(), o)
		require.NoError(t, err)
		require.Equal(t, where, s.Dir())
		require.NotEqual(t, old, s.URL())
		require.EqualValues(t, 7, query[int32](t, s.OwnerURL(), "SELECT n FROM kept"))
		require.NoError(t, s.Stop(t.Context()))
	}
	aside, err := filepath.Glob(where + ".of-removed-data-*")
	require.NoError(t, err)
	require.Empty(t, aside)
}

// A start that fails before the cluster has its new passwords leaves no file
// that the next start would take for good.
func TestPasswordsOfAFailedStartAreNotKept(t *testing.T) {
	t.Parallel()
	o := pgserver.Options{Data: dataDir(t)}
	s, err := pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, s.Stop(t.Context()))
	file := filepath.Join(o.Data, pgserver.AccessFile)
	require.NoError(t, os.Remove(file))
	control := filepath.Join(s.Dir(), "cluster", "global", "pg_control")
	require.NoError(t, os.Rename(control, control+".away"))
	_, err = pgserver.Start(t.Context(), o)
	require.Error(t, err)
	require.NoFileExists(t, file)
	require.NoError(t, os.Rename(control+".away", control))
	start(t, o)
}

func TestDiscardRemovesARelocatedCluster(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only a root engine relocates")
	}
	data := t.TempDir() // closed to the server's user
	require.NoError(t, os.Chmod(data, 0o700))
	s, err := pgserver.Start(t.Context(), pgserver.Options{Data: data})
	require.NoError(t, err)
	require.True(t, s.Relocated())
	require.ErrorIs(t, pgserver.Discard(t.Context(), data), pgserver.ErrLocked)
	require.DirExists(t, s.Dir())
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, pgserver.Discard(t.Context(), data))
	require.NoDirExists(t, filepath.Dir(s.Dir()))
	require.NoDirExists(t, data)
}

// A start that is called off says so, whatever it was doing.
func TestStartCalledOff(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(after, cancel)
		s, err := pgserver.Start(ctx, pgserver.Options{Data: dataDir(t)})
		timer.Stop()
		cancel()
		if err == nil {
			require.NoError(t, s.Stop(t.Context()))
			continue // it was faster
		}
		require.ErrorIs(t, err, context.Canceled)
	}
}

func TestOrdinaryParentKeepsTheClusterInside(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	s := start(t, pgserver.Options{Data: data})
	require.False(t, s.Relocated())
	require.Equal(t, filepath.Join(data, "postgres"), s.Dir())
	group, err := syscall.Getpgid(s.Pid())
	require.NoError(t, err)
	require.Equal(t, s.Pid(), group, "a process group of its own")
}

func TestNotReadyUnlessDurable(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		_, err := pgserver.Start(t.Context(), pgserver.Options{Data: data, Settings: map[string]string{setting: "off"}})
		require.ErrorIs(t, err, pgserver.ErrNotDurable)
		require.ErrorContains(t, err, setting)
	}
	s := start(t, pgserver.Options{Data: data, Settings: map[string]string{"synchronous_commit": "off"}, WaiveDurability: true})
	require.ErrorIs(t, pgserver.CheckDurability(t.Context(), s.URL()), pgserver.ErrNotDurable)
}

// A cluster of the time when the engine's role owned everything.
func TestWhatTheEnginesRoleOwnedGoesToTheOwner(t *testing.T) {
	t.Parallel()
	o := pgserver.Options{Data: dataDir(t)}
	s, err := pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	for _, sql := range []string{
		"ALTER DATABASE nabat OWNER TO nabat", "REASSIGN OWNED BY nabat_owner TO nabat", "DROP OWNED BY nabat_owner", "DROP ROLE nabat_owner",
	} {
		run(t, s.AdminURL(), sql)
	}
	run(t, s.URL(), "CREATE TABLE kept AS SELECT 7 AS n")
	require.NoError(t, s.Stop(t.Context()))
	file := filepath.Join(o.Data, pgserver.AccessFile)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var fields map[string]string
	require.NoError(t, json.Unmarshal(b, &fields))
	require.NotEmpty(t, fields["owner_password"])
	delete(fields, "owner")
	delete(fields, "owner_password")
	require.NoError(t, pgserver.WritePrivate(file, fields))

	s = start(t, o)
	require.EqualValues(t, 7, query[int32](t, s.OwnerURL(), "SELECT n FROM kept"))
	require.Equal(t, "nabat_owner nabat_owner", query[string](t, s.URL(), `
		SELECT concat_ws(' ', (SELECT relowner::regrole FROM pg_class WHERE relname = 'kept'), (SELECT datdba::regrole FROM pg_database WHERE datname = 'nabat'))`))
	conn, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "DROP TABLE kept")
	require.ErrorContains(t, err, "42501")
	_, err = conn.Exec(t.Context(), "CREATE TABLE mine (n int)")
	require.ErrorContains(t, err, "42501")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func run(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err, sql)
}

// A setting that hangs on the engine's role alone is seen too.
func TestRoleSettingIsSeen(t *testing.T) {
	t.Parallel()
	o := pgserver.Options{Data: dataDir(t)}
	s, err := pgserver.Start(t.Context(), o)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), s.AdminURL())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "ALTER ROLE nabat SET synchronous_commit = off")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, s.Stop(t.Context()))
	_, err = pgserver.Start(t.Context(), o)
	require.ErrorIs(t, err, pgserver.ErrNotDurable)
	require.ErrorContains(t, err, `ALTER ROLE "nabat" RESET synchronous_commit`)
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	data := dataDir(t)
	for _, c := range []struct {
		o    pgserver.Options
		says string
	}{
		{pgserver.Options{Data: data, Host: "0.0.0.0"}, "loopback only"},
		{pgserver.Options{Data: data, Port: taken.Addr().(*net.TCPAddr).Port}, "address already in use"},
		{pgserver.Options{Data: data, Settings: map[string]string{"no_such_setting": "1"}}, "no_such_setting"},
	} {
		_, err := pgserver.Start(t.Context(), c.o)
		require.ErrorContains(t, err, c.says)
	}
	start(t, pgserver.Options{Data: data}) // and nothing of it is in the way
}

func TestWatchReportsAServerThatEndedByItself(t *testing.T) {
	t.Parallel()
	s := start(t, pgserver.Options{Data: dataDir(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Watch(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(t.Context()) }()
	require.NoError(t, syscall.Kill(s.Pid(), syscall.SIGQUIT))
	require.ErrorContains(t, <-ended, "ended by itself")
	<-s.Done()
}

func TestAccessFileMustBeWhole(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	b, err := json.Marshal(map[string]string{"role": "nabat"})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(data, pgserver.AccessFile), b, 0o600))
	_, err = pgserver.Start(t.Context(), pgserver.Options{Data: data})
	require.ErrorContains(t, err, "holds no passwords")
}

// child runs an engine in a process of its own.
func child(t *testing.T, data string) (engine *exec.Cmd, pid int, url string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	engine = exec.Command(self) //nolint:noctx // killed by the test, not by its context
	engine.Env = append(os.Environ(), childEnv+"="+data)
	engine.Stderr = os.Stderr
	out, err := engine.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, engine.Start())
	t.Cleanup(func() { engine.Process.Kill(); engine.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Sscan(line, &pid, &url)
	require.NoError(t, err, line)
	return engine, pid, url
}
