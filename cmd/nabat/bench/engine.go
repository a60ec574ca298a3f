package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nabat/simulators/city"
)

// engine is the program under measurement, on a data directory of its own.
type engine struct {
	dir, data string
	cmd       *exec.Cmd
	exited    chan error
	db        *database
	accounts  []string
	// postmaster is the process of the database's server, once it was looked for.
	postmaster string

	Postgres string            `json:"postgres_owner"` // makes tables beside the engine's
	Kafka    []string          `json:"kafka"`
	Listen   map[string]string `json:"listen"`
	PID      int               `json:"pid"`
}

const (
	startWithin = time.Minute
	stopWithin  = time.Minute
)

// startEngine registers the city and returns when the engine is ready.
func startEngine(ctx context.Context, p plan, say func(string, ...any)) (_ *engine, err error) {
	e := &engine{exited: make(chan error, 1)}
	if e.dir, err = os.MkdirTemp("", "nabat-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop(err))
		}
	}()
	// PostgreSQL runs as another user when we are root, and must reach its files.
	if err := os.Chmod(e.dir, 0o755); err != nil { //nolint:gosec // nothing is in it but directories with rights of their own
		return nil, err
	}
	e.data = filepath.Join(e.dir, "data")
	if err := e.register(ctx, p.engine); err != nil {
		return nil, err
	}
	say("город занесён в реестр / city registered: %d", len(e.accounts))
	log, err := os.Create(e.logFile())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	program, args := p.engine, []string{
		"serve", "--data", e.data, "--postgres-port=0", "--kafka-port=0", "--sip-udp=:0", "--sip-tcp=off", "--rtp-ports=0",
		"--alarms-udp=:0", "--alarms-tcp=:0", "--console-address=:0", "--ops-address=:0", "--log-level=warn",
	}
	if p.profile != "" {
		if err := os.MkdirAll(p.profile, 0o755); err != nil { //nolint:gosec // profiles are no secret
			return nil, err
		}
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
		args = []string{"engine", e.data, p.profile}
	}
	e.cmd = command(program, args...)
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { e.exited <- e.cmd.Wait() }()
	if err := e.ready(ctx); err != nil {
		return nil, fmt.Errorf("%w; the engine's log ends:\n%s", err, tail(e.logFile()))
	}
	say("движок работает / engine is up: pid %d", e.PID)
	e.db, err = openDatabase(ctx, e.Postgres)
	return e, err
}

// command is a process that goes with us and hears no Ctrl-C of the terminal: it
// is stopped in order.
func command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...) //nolint:noctx // stopped in order, not killed
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NABAT_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	return cmd
}

func (e *engine) logFile() string { return filepath.Join(e.dir, "engine.log") }

func (e *engine) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	var last error
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the engine is not ready: %w", errors.Join(ctx.Err(), last))
		case err := <-e.exited:
			e.exited <- err
			return fmt.Errorf("the engine does not start: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
		text, err := os.ReadFile(filepath.Join(e.data, "run.json"))
		if err != nil {
			last = err
			continue
		}
		if last = json.Unmarshal(text, e); last != nil || e.PID != e.cmd.Process.Pid {
			continue
		}
		var body []byte
		if body, last = e.get(ctx, "/readyz"); last == nil {
			return nil
		}
		last = fmt.Errorf("%w: %s", last, body)
	}
}

func (e *engine) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.Listen["ops"]+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var text strings.Builder
	_, err = bufio.NewReader(res.Body).WriteTo(&text)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return []byte(text.String()), err
}

// batches tells how many units the engine's writers have committed, and in how
// many transactions.
func (e *engine) batches(ctx context.Context) (units, transactions float64, err error) {
	m, err := e.metrics(ctx)
	return m["nabat_writer_batch_units_sum"], m["nabat_writer_batch_units_count"], err
}

// metrics sums the series of each name.
func (e *engine) metrics(ctx context.Context) (map[string]float64, error) {
	text, err := e.get(ctx, "/metrics")
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	sums := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if cut := strings.LastIndexByte(line, '}'); cut >= 0 { // labels may hold spaces
			name, value = line[:cut+1], strings.TrimSpace(line[cut+1:])
		}
		name, _, _ = strings.Cut(name, "{")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			sums[name] += v
		}
	}
	return sums, nil
}

// stop ends the engine in order, and removes what it wrote unless something
// went wrong before.
func (e *engine) stop(before error) (err error) {
	if e.db != nil {
		e.db.close()
	}
	if e.cmd != nil && e.cmd.Process != nil {
		err = e.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case waitErr := <-e.exited:
			err = errors.Join(err, waitErr)
		case <-time.After(stopWithin):
			err = errors.Join(err, errors.New("the engine does not stop"), e.cmd.Process.Kill(), <-e.exited)
		}
	}
	if err != nil {
		return fmt.Errorf("stop the engine: %w; its files stay in %s; its log ends:\n%s", err, e.dir, tail(e.logFile()))
	}
	if before != nil {
		return fmt.Errorf("the engine's files stay in %s", e.dir)
	}
	return os.RemoveAll(e.dir)
}

// register imports the city by the administrator's own command, before the
// engine starts.
func (e *engine) register(ctx context.Context, program string) error {
	facilities, accounts := filepath.Join(e.dir, "facilities.csv"), filepath.Join(e.dir, "accounts.csv")
	town := city.Demo()
	if err := writeTables(town, facilities, accounts); err != nil {
		return err
	}
	for _, f := range town {
		for _, p := range f.Panels {
			e.accounts = append(e.accounts, p.Account)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	said, err := exec.CommandContext(ctx, program, "facility", "import", "--data", e.data, facilities, accounts).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import the city: %w: %s", err, said)
	}
	return nil
}

func tail(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-3000):])
}
