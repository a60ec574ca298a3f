package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// spent is processor time by who spent it. Unlike rates it hardly depends on what
// else the machine is doing.
type spent struct {
	Engine, Database, Generator time.Duration
}

// perItem is spent time for each of n things, in microseconds.
type perItem struct {
	Engine    float64 `json:"engine"`
	Database  float64 `json:"database"`
	Generator float64 `json:"generator"`
}

func (s spent) since(before spent, n int) perItem {
	each := func(a, b time.Duration) float64 { return float64((a - b).Microseconds()) / float64(max(n, 1)) }
	return perItem{each(s.Engine, before.Engine), each(s.Database, before.Database), each(s.Generator, before.Generator)}
}

func (p perItem) String() string {
	return fmt.Sprintf("engine %.0f, PostgreSQL %.0f, generator %.0f µs", p.Engine, p.Database, p.Generator)
}

// spent reads the clocks. The database's is that of the server processes alive.
func (e *engine) spent(ctx context.Context) (spent, error) {
	m, err := e.metrics(ctx)
	if err != nil {
		return spent{}, err
	}
	s := spent{Engine: time.Duration(m["process_cpu_seconds_total"] * float64(time.Second))}
	var me syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &me); err != nil {
		return s, err
	}
	s.Generator = time.Duration(me.Utime.Nano() + me.Stime.Nano())
	if e.postmaster == "" {
		var backend string
		if err := e.db.pool.QueryRow(ctx, `SELECT pg_backend_pid()::text`).Scan(&backend); err != nil {
			return s, err
		}
		_, e.postmaster = processStat(backend)
	}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return s, err
	}
	for _, name := range all {
		if ticks, parent := processStat(filepath.Base(filepath.Dir(name))); parent == e.postmaster {
			s.Database += ticks
		}
	}
	return s, nil
}

// processStat reads a process's time and its parent; zero when it has gone.
func processStat(pid string) (cpu time.Duration, parent string) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0, ""
	}
	// The name in brackets may hold anything; what follows it is numbers.
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(f) < 13 {
		return 0, ""
	}
	for _, ticks := range f[11:13] {
		n, err := strconv.ParseInt(ticks, 10, 64)
		if err != nil {
			return 0, ""
		}
		cpu += time.Duration(n) * 10 * time.Millisecond // USER_HZ is 100 wherever Go runs
	}
	return cpu, f[1]
}
