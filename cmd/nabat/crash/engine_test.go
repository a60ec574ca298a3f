package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/cmd/nabat/datadir"
	"nabat/dispatch/postgres/pgserver"
)

// How long things may take on a machine that others work on as well.
const (
	buildLimit = 20 * time.Minute // from nothing, on a machine that does other things too
	startLimit = 2 * time.Minute
	killLimit  = 30 * time.Second
	lookEvery  = 10 * time.Millisecond
)

// built is the binary of this test process.
var built struct {
	sync.Once
	dir, path string
	err       error
}

// program gives the binary under test, built once without the race detector: its
// speed is what makes the moments of the kills interesting.
func program(t *testing.T) string {
	t.Helper()
	if *ready != "" {
		return *ready
	}
	built.Do(func() {
		built.dir, built.err = os.MkdirTemp("", "nabat-built-") //nolint:usetesting // the whole process needs it
		if built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "nabat")
		ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
		defer cancel()
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", built.path, "nabat/cmd/nabat")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make builds it: nothing is compiled again
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the engine: %w\n%s", err, out)
		}
	})
	require.NoError(t, built.err)
	return built.path
}

// house is a data directory with whatever engine is on it.
type house struct {
	t        *testing.T
	bin      string
	data     string
	log      *os.File
	settings string // hidden settings of the embedded database
	rtp      string
	live     *engine // the last one that was started
}

// engine is one life of the binary.
type engine struct {
	h    *house
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone
	err  error         // how it ended; read after done
	run  datadir.Run
	up   time.Duration // from its start to its listeners
}

func newHouse(t *testing.T, settings string) *house {
	t.Helper()
	// Short, and open to the user who runs PostgreSQL for a root engine.
	base, err := os.MkdirTemp("", "nbk") //nolint:usetesting // see above
	require.NoError(t, err)
	require.NoError(t, os.Chmod(base, 0o755))
	h := &house{t: t, bin: program(t), data: filepath.Join(base, "d"), settings: settings, rtp: rtpPorts(t)}
	h.log, err = os.Create(filepath.Join(base, "engine.log"))
	require.NoError(t, err)
	t.Cleanup(func() {
		h.kill(true)
		h.log.Close()
		if t.Failed() {
			t.Logf("kept for a look: %s", base)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		defer cancel()
		if err := errors.Join(pgserver.Discard(ctx, h.data), os.RemoveAll(base)); err != nil {
			t.Errorf("tidy up: %v", err)
		}
	})
	return h
}

// rtpPorts is a stretch of ports somewhere near one that the kernel chose.
func rtpPorts(t *testing.T) string {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	first := min(pc.LocalAddr().(*net.UDPAddr).Port, 65535-400) &^ 1
	return fmt.Sprintf("%d-%d", first, first+399)
}

// environment is the machine's without the settings of somebody's own engine.
func (h *house) environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "NABAT_") {
			env = append(env, kv)
		}
	}
	if h.settings != "" {
		env = append(env, "NABAT_POSTGRES_UNSAFE_SETTINGS_THAT_LOSE_ALARMS="+h.settings)
	}
	return env
}

// launch starts an engine and does not wait for it.
func (h *house) launch() *engine {
	h.t.Helper()
	e := &engine{h: h, done: make(chan struct{})}
	e.cmd = exec.Command(h.bin, "serve", "--lang", "en", "--data", h.data, "--log-level", "warn", "--log-format", "json",
		"--postgres-port", "0", "--kafka-port", "0", "--sip-udp", ":0", "--sip-tcp", ":0", "--rtp-ports", h.rtp,
		"--alarms-udp", ":0", "--alarms-tcp", ":0", "--console-address", ":0", "--ops-address", ":0")
	e.cmd.Env = h.environment()
	e.cmd.Stdout, e.cmd.Stderr = h.log, h.log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C at the test is not for it
	// Should this process die, the engine goes too; the kernel asks for the thread
	// that started it.
	e.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := e.cmd.Start()
		started <- err
		if err == nil {
			e.err = e.cmd.Wait()
			close(e.done)
		}
	}()
	require.NoError(h.t, <-started)
	h.live = e
	return e
}

