package main

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// database is the engine's own, looked at from outside.
type database struct{ pool *pgxpool.Pool }

func openDatabase(ctx context.Context, url string) (*database, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	return &database{pool}, pool.Ping(ctx)
}

func (d *database) close() { d.pool.Close() }

func (d *database) version(ctx context.Context) (string, error) {
	var v, fsync, commit string
	err := d.pool.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')`).
		Scan(&v, &fsync, &commit)
	if err == nil && (fsync != "on" || commit != "on") {
		err = fmt.Errorf("fsync is %s and synchronous_commit %s: nothing here would be durable", fsync, commit)
	}
	v, _, _ = strings.Cut(v, " ")
	return v, err
}

func (d *database) count(ctx context.Context, query string, args ...any) (int, error) {
	var n int
	err := d.pool.QueryRow(ctx, query, args...).Scan(&n)
	return n, err
}

// sample is rows of the engine's making, to write the like of.
type sample struct {
	columns []string
	rows    [][]any
}

func (d *database) sample(ctx context.Context, query string, args ...any) (sample, error) {
	rows, err := d.pool.Query(ctx, query, args...)
	if err != nil {
		return sample{}, err
	}
	var s sample
	for _, f := range rows.FieldDescriptions() {
		s.columns = append(s.columns, f.Name)
	}
	s.rows, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
	if err == nil && len(s.rows) == 0 {
		err = errors.New("the engine has written no row to take as a sample")
	}
	return s, err
}

// like makes an empty table with the columns and indexes of another.
func (d *database) like(ctx context.Context, name, of, partition string) error {
	_, err := d.pool.Exec(ctx, fmt.Sprintf(`CREATE TABLE %s (LIKE %s INCLUDING ALL) %s`, name, of, partition))
	return err
}

// originals checks one by one that every acknowledged frame is there once as an
// original, and counts the rows that the engine took for repeats.
func (d *database) originals(ctx context.Context, fleets ...*fleet) (missing, doubled, repeats int, err error) {
	const counted = 1 << 31
	expect := map[uint64]int{}
	seed := fleets[0].seed
	for _, f := range fleets {
		for _, s := range f.senders {
			for _, h := range s.acked {
				expect[h] = 0
			}
		}
	}
	rows, err := d.pool.Query(ctx, `SELECT raw, duplicate FROM notifications`)
	if err != nil {
		return 0, 0, 0, err
	}
	var raw []byte
	var duplicate bool
	_, err = pgx.ForEachRow(rows, []any{&raw, &duplicate}, func() error {
		h := maphash.Bytes(seed, raw)
		seen, ours := expect[h]
		switch {
		case duplicate:
			repeats++
		case ours && seen < counted:
			expect[h] = seen + 1
		}
		return nil
	})
	for _, seen := range expect {
		switch {
		case seen == 0:
			missing++
		case seen > 1:
			doubled++
		}
	}
	return missing, doubled, repeats, err
}

// copyRows is ceiling C: so many rows a second go into a table like
// notifications, by so many writers in batches of that size.
func (d *database) copyRows(ctx context.Context, s sample, table string, writers, batch int, d0 time.Duration) (float64, error) {
	return side(ctx, writers, d0, func(ctx context.Context, w int) (int, error) {
		rows := make([][]any, batch)
		now := time.Now().UTC().Truncate(time.Microsecond)
		for i := range rows {
			row := append([]any(nil), s.rows[(w*997+i+now.Nanosecond()/1000)%len(s.rows)]...)
			id, err := uuid.NewV7()
			if err != nil {
				return 0, err
			}
			row[0], row[1] = [16]byte(id), now
			rows[i] = row
		}
		_, err := d.pool.CopyFrom(ctx, pgx.Identifier{table}, s.columns, pgx.CopyFromRows(rows))
		return batch, err
	})
}

// side runs writers side by side for a while and says how much a second they did.
func side(ctx context.Context, writers int, d time.Duration, do func(ctx context.Context, writer int) (int, error)) (float64, error) {
	began := time.Now()
	type result struct {
		n   int
		err error
	}
	results := make(chan result, writers)
	for w := range writers {
		go func() {
			var r result
			for r.err == nil && time.Since(began) < d {
				var n int
				n, r.err = do(ctx, w)
				r.n += n
			}
			results <- r
		}()
	}
	n, errs := 0, error(nil)
	for range writers {
		r := <-results
		n += r.n
		errs = errors.Join(errs, r.err)
	}
	return float64(n) / time.Since(began).Seconds(), errs
}
