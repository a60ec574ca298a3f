package pgserver

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrLocked says that another process holds the data directory.
var ErrLocked = errors.New("already in use")

// Lock is held by the process that works on a directory. The kernel drops it
// with the process, so a killed engine never has to be cleaned up after.
type Lock struct{ file *os.File }

// Acquire takes the lock file at path, or says who has it (ErrLocked).
func Acquire(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := exclusive(f); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0) // the number is only for the sentence
		return nil, fmt.Errorf("%s is %w by the engine with process id %s; stop it first or name another --data",
			path, ErrLocked, strings.TrimSpace(string(holder[:n])))
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		f.Close()
		return nil, err
	}
	return &Lock{file: f}, nil
}

// exclusive tries for a moment: Held of another process may have its glance.
func exclusive(f *os.File) error {
	var err error
	for range 5 {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		time.Sleep(pollEvery)
	}
	return err
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// Release lets the next one in. The file stays: removing it would let two
// processes lock two files of the same name.
func (l *Lock) Release() error { return l.file.Close() }

// Held says whether somebody has the lock at path. It takes no lock that would
// be in a starting engine's way: it asks for a shared one and drops it at once,
// which Acquire retries past.
func Held(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}
