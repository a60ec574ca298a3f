package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/dispatch/postgres/pgserver"
	"nabat/migrations"
)

// Env names a superuser's URL of a server to use instead of one of our own.
const Env = "NABAT_TEST_POSTGRES"

const (
	startLimit = 2 * time.Minute
	dropLimit  = 30 * time.Second
)

// server is the one of this test process.
var server struct {
	sync.Mutex
	started  bool
	err      error // of the first start: the next tests need not try again
	stop     func(context.Context) error
	admin    *url.URL
	owner    string
	role     string
	password string // of both
	template string
}

// New creates a migrated database for one test and returns the URL of the
// engine's role, which may do what the engine may and no more. It is dropped,
// connections or not, when the test and its subtests have ended.
func New(t testing.TB) string {
	t.Helper()
	return create(t, true)
}

// NewEmpty is New without migrations; Owner's URL may make tables in it.
func NewEmpty(t testing.TB) string {
	t.Helper()
	return create(t, false)
}

// Owner returns the URL of the role that owns the database that New returned,
// for tests that make tables of their own.
func Owner(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	return as(server.owner, u.Path)
}

// Admin returns the superuser's URL of the database that New returned, for
// tests of what a clumsy administrator could do.
func Admin(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	return withPath(server.admin, u.Path).String()
}

func create(t testing.TB, migrated bool) string {
	t.Helper()
	require.NoError(t, ready(), "PostgreSQL for tests")
	name := "t_" + unique()
	template := "template1"
	if migrated {
		template = server.template
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	require.NoError(t, admin(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s OWNER %s", name, template, server.owner),
		// As in production; PUBLIC is not part of a template.
		"REVOKE ALL ON DATABASE "+name+" FROM PUBLIC", "GRANT CONNECT, TEMPORARY ON DATABASE "+name+" TO "+server.role))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), dropLimit)
		defer cancel()
		if err := admin(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return as(server.role, name)
}

func as(role, database string) string {
	u := withPath(server.admin, database)
	u.User = url.UserPassword(role, server.password)
	return u.String()
}

// Main runs the tests, stops the server and fails when goroutines were left.
func Main(m *testing.M, opts ...goleak.Option) {
	code := m.Run()
	if err := shutdown(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest: stop PostgreSQL:", err)
		code = max(code, 1)
	}
	if code == 0 {
		opts = append(opts,
			// A pool's health check may outlive its Close for a moment.
			goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
			goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).triggerHealthCheck.func1"),
		)
		if err := goleak.Find(opts...); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// ready starts the server and makes the template, once.
func ready() error {
	server.Lock()
	defer server.Unlock()
	if server.started {
		return server.err
	}
	server.started = true
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	server.err = start(ctx)
	return server.err
}

func start(ctx context.Context) error {
	base := os.Getenv(Env)
	server.stop = func(context.Context) error { return nil }
	if base == "" {
		s, err := own(ctx)
		if err != nil {
			return err
		}
		server.stop = s.stop
		base = s.AdminURL()
	}
	var err error
	if server.admin, err = url.Parse(base); err != nil {
		return fmt.Errorf("%s: %w", Env, err)
	}
	id := unique()
	server.owner, server.role, server.password = "o_"+id, "r_"+id, unique()
	server.template = "tmpl_" + unique()
	err = errors.Join(
		admin(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", server.role, server.password)),
		admin(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", server.owner, server.password)),
		admin(ctx, fmt.Sprintf("CREATE DATABASE %s OWNER %s", server.template, server.owner)),
	)
	if err != nil {
		return err
	}
	_, err = migrations.Run(ctx, as(server.owner, server.template), as(server.role, server.template))
	return err
}

func shutdown() error {
	server.Lock()
	defer server.Unlock()
	if server.stop == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), dropLimit)
	defer cancel()
	var err error
	if os.Getenv(Env) != "" && server.admin != nil {
		err = errors.Join(
			admin(ctx, "DROP DATABASE IF EXISTS "+server.template),
			admin(ctx, "DROP ROLE IF EXISTS "+server.role),
			admin(ctx, "DROP ROLE IF EXISTS "+server.owner),
		)
	}
	return errors.Join(err, server.stop(ctx))
}

// admin runs statements as the superuser, in a connection that is gone
// afterwards: CREATE DATABASE wants its template unused.
func admin(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, server.admin.String())
	if err != nil {
		return err
	}
	for _, sql := range statements {
		if err == nil {
			_, err = conn.Exec(ctx, sql)
		}
	}
	return errors.Join(err, conn.Close(ctx))
}

func withPath(u *url.URL, database string) *url.URL {
	c := *u
	c.Path = "/" + strings.TrimPrefix(database, "/")
	return &c
}

func unique() string { return strings.ToLower(rand.Text()[:16]) }

type ownServer struct {
	*pgserver.Server
	dir string
}

func (s ownServer) stop(ctx context.Context) error {
	return errors.Join(s.Stop(ctx), os.RemoveAll(s.dir))
}
