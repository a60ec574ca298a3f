package datadir_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/cmd/nabat/datadir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOneHolderAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data")
	_, err := datadir.Running(path)
	require.ErrorIs(t, err, datadir.ErrNotRunning)

	d, err := datadir.Hold(path)
	require.NoError(t, err)
	_, err = datadir.Running(path)
	require.ErrorIs(t, err, datadir.ErrNotRunning, "held, not yet announced")
	_, err = datadir.Hold(path)
	require.ErrorIs(t, err, datadir.ErrLocked)

	require.NoError(t, d.Announce(datadir.Run{Postgres: "postgres://x", Listen: map[string]string{"console": "127.0.0.1:1"}}))
	info, err := os.Stat(filepath.Join(path, "run.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	run, err := datadir.Running(path)
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), run.PID)
	require.Equal(t, "127.0.0.1:1", run.Listen["console"])

	require.NoError(t, d.Release())
	_, err = datadir.Running(path)
	require.ErrorIs(t, err, datadir.ErrNotRunning)
	d, err = datadir.Hold(path)
	require.NoError(t, err)
	require.NoError(t, d.Release())
}

// What a killed engine left must not be believed.
func TestStaleRunFile(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, "run.json"), []byte(`{"pid":1}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(path, "nabat.lock"), []byte("1\n"), 0o600))
	_, err := datadir.Running(path)
	require.ErrorIs(t, err, datadir.ErrNotRunning)
}
