package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// engine is `nabat serve` on one data directory, in as many lives as the test
// gives it.
type engine struct {
	t     *testing.T
	bin   string
	data  string
	log   string
	flags []string

	cmd    *exec.Cmd
	exited chan error
	at     running
}

// running is what a running engine writes into run.json.
type running struct {
	PID      int               `json:"pid"`
	Postgres string            `json:"postgres"`
	Kafka    []string          `json:"kafka"`
	Listen   map[string]string `json:"listen"`
}

func newEngine(t *testing.T, dir string, flags ...string) *engine {
	e := &engine{
		t: t, bin: nabat(t), data: filepath.Join(dir, "data"), log: filepath.Join(dir, "engine.log"),
		flags: append([]string{
			"--postgres-port=0", "--kafka-port=0", "--sip-udp=:0", "--sip-tcp=:0", "--rtp-ports=0",
			"--alarms-udp=:0", "--alarms-tcp=:0", "--console-address=:0", "--ops-address=:0", "--log-level=debug",
		}, flags...),
	}
	t.Cleanup(func() {
		if e.cmd != nil {
			e.kill()
		}
		if t.Failed() {
			t.Logf("the engine's log ends:\n%s", tail(e.log, 8000))
		}
	})
	return e
}

func (e *engine) console() string { return "http://" + e.at.Listen["console"] }

// environment is ours without the keys that would configure the engine.
func environment() []string {
	env := []string{"GORACE=exitcode=66"} // a race found makes the exit code tell
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NABAT_") && !strings.HasPrefix(v, "GORACE=") {
			env = append(env, v)
		}
	}
	return env
}

// start runs the engine and returns when it says that it is ready.
func (e *engine) start() {
	e.t.Helper()
	log, err := os.OpenFile(e.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(e.t, err)
	defer log.Close()
	// Not bound to the test's context: it is stopped in order, also after a failure.
	cmd := exec.Command(e.bin, append([]string{"serve", "--data", e.data}, e.flags...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	require.NoError(e.t, cmd.Start())
	e.cmd, e.exited = cmd, make(chan error, 1)
	go func(done chan<- error) { done <- cmd.Wait() }(e.exited)
	await(e.t, "the engine to be ready", func() (struct{}, error) {
		var none struct{}
		select {
		case err := <-e.exited:
			e.exited <- err
			require.FailNow(e.t, "the engine does not start", "%v", err)
		default:
		}
		text, err := os.ReadFile(filepath.Join(e.data, "run.json"))
		if err != nil {
			return none, err
		}
		if err := json.Unmarshal(text, &e.at); err != nil {
			return none, err
		}
		if e.at.PID != cmd.Process.Pid {
			return none, fmt.Errorf("run.json names process %d, ours is %d", e.at.PID, cmd.Process.Pid)
		}
		_, err = get(e.t, "http://"+e.at.Listen["ops"]+"/readyz", "")
		return none, err
	})
}

func (e *engine) signal(s syscall.Signal) {
	e.t.Helper()
	require.NoError(e.t, e.cmd.Process.Signal(s))
}

// stop asks the engine to go, as an administrator does; it must obey with 0 and
// take everything along that it started.
func (e *engine) stop() {
	e.t.Helper()
	e.signal(syscall.SIGTERM)
	select {
	case err := <-e.exited:
		e.exited <- err
		require.NoError(e.t, err, "SIGTERM is obeyed with exit code 0")
	case <-time.After(patience):
		require.FailNow(e.t, "the engine does not stop")
	}
	e.cmd = nil
	require.Empty(e.t, processesIn(e.t, e.data), "processes left behind")
	require.NoFileExists(e.t, filepath.Join(e.data, "run.json"))
}

// kill is for a test that has failed half-way: first in order, then by force.
func (e *engine) kill() {
	e.cmd.Process.Signal(syscall.SIGCONT)
	e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.exited:
	case <-time.After(patience):
		e.cmd.Process.Kill()
		<-e.exited
	}
	for pid := range processesIn(e.t, e.data) {
		syscall.Kill(pid, syscall.SIGQUIT) // PostgreSQL's «immediate»
	}
}

// processesIn lists the processes that work in a directory or were started with
// it as an argument.
func processesIn(t *testing.T, dir string) map[int]string {
	t.Helper()
	found := map[int]string{}
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	for _, link := range links {
		proc := filepath.Dir(link)
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(proc), "%d", &pid); err != nil {
			continue
		}
		cwd, _ := os.Readlink(link)
		words, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		line := string(bytes.ReplaceAll(words, []byte{0}, []byte{' '}))
		if strings.HasPrefix(cwd, dir) || strings.Contains(line, dir) {
			found[pid] = line
		}
	}
	return found
}

// command runs another command of the binary on the same data and gives what it
// prints.
func (e *engine) command(stdin string, args ...string) string {
	e.t.Helper()
	cmd := exec.CommandContext(e.t.Context(), e.bin, append(args, "--data", e.data)...)
	cmd.Env, cmd.Stdin = environment(), strings.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(e.t, err, "nabat %s: %s%s", args, out, &errs)
	return strings.TrimSpace(string(out))
}

// says waits for a line of the engine's log.
func (e *engine) says(want ...string) {
	e.t.Helper()
	await(e.t, "the engine's log to tell", func() (none struct{}, _ error) {
		text, err := os.ReadFile(e.log)
		if err != nil {
			return none, err
		}
		for line := range strings.Lines(string(text)) {
			if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(line, w) }) {
				return none, nil
			}
		}
		return none, fmt.Errorf("no line with %q", want)
	})
}

// get asks over HTTP and gives the body; anything but 200 is an error.
func get(t *testing.T, url, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	// No connection is kept: the engine is stopped and started under us.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, res.Status, body)
	}
	return body, err
}
