package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"nabat/dispatch/postgres/pgserver"
)

const (
	prefix = "nabat-pg-"
	// stale is how old a directory must be to be taken for a killed run's: its
	// owner may still be between making it and locking it.
	stale = 2 * time.Minute
)

// own starts a server of this process in the temporary directory.
func own(ctx context.Context) (ownServer, error) {
	sweep(ctx)
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return ownServer{}, err
	}
	// Ours, so we may open it to the user who runs the server for root.
	if err := os.Chmod(dir, 0o711); err != nil {
		return ownServer{}, err
	}
	s, err := pgserver.Start(ctx, pgserver.Options{
		Data: dir,
		Settings: map[string]string{
			"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
			"max_connections": "200", "shared_buffers": "64MB", "autovacuum": "off",
		},
		WaiveDurability: true,
	})
	if err != nil {
		return ownServer{}, errors.Join(err, os.RemoveAll(dir))
	}
	return ownServer{s, dir}, nil
}

// sweep stops servers of test processes that were killed and removes their
// files. What cannot be swept is reported, and does not stop the test.
func sweep(ctx context.Context) {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < stale {
			continue
		}
		if err := pgserver.Discard(ctx, dir); err != nil && !errors.Is(err, pgserver.ErrLocked) && !errors.Is(err, os.ErrPermission) {
			fmt.Fprintln(os.Stderr, "pgtest: sweep:", err)
		}
	}
}
