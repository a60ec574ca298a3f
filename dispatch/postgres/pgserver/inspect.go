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
	// Off are those that are off, and where that was said.
	Off []Setting
}

// Setting is one of the server's, in the words of pg_settings.
type Setting struct {
	Name   string
	Source string // "user", "database", "configuration file", …
	File   string // with the line; empty when the role may not see it
	Role   string // that was asked
	DB     string
}

// remedy says where a setting comes from and what to do.
func (s Setting) remedy(lang string) string {
	var where, do string
	role, db := pgx.Identifier{s.Role}.Sanitize(), pgx.Identifier{s.DB}.Sanitize()
	ru := lang == "ru"
	pick := func(a, b string) string {
		if ru {
			return a
		}
		return b
	}
	switch s.Source {
	case "user":
		where, do = "ALTER ROLE "+role, "ALTER ROLE "+role+" RESET "+s.Name
	case "database user":
		where, do = "ALTER ROLE "+role+" IN DATABASE "+db, "ALTER ROLE "+role+" IN DATABASE "+db+" RESET "+s.Name
	case "database":
		where, do = "ALTER DATABASE "+db, "ALTER DATABASE "+db+" RESET "+s.Name
	case "command line":
		where, do = pick("из командной строки сервера", "the server's command line"), pick("запустите сервер без этого", "start the server without it")
	case "configuration file":
		where = pick("из файла настроек сервера", "the server's configuration file")
		if s.File != "" {
			where += " " + s.File
		}
		do = "ALTER SYSTEM RESET " + s.Name + pick(" или исправьте файл, затем", ", or mend the file; then") + " SELECT pg_reload_conf()"
	default:
		where, do = s.Source, pick("включите", "switch it on")
	}
	if ru {
		return fmt.Sprintf("%s выключено: %s; исправить: %s.", s.Name, where, do)
	}
	return fmt.Sprintf("%s is off, set by %s; to mend: %s", s.Name, where, do)
}

// Remedy says of each setting that is off where that comes from and what to do,
// in Russian ("ru") or English.
func (f Facts) Remedy(lang string) string {
	var all []string
	for _, s := range f.Off {
		all = append(all, s.remedy(lang))
	}
	return strings.Join(all, " ")
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
	err := fmt.Errorf("%w: %s is off, and must be on", ErrNotDurable, strings.Join(off, ", "))
	for _, s := range f.Off {
		err = fmt.Errorf("%w; %s", err, s.remedy("en"))
	}
	return err
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
	rows, err := conn.Query(ctx, `
		SELECT name, source, coalesce(sourcefile || ':' || sourceline, ''), current_user::text, current_database()::text
		  FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name`)
	if err != nil {
		return f, fmt.Errorf("ask PostgreSQL about itself: %w", err)
	}
	if f.Off, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Setting]); err != nil {
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
