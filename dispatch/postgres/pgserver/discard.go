package pgserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"go.uber.org/zap"
)

// Discard stops whatever an earlier process left running in a data directory
// and removes the directory with the database in it, also one that was relocated
// and what was set aside there. It refuses one that is in use (ErrLocked).
func Discard(ctx context.Context, data string) error {
	lock, err := Acquire(filepath.Join(data, lockFile))
	if err != nil {
		return err
	}
	return errors.Join(discard(ctx, data), lock.Release())
}

func discard(ctx context.Context, data string) error {
	name, err := settle(data) // relocation goes by the one true name
	if err != nil {
		return err
	}
	elsewhere := filepath.Join(relocateRoot, hashOf(name))
	for _, dir := range []string{elsewhere, name} { // the lock goes last
		pgdata := place{dir: filepath.Join(dir, "postgres")}.pgdata()
		if err := adoptOrphan(ctx, pgdata, zap.NewNop()); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return os.RemoveAll(data) // if it was a link
}
