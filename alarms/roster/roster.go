package roster

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Facility is a row of a table of facilities.
type Facility struct {
	Code, Name, Category, Address, District, Phone string
	Lat, Lon                                       *float64
}

// Account is a row of a table of panels.
type Account struct {
	Account, Facility, Protocol string
	Heartbeat                   int // seconds
	At                          Place
}

// Zone is a row of a table of zones: one detector loop of a panel.
type Zone struct {
	Account, Area, Number, Kind, Place string
	At                                 Place
}

// Place is where the name of another table's row stands in the file, for mistakes
// that only the database can find. The zero Place is none.
type Place struct{ Line, Column int }

// Table is a table without mistakes: one of the three.
type Table struct {
	Facilities []Facility
	Accounts   []Account
	Zones      []Zone
}

// Len is the number of rows.
func (t Table) Len() int { return len(t.Facilities) + len(t.Accounts) + len(t.Zones) }

// Fault is one mistake. Line and Column count from 1, columns in octets.
type Fault struct {
	Line, Column int
	Reason       string
}

func (f Fault) String() string { return fmt.Sprintf("%d:%d: %s", f.Line, f.Column, f.Reason) }

// FaultsError lists the mistakes of a table by place.
type FaultsError struct {
	Faults []Fault
	// More says that there were more than are listed.
	More bool
}

func (e *FaultsError) Error() string {
	if len(e.Faults) == 1 {
		return e.Faults[0].String()
	}
	return fmt.Sprintf("%s (and %d more)", e.Faults[0], len(e.Faults)-1)
}

// maxFaults bounds the list: a table in the wrong encoding has one in each line.
const maxFaults = 1000

// Columns of the three tables, in the order in which Write puts them.
var (
	FacilityColumns = []string{"facility_id", "name", "category", "address", "district", "lat", "lon", "phone"}
	AccountColumns  = []string{"account", "facility_id", "protocol", "heartbeat_s"}
	ZoneColumns     = []string{"account", "area", "zone", "kind", "place"}
)

// kinds are the classes of package alarms that a detector can be for.
var kinds = []string{
	"fire", "panic", "duress", "intrusion", "tamper", "gas", "co", "medical", "water", "temperature", "technical", "power",
}

var categories = []string{"education", "health", "social", "other"}

// maxText bounds a field, in characters.
const maxText = 500

