package routing

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is one mistake in a ruleset and its place in the YAML file. Line and
// Column count from 1, columns in characters.
type Fault struct {
	File   string
	Line   int
	Column int
	Reason string
}

func (f Fault) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Reason)
}

// FaultsError lists every mistake that was found in a ruleset, by place.
type FaultsError struct {
	Faults []Fault
}

func (e *FaultsError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// faults gathers mistakes while a ruleset is read.
type faults struct {
	file string
	list []Fault
}

func (f *faults) add(at place, format string, args ...any) {
	f.list = append(f.list, Fault{File: f.file, Line: at.line, Column: at.column, Reason: fmt.Sprintf(format, args...)})
}

func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &FaultsError{Faults: f.list}
}

// place is a position in the YAML file, both numbers from 1.
type place struct {
	line, column int
}
