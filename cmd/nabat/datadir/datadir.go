// Package datadir is the engine's data directory as its commands see it: who
// holds it, and where a running engine can be reached.
//
// A running engine holds the lock file and describes itself in run.json. Both
// are judged by the lock, never by a process number: the kernel drops the lock
// of a killed engine, while its number may soon be somebody else's.
package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"nabat/dispatch/postgres/pgserver"
)

// ErrNotRunning says that no engine runs on the directory.
var ErrNotRunning = errors.New("no engine runs on this data directory")

// ErrLocked says that an engine already runs on the directory.
var ErrLocked = pgserver.ErrLocked

const (
	lockFile = "nabat.lock"
	runFile  = "run.json"
)

// Run describes a running engine. The file is 0600: the URLs hold passwords.
type Run struct {
	PID      int               `json:"pid"`
	Started  time.Time         `json:"started"`
	Postgres string            `json:"postgres"`                 // of the engine's role
	Owner    string            `json:"postgres_owner,omitempty"` // of the schema's owner, if it is known
	Kafka    []string          `json:"kafka"`
	Listen   map[string]string `json:"listen"` // what is really bound, by key: "console", "alarms_tcp"
}

// Dir is a data directory that this process holds.
type Dir struct {
	path string
	lock *pgserver.Lock
}

// Hold makes the directory if it is missing and takes it; ErrLocked names who
// has it already.
func Hold(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := pgserver.MakeData(abs); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := pgserver.Acquire(filepath.Join(abs, lockFile))
	if err != nil {
		return nil, err
	}
	return &Dir{path: abs, lock: lock}, nil
}

// Path is absolute.
func (d *Dir) Path() string { return d.path }

// Announce writes run.json; call it again when more is known.
func (d *Dir) Announce(r Run) error {
	r.PID = os.Getpid()
	if r.Started.IsZero() {
		r.Started = time.Now().UTC()
	}
	return pgserver.WritePrivate(filepath.Join(d.path, runFile), r)
}

// Release gives the directory up and removes run.json.
func (d *Dir) Release() error {
	err := os.Remove(filepath.Join(d.path, runFile))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, d.lock.Release())
}

// Running finds the engine of a directory; ErrNotRunning if there is none, also
// when a killed one left its run.json.
func Running(path string) (Run, error) {
	var r Run
	text, err := os.ReadFile(filepath.Join(path, runFile))
	if errors.Is(err, os.ErrNotExist) {
		return r, ErrNotRunning
	}
	if err != nil {
		return r, err
	}
	held, err := pgserver.Held(filepath.Join(path, lockFile))
	if err != nil {
		return r, err
	}
	if !held {
		return r, ErrNotRunning
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", filepath.Join(path, runFile), err)
	}
	return r, nil
}
