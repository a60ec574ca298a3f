package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// frame puts a body into the envelope of ANSI/SIA DC-09 §5.5.1: LF, checksum,
// length, body, CR.
func frame(body string) string {
	return fmt.Sprintf("\n%04X%04X%s\r", checksum(body), len(body), body)
}

// checksum is CRC-16/ARC, bit by bit.
func checksum(body string) uint16 {
	var crc uint16
	for _, b := range []byte(body) {
		crc ^= uint16(b)
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low != 0 {
				crc ^= 0xA001
			}
		}
	}
	return crc
}

// The test's own envelope must not be wrong in the same way as the engine's: this
// is the worked example of the standard.
func TestFrameIsTheStandards(t *testing.T) {
	t.Parallel()
	require.Equal(t, uint16(0xBB3D), checksum("123456789"))
	require.Equal(t, "\n87CD0037\"ADM-CID\"9876R579BDFL789ABC#12345A[#12345A|1110 00 129]\r",
		frame(`"ADM-CID"9876R579BDFL789ABC#12345A[#12345A|1110 00 129]`))
}

// panel is a facility's alarm device on one TCP connection.
type panel struct {
	t       *testing.T
	account string
	conn    net.Conn
	in      *bufio.Reader
	seq     int
}

func newPanel(t *testing.T, addr, account string) *panel {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return &panel{t: t, account: account, conn: conn, in: bufio.NewReader(conn)}
}

// send puts a Contact ID event on the wire and gives the one answer that is right.
func (p *panel) send(event string) (ack string) {
	p.t.Helper()
	p.seq++
	head := fmt.Sprintf("%04dL0#%s", p.seq, p.account)
	body := fmt.Sprintf(`"ADM-CID"%s[#%s|%s]_%s`, head, p.account, event, time.Now().UTC().Format("15:04:05,01-02-2006"))
	_, err := p.conn.Write([]byte(frame(body)))
	require.NoError(p.t, err)
	return frame(`"ACK"` + head + `[]`)
}

// hear waits for an answer.
func (p *panel) hear() string {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(patience)))
	answer, err := p.in.ReadString('\r')
	require.NoError(p.t, err)
	return answer
}

// telephone is one sipp with one call or message.
type telephone struct {
	t    *testing.T
	out  bytes.Buffer
	done chan error
}

// dial plays a scenario once against target. A port that somebody takes between
// the kernel's answer and sipp is asked for again.
func dial(t *testing.T, target, scenario string) *telephone {
	t.Helper()
	path := peer(t, "sipp", "sip-tester")
	file, err := filepath.Abs(filepath.Join("testdata", scenario+".xml"))
	require.NoError(t, err)
	p := &telephone{t: t, done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	dir := t.TempDir()
	go func() {
		defer close(ended)
		for range 5 {
			p.out.Reset()
			cmd := exec.CommandContext(ctx, path, target, "-sf", file, "-m", "1", "-i", "127.0.0.1", "-p", freePort(),
				"-mi", "127.0.0.1", "-mp", freePort(), "-timeout", "600s", "-timeout_error", "-nostdin", "-trace_err")
			cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &p.out, &p.out
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
			err := cmd.Run()
			if err == nil || !bytes.Contains(p.out.Bytes(), []byte("Unable to bind")) {
				p.done <- err
				return
			}
		}
		p.done <- fmt.Errorf("sipp found no port")
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return p
}

func freePort() string {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return "0"
	}
	defer c.Close()
	return strconv.Itoa(c.LocalAddr().(*net.UDPAddr).Port)
}

// over waits for the scenario's good end.
func (p *telephone) over() {
	p.t.Helper()
	select {
	case err := <-p.done:
		require.NoError(p.t, err, "sipp: %s", &p.out)
	case <-time.After(patience):
		require.FailNow(p.t, "sipp waits in vain")
	}
}

// talking fails if the call is over.
func (p *telephone) talking() {
	p.t.Helper()
	select {
	case err := <-p.done:
		require.FailNow(p.t, "the call has ended by itself", "%v: %s", err, &p.out)
	default:
	}
}
