package siadcs

import (
	_ "embed"
	"strings"
)

//go:embed codes.tsv
var codes string

// Entry is one line of the table.
type Entry struct {
	Code      string
	Class     string
	Condition string
	User      bool // the number is a user's, not a zone's
}

// table is indexed by the two letters: a lookup allocates and hashes nothing.
var table = readTable(codes)

func readTable(tsv string) (t [26 * 26]Entry) {
	for line := range strings.Lines(tsv) {
		if line[0] == '#' {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 || !isCode(f[0]) || len(f[0]) != 2 {
			panic("siadcs: codes.tsv: " + line) // a build that a test refuses
		}
		t[index(f[0])] = Entry{Code: f[0], Class: f[1], Condition: f[2], User: f[3] == "user"}
	}
	return t
}

func index(code string) int { return int(code[0]-'A')*26 + int(code[1]-'A') }

// Lookup finds a code's entry.
func Lookup(code string) (Entry, bool) {
	if len(code) != 2 || !isCode(code) {
		return Entry{}, false
	}
	e := table[index(code)]
	return e, e.Code != ""
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