// Read reads one table. The error is a *FaultsError, or about reading.
func Read(r io.Reader) (Table, error) {
	p := parser{seen: map[string]int{}}
	in := bufio.NewReader(r)
	if mark, _ := in.Peek(3); bytes.Equal(mark, []byte("\ufeff")) {
		if _, err := in.Discard(len(mark)); err != nil {
			return Table{}, fmt.Errorf("read the table: %w", err)
		}
	}
	first, err := in.Peek(in.Size())
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return Table{}, fmt.Errorf("read the table: %w", err)
	}
	p.csv = csv.NewReader(in)
	p.csv.FieldsPerRecord = -1
	p.csv.ReuseRecord = true
	if head, _, _ := bytes.Cut(first, []byte("\n")); !bytes.ContainsRune(head, ',') && bytes.ContainsRune(head, ';') {
		p.csv.Comma = ';'
	}
	if err := p.header(); err != nil {
		return Table{}, err
	}
	for len(p.faults) < maxFaults {
		row, err := p.csv.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			p.faults = append(p.faults, Fault{bad.Line, bad.Column, bad.Err.Error()})
			if errors.Is(bad.Err, csv.ErrQuote) || errors.Is(bad.Err, csv.ErrBareQuote) {
				continue
			}
			break
		}
		if err != nil {
			return Table{}, fmt.Errorf("read the table: %w", err)
		}
		p.row(row)
	}
	if len(p.faults) > 0 {
		slices.SortStableFunc(p.faults, func(a, b Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
		return Table{}, &FaultsError{Faults: p.faults, More: len(p.faults) >= maxFaults}
	}
	return p.table, nil
}

type parser struct {
	csv     *csv.Reader
	columns []string
	table   Table
	faults  []Fault
	seen    map[string]int // key of a row → its line
}

// header reads the first line and tells which table this is.
func (p *parser) header() error {
	head, err := p.csv.Read()
	if errors.Is(err, io.EOF) {
		return &FaultsError{Faults: []Fault{{1, 1, "the table is empty, a header is needed"}}}
	}
	if err != nil {
		return &FaultsError{Faults: []Fault{{1, 1, err.Error()}}}
	}
	p.columns = slices.Clone(head)
	for i, c := range p.columns {
		p.columns[i] = strings.ToLower(strings.TrimSpace(c))
	}
	known, needed := FacilityColumns, []string{"facility_id", "name", "category", "address"}
	switch {
	case slices.Contains(p.columns, "zone"):
		known, needed = ZoneColumns, []string{"account", "zone", "kind"}
	case slices.Contains(p.columns, "account"):
		known, needed = AccountColumns, []string{"account", "facility_id"}
	}
	for i, c := range p.columns {
		switch {
		case !slices.Contains(known, c):
			p.fault(i, "unknown column %q; known: %s", c, strings.Join(known, ", "))
		case slices.Index(p.columns, c) != i:
			p.fault(i, "column %q stands twice", c)
		}
	}
	for _, c := range needed {
		if !slices.Contains(p.columns, c) {
			p.faults = append(p.faults, Fault{1, 1, fmt.Sprintf("column %q is missing", c)})
		}
	}
	if len(p.faults) > 0 {
		return &FaultsError{Faults: p.faults}
	}
	return nil
}

// fault notes a mistake at a field of the row that was read last.
func (p *parser) fault(field int, format string, args ...any) {
	line, column := p.csv.FieldPos(field)
	p.faults = append(p.faults, Fault{line, column, fmt.Sprintf(format, args...)})
}

// at is where a column's value stands; -1 where the table lacks the column.
func (p *parser) at(column string) int { return slices.Index(p.columns, column) }

func (p *parser) row(row []string) {
	if len(row) != len(p.columns) {
		p.fault(0, "%d fields, the header has %d", len(row), len(p.columns))
		return
	}
	for i, v := range row {
		row[i] = strings.TrimSpace(v)
		switch {
		case !utf8.ValidString(v):
			p.fault(i, "is not UTF-8")
		case utf8.RuneCountInString(v) > maxText:
			p.fault(i, "is longer than %d characters", maxText)
		case strings.ContainsRune(v, 0):
			p.fault(i, "holds a zero octet")
		}
	}
	switch {
	case p.at("zone") >= 0:
		p.zone(row)
	case p.at("account") >= 0:
		p.account(row)
	default:
		p.facility(row)
	}
}

// text takes a column's value; empty where the table lacks the column.
func (p *parser) text(row []string, column string) string {
	if i := p.at(column); i >= 0 {
		return strings.Clone(row[i])
	}
	return ""
}

// must is text that may not be empty.
func (p *parser) must(row []string, column string) string {
	v := p.text(row, column)
	if v == "" {
		p.fault(p.at(column), "%s must not be empty", column)
	}
	return v
}

// once refuses a key that an earlier row has.
func (p *parser) once(key, column string) {
	line, _ := p.csv.FieldPos(0)
	if before, twice := p.seen[key]; twice && key != "" {
		p.fault(p.at(column), "%s %q stands in line %d already", column, key, before)
		return
	}
	p.seen[key] = line
}

func (p *parser) facility(row []string) {
	f := Facility{
		Code: p.must(row, "facility_id"), Name: p.must(row, "name"), Category: p.must(row, "category"),
		Address: p.must(row, "address"), District: p.text(row, "district"), Phone: p.text(row, "phone"),
		Lat: p.degrees(row, "lat", 90), Lon: p.degrees(row, "lon", 180),
	}
	p.once(f.Code, "facility_id")
	if f.Category != "" && !slices.Contains(categories, f.Category) {
		p.fault(p.at("category"), "category %q is not one of %s", f.Category, strings.Join(categories, ", "))
	}
	if (p.text(row, "lat") == "") != (p.text(row, "lon") == "") {
		p.fault(max(p.at("lat"), p.at("lon")), "lat and lon go together")
	}
	p.table.Facilities = append(p.table.Facilities, f)
}

func (p *parser) degrees(row []string, column string, most float64) *float64 {
	v := p.text(row, column)
	if v == "" {
		return nil
	}
	d, err := strconv.ParseFloat(v, 64)
	if err != nil || !(d >= -most && d <= most) {
		p.fault(p.at(column), "%s %q is not between -%g and %g degrees", column, v, most, most)
		return nil
	}
	return &d
}

func (p *parser) account(row []string) {
	a := Account{
		Account: p.number(row), Facility: p.must(row, "facility_id"), Protocol: p.text(row, "protocol"), At: p.place("facility_id"),
	}
	p.once(a.Account, "account")
	if v := p.text(row, "heartbeat_s"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > 40*24*3600 {
			p.fault(p.at("heartbeat_s"), "heartbeat_s %q is not a number of seconds up to 40 days", v)
		}
		a.Heartbeat = n
	}
	p.table.Accounts = append(p.table.Accounts, a)
}

// place is where a column's value stands.
func (p *parser) place(column string) Place {
	line, at := p.csv.FieldPos(p.at(column))
	return Place{line, at}
}

// number is the account's column.
func (p *parser) number(row []string) string {
	a := strings.ToUpper(p.must(row, "account"))
	if a != "" && !hexDigits(a) {
		p.fault(p.at("account"), "account %q is not 3 to 16 hexadecimal digits", a)
	}
	return a
}

func (p *parser) zone(row []string) {
	z := Zone{
		Account: p.number(row), Area: p.text(row, "area"), Number: p.must(row, "zone"), Kind: p.must(row, "kind"),
		Place: p.text(row, "place"), At: p.place("account"),
	}
	for column, v := range map[string]string{"area": z.Area, "zone": z.Number} {
		if strings.Trim(v, "0123456789") != "" || len(v) > 4 {
			p.fault(p.at(column), "%s %q is not up to 4 digits", column, v)
		}
	}
	if z.Kind != "" && !slices.Contains(kinds, z.Kind) {
		p.fault(p.at("kind"), "kind %q is not one of %s", z.Kind, strings.Join(kinds, ", "))
	}
	if z.Number != "" {
		// As panels are asked for their zones: leading zeros make no difference.
		key := z.Account + "/" + strings.TrimLeft(z.Area, "0") + "/" + strings.TrimLeft(z.Number, "0")
		p.once(key, "zone")
	}
	p.table.Zones = append(p.table.Zones, z)
}

func hexDigits(s string) bool {
	if len(s) < 3 || len(s) > 16 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// WriteFacilities writes what Read reads.
func WriteFacilities(w io.Writer, fs []Facility) error {
	out := csv.NewWriter(w)
	rows := [][]string{FacilityColumns}
	for _, f := range fs {
		rows = append(rows, []string{f.Code, f.Name, f.Category, f.Address, f.District, degreesText(f.Lat), degreesText(f.Lon), f.Phone})
	}
	return out.WriteAll(rows)
}

// WriteAccounts writes what Read reads.
func WriteAccounts(w io.Writer, as []Account) error {
	out := csv.NewWriter(w)
	rows := [][]string{AccountColumns}
	for _, a := range as {
		rows = append(rows, []string{a.Account, a.Facility, a.Protocol, strconv.Itoa(a.Heartbeat)})
	}
	return out.WriteAll(rows)
}

// WriteZones writes what Read reads.
func WriteZones(w io.Writer, zs []Zone) error {
	out := csv.NewWriter(w)
	rows := [][]string{ZoneColumns}
	for _, z := range zs {
		rows = append(rows, []string{z.Account, z.Area, z.Number, z.Kind, z.Place})
	}
	return out.WriteAll(rows)
}

func degreesText(d *float64) string {
	if d == nil {
		return ""
	}
	return strconv.FormatFloat(*d, 'f', -1, 64)
}
