package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Table is where Rows go. One Table value per table: batches gather by pointer.
type Table struct {
	name    string
	columns int
	copy    string // the statement
}

// NewTable names a table and the columns that its rows have, in their order.
func NewTable(name string, columns ...string) *Table {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = pgx.Identifier{c}.Sanitize()
	}
	return &Table{name: name, columns: len(columns), copy: fmt.Sprintf(
		"COPY %s (%s) FROM STDIN (FORMAT binary)", pgx.Identifier{name}.Sanitize(), strings.Join(quoted, ", "))}
}

// Rows are appended to a table with COPY, once per table and batch. They are
// written in COPY's binary form by whoever hands them in, so that the loop which
// everybody waits for has only octets to pass on. After Row comes one call for
// each of the table's columns, of the method that fits the column's type; a row
// that does not fit is refused by the database like any other bad one.
type Rows struct {
	table  *Table
	octets []byte
}

// NewRows makes room for so many rows.
func NewRows(t *Table, n int) *Rows {
	const usual = 640 // octets of a row
	return &Rows{table: t, octets: make([]byte, 0, n*usual)}
}

// Row begins a row.
func (r *Rows) Row() {
	r.octets = binary.BigEndian.AppendUint16(r.octets, uint16(r.table.columns)) //nolint:gosec // tables have few
}

func (r *Rows) size(n int) {
	r.octets = binary.BigEndian.AppendUint32(r.octets, uint32(n)) //nolint:gosec // fields are far shorter than 2 GiB
}

// Null is a field without a value, of any type.
func (r *Rows) Null() { r.size(-1) }

// UUID is NULL for a zero id.
func (r *Rows) UUID(id [16]byte) {
	if id == [16]byte{} {
		r.Null()
		return
	}
	r.size(len(id))
	r.octets = append(r.octets, id[:]...)
}

// Text is a field of type text, or of bytea when s is octets.
func (r *Rows) Text(s string) {
	r.size(len(s))
	r.octets = append(r.octets, s...)
}

// Bool is a field of type boolean.
func (r *Rows) Bool(b bool) {
	r.size(1)
	if b {
		r.octets = append(r.octets, 1)
	} else {
		r.octets = append(r.octets, 0)
	}
}

// epoch is PostgreSQL's: 2000-01-01, in Unix microseconds.
const epoch = 946_684_800_000_000

// Time is a field of type timestamptz; NULL for the zero time.
func (r *Rows) Time(t time.Time) {
	if t.IsZero() {
		r.Null()
		return
	}
	r.size(8)
	r.octets = binary.BigEndian.AppendUint64(r.octets, uint64(t.UnixMicro()-epoch)) //nolint:gosec // a negative one is two's complement there too
}

// What stands around the rows of one COPY.
var (
	copyHead = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	copyTail = []byte{0xff, 0xff}
)

// copyRows hands the rows of all jobs to their tables, each in one round trip.
func (b *batch) copyRows(ctx context.Context) error {
	var tables []*Table
	copies := b.loop.copies
	for _, j := range b.jobs {
		if j.failed != nil {
			continue
		}
		for _, r := range j.unit.Rows {
			if !slices.Contains(tables, r.table) {
				tables = append(tables, r.table)
				copies[r.table] = append(copies[r.table][:0], copyHead...)
			}
			copies[r.table] = append(copies[r.table], r.octets...)
		}
	}
	for _, t := range tables {
		copies[t] = append(copies[t], copyTail...)
		if _, err := b.conn.PgConn().CopyFrom(ctx, bytes.NewReader(copies[t]), t.copy); err != nil {
			delete(copies, t) // of a lost connection the driver may go on reading it for a moment
			return fmt.Errorf("copy into %s: %w", t.name, err)
		}
	}
	return nil
}
