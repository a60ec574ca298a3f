package pgserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNotDurable says that the server may lose what it has confirmed.
var ErrNotDurable = errors.New("the database would lose confirmed signals")

// Facts is what a server says of itself to one role in one database.
type Facts struct {
	Version        string // "15.14"
	Major          int
	DataDirectory  string // empty when the role may not see it
	MaxConnections int
	Encoding       string
	Superuser      bool
	Clock          time.Time // the server's, for comparison with ours
	// Settings as this role sees them, overrides of role and database included.
	FSync, FullPageWrites, SynchronousCommit string
}

// Durable says whether a confirmed commit survives a crash, or which settings
// forbid it (ErrNotDurable).
func (f Facts) Durable() error {
	var off []string
	for _, s := range []struct{ name, value string }{
		{"fsync", f.FSync}, {"full_page_writes", f.FullPageWrites}, {"synchronous_commit", f.SynchronousCommit},
	} {
		// remote_write, remote_apply and local flush locally too.
		if s.value == "off" {
			off = append(off, s.name)
		}
	}
	if len(off) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s is off, and must be on", ErrNotDurable, strings.Join(off, ", "))
}

// refused says that the server is there and does not want this password or role.
func refused(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasPrefix(pgErr.Code, "28")
}

// Inspect asks the server at url.
func Inspect(ctx context.Context, url string) (f Facts, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return f, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var number int
	err = conn.QueryRow(ctx, `
		SELECT current_setting('server_version'), current_setting('server_version_num')::int,
		       coalesce(CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory', true) END, ''),
		       current_setting('max_connections')::int, current_setting('server_encoding'),
		       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), clock_timestamp(),
		       current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')`).
		Scan(&f.Version, &number, &f.DataDirectory, &f.MaxConnections, &f.Encoding,
			&f.Superuser, &f.Clock, &f.FSync, &f.FullPageWrites, &f.SynchronousCommit)
	if err != nil {
		return f, fmt.Errorf("ask PostgreSQL about itself: %w", err)
	}
	f.Major = number / 10000
	f.Version, _, _ = strings.Cut(f.Version, " ")
	return f, nil
}

// CheckDurability refuses a server that is too old or may lose what it confirmed.
func CheckDurability(ctx context.Context, url string) error {
	f, err := Inspect(ctx, url)
	if err != nil {
		return err
	}
	if f.Major < MinMajor {
		return fmt.Errorf("PostgreSQL %s is too old, at least %d is needed", f.Version, MinMajor)
	}
	return f.Durable()
}