// listening waits until the engine has said where it can be reached. Its sockets
// are open then, and nobody is answered yet.
func (e *engine) listening() error {
	began := time.Now()
	err := until(startLimit, func() (bool, error) {
		select {
		case <-e.done:
			return false, fmt.Errorf("the engine ended by itself: %w\n%s", e.err, e.h.tail())
		default:
		}
		r := e.h.described()
		if r.PID != e.cmd.Process.Pid {
			return false, nil // nobody's yet, or of an earlier life
		}
		e.run, e.up = r, time.Since(began)
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the engine: %w", err)
	}
	return nil
}

// described is what run.json says; nothing while it is not there.
func (h *house) described() (r datadir.Run) {
	text, err := os.ReadFile(filepath.Join(h.data, "run.json"))
	if err != nil || json.Unmarshal(text, &r) != nil {
		return datadir.Run{}
	}
	return r
}

// serving waits until the engine says that it is ready; on a database that
// forgets it never does, and that it answers at all must do.
func (e *engine) serving(ctx context.Context) error {
	url := "http://" + e.run.Listen["ops"] + "/readyz"
	return until(startLimit, func() (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false, err
		}
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil // not yet
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK || e.h.settings != "", nil
	})
}

// kill ends the engine as a power cut would, with or without its database, and
// returns when every process that it hit is gone.
func (h *house) kill(database bool) {
	e := h.live
	if e == nil {
		return
	}
	h.live = nil
	victims := []int{e.cmd.Process.Pid}
	if database {
		victims = append(victims, family(e.cmd.Process.Pid)...)
	}
	select {
	case <-e.done: // its number may be somebody else's by now
		victims = victims[1:]
	default:
	}
	for _, pid := range victims {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if database {
		// A backend that was being born while we looked.
		cluster := filepath.Join(h.data, "postgres", "cluster")
		err := until(killLimit, func() (bool, error) {
			left := standing(cluster)
			for _, pid := range left {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			return len(left) == 0, nil
		})
		if err != nil {
			h.t.Errorf("kill the database: %v", err)
		}
	}
	select {
	case <-e.done:
	case <-time.After(killLimit):
		h.t.Errorf("the engine %d outlives SIGKILL", e.cmd.Process.Pid)
	}
}

// stop ends the engine in good order.
func (h *house) stop() error {
	e := h.live
	h.live = nil
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-e.done:
		return e.err
	case <-time.After(startLimit):
		h.live = e
		return errors.New("the engine does not stop")
	}
}

// command runs another command of the binary on the same data.
func (h *house) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, h.bin, append(args, "--lang", "en", "--data", h.data, "--log-level", "error")...)
	cmd.Env = h.environment()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// tail quotes the end of the engines' log.
func (h *house) tail() string {
	b, err := os.ReadFile(h.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}

// family lists the children of a process and theirs: the database's server
// before its backends, which are sessions and process groups of their own.
func family(pid int) []int {
	children := map[int][]int{}
	for _, p := range processes() {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p), "stat"))
		if err != nil {
			continue
		}
		// pid (comm) state ppid …; comm may hold anything, also parentheses.
		_, rest, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], p)
		}
	}
	var out []int
	for next := children[pid]; len(next) > 0; {
		out = append(out, next...)
		var deeper []int
		for _, p := range next {
			deeper = append(deeper, children[p]...)
		}
		next = deeper
	}
	return out
}

// standing lists the PostgreSQL processes of a cluster: all of them work in its
// directory. The dead that nobody has buried have none.
func standing(cluster string) []int {
	var out []int
	for _, p := range processes() {
		dir, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(p), "cwd"))
		if err == nil && dir == cluster {
			out = append(out, p)
		}
	}
	return out
}

func processes() []int {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []int
	for _, d := range dirs {
		if pid, err := strconv.Atoi(d.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

var errLate = errors.New("not in time")

// until looks again and again; there is no event to wait for in another process.
func until(limit time.Duration, ok func() (bool, error)) error {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		yes, err := ok()
		if yes || err != nil {
			return err
		}
		select {
		case <-end.C:
			return fmt.Errorf("%w: %s are over", errLate, limit)
		case <-tick.C:
		}
	}
}

// wait is a pause of the outside's own; false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
