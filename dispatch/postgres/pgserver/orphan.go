package pgserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	fastWait      = 30 * time.Second // fast shutdown writes a checkpoint
	immediateWait = 10 * time.Second
	killWait      = 5 * time.Second
	pollEvery     = 20 * time.Millisecond
)

// adoptOrphan stops what a killed engine left running on pgdata: the server of
// postmaster.pid, and backends whose server was killed and which still hold the
// shared memory. It returns with the files free and no stale pid file.
func adoptOrphan(ctx context.Context, pgdata string, log *zap.Logger) error {
	pidFile := filepath.Join(pgdata, "postmaster.pid")
	pid, err := readPid(pidFile)
	if err != nil {
		return err
	}
	if pid != 0 && serves(pid, pgdata) {
		log.Warn("a PostgreSQL server of an engine that died is still running; stopping it", zap.Int("pid", pid))
		if err := stopForeign(ctx, pid); err != nil {
			return fmt.Errorf("stop the orphaned PostgreSQL server %d: %w", pid, err)
		}
	}
	if err := waitRemains(ctx, pgdata, log); err != nil {
		return err
	}
	// Whatever has that number now is not our server, and would stop the next one.
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func readPid(file string) (int, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	line, _ := bufio.NewReader(f).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 0 {
		return 0, nil // half written: the server never came up
	}
	return pid, nil
}

// serves says whether pid is a PostgreSQL process of this cluster: all of them
// stand in its directory.
func serves(pid int, pgdata string) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	cwd, err := os.Readlink(filepath.Join(proc, "cwd"))
	if err != nil || strings.TrimSuffix(cwd, " (deleted)") != pgdata {
		return false
	}
	exe, err := os.Readlink(filepath.Join(proc, "exe"))
	return err == nil && strings.HasPrefix(filepath.Base(exe), "postgres")
}

// remains lists the processes that still stand in the cluster.
func remains(pgdata string) []int {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, d := range dirs {
		if pid, err := strconv.Atoi(d.Name()); err == nil && serves(pid, pgdata) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// waitRemains gives backends of a killed server time to notice its death, which
// they do by themselves, and then kills them.
func waitRemains(ctx context.Context, pgdata string, log *zap.Logger) error {
	gone := func() bool { return len(remains(pgdata)) == 0 }
	if until(ctx, immediateWait, gone) {
		return nil
	}
	for _, pid := range remains(pgdata) {
		log.Warn("a PostgreSQL process outlived its server; killing it", zap.Int("pid", pid))
		// ESRCH: it ended meanwhile.
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill PostgreSQL process %d: %w", pid, err)
		}
	}
	if until(ctx, killWait, gone) {
		return nil
	}
	return errors.Join(ctx.Err(), fmt.Errorf("PostgreSQL processes %v do not end", remains(pgdata)))
}

// stopForeign stops a server that is not our child: fast, then immediate, then killed.
func stopForeign(ctx context.Context, pid int) error {
	p, err := os.FindProcess(pid) // holds a pidfd: a reused number cannot be hit
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }() // nothing is lost when it fails
	gone := func() bool { return p.Signal(syscall.Signal(0)) != nil }
	for _, step := range []struct {
		sig  syscall.Signal
		wait time.Duration
	}{{syscall.SIGINT, fastWait}, {syscall.SIGQUIT, immediateWait}, {syscall.SIGKILL, killWait}} {
		if err := p.Signal(step.sig); err != nil {
			if errors.Is(err, os.ErrProcessDone) {
				return nil
			}
			return err
		}
		if until(ctx, step.wait, gone) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return fmt.Errorf("process %d does not end", pid)
}

// until polls ok; there is no event to wait for when a process is not our child.
func until(ctx context.Context, limit time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return ok()
		case <-tick.C:
		}
	}
	return true
}
