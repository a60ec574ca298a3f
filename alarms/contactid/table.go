package contactid

import (
	_ "embed"
	"strconv"
	"strings"
)

//go:embed codes.tsv
var codes string

// Entry is one line of the table.
type Entry struct {
	Code   string
	Class  string
	Kind   string // alarm, trouble, info, openclose, cancel, bypass, test, testrun
	User   bool   // CCC is a user's number, not a zone's
	RU, EN string
}

var table = readTable(codes)

func readTable(tsv string) (t [1000]Entry) {
	for line := range strings.Lines(tsv) {
		if line[0] == '#' {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		n, err := strconv.Atoi(f[0])
		if err != nil || len(f) != 6 || conditions[f[2]] == nil {
			panic("contactid: codes.tsv: " + line) // a build that a test refuses
		}
		t[n] = Entry{Code: f[0], Class: f[1], Kind: f[2], User: f[3] == "user", RU: f[4], EN: f[5]}
	}
	return t
}

// Lookup finds a code's entry.
func Lookup(code string) (Entry, bool) {
	if len(code) != 3 {
		return Entry{}, false
	}
	n := 0
	for i := range 3 {
		if code[i] < '0' || code[i] > '9' {
			return Entry{}, false
		}
		n = n*10 + int(code[i]-'0')
	}
	return table[n], table[n].Code != ""
}

// Entries lists the whole table in the order of the codes.
func Entries() []Entry {
	var es []Entry
	for _, e := range table {
		if e.Code != "" {
			es = append(es, e)
		}
	}
	return es
}

// conditions gives each kind's condition for the qualifiers 1, 3 and 6.
var conditions = map[string]*[3]string{
	"alarm":     {"alarm", "restore", "still-present"},
	"trouble":   {"trouble", "restore", "still-present"},
	"info":      {"info", "info", "info"},
	"openclose": {"open", "close", "still-present"},
	"cancel":    {"cancel", "cancel", "cancel"},
	"bypass":    {"bypass", "unbypass", "still-present"},
	"test":      {"test", "test", "test"},
	"testrun":   {"test-start", "test-end", "still-present"},
}

// Condition says what the qualifier makes of the code. A qualifier that does not
// exist gives false: such an event must never pass for a normal alarm.
func (e Entry) Condition(qualifier byte) (string, bool) {
	c := conditions[e.Kind]
	if c == nil {
		return "", false
	}
	switch qualifier {
	case New:
		return c[0], true
	case Restore:
		return c[1], true
	case Still:
		return c[2], true
	}
	return "", false
}
