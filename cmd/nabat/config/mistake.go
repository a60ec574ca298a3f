package config

import (
	"errors"
	"strings"
)

// Mistake is a value that only a look at the whole can judge.
type Mistake struct {
	Flags  []string // whose values it takes, without dashes
	Reason string
}

func (m Mistake) String() string {
	return "--" + strings.Join(m.Flags, ", --") + ": " + m.Reason
}

// MistakesError is what a Validate found, all of it at once.
type MistakesError []Mistake

func (m MistakesError) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Locate gives the mistakes in err the line of the file that the value came
// from; those of the command line and the environment keep their flag's name.
// Any other error is returned as it is.
func (f *File) Locate(err error) error {
	mistakes, ok := errors.AsType[MistakesError](err)
	if !ok {
		return err
	}
	var all error
	for _, m := range mistakes {
		all = errors.Join(all, f.locate(m))
	}
	return all
}

func (f *File) locate(m Mistake) error {
	for _, name := range m.Flags {
		if !f.used[name] {
			continue
		}
		v := f.values[name]
		keys := make([]string, len(m.Flags))
		for i, flag := range m.Flags {
			keys[i] = dotted(flag)
		}
		return &FileError{File: f.path, Line: v.line, Column: v.column, Reason: strings.Join(keys, ", ") + ": " + m.Reason}
	}
	return MistakesError{m}
}

// dotted is a flag's name as the file spells it.
func dotted(flag string) string {
	section, rest, found := strings.Cut(flag, "-")
	if !found {
		return flag
	}
	return section + "." + strings.ReplaceAll(rest, "-", "_")
}
