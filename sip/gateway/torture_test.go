package gateway

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tortureDir is where the SIP module keeps the raw octets of RFC 4475's messages.
func tortureDir(t testing.TB) string {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/emiago/sipgo").Output()
	require.NoError(t, err)
	dir := filepath.Join(strings.TrimSpace(string(out)), "sip", "testdata", "torture")
	require.DirExists(t, dir)
	return dir
}

// Answers that RFC 4475 asks for, or that suit a line which takes no
// registrations; 0 is no answer. Messages that the parser refuses are not here:
// they are dropped.
var torture = map[string]int{
	// §3.1.1, valid
	"wsinv.dat": 481, "intmeth.dat": 405, "esc01.dat": 200, "escnull.dat": 405, "esc02.dat": 405,
	"lwsdisp.dat": 200, "longreq.dat": 200, "dblreq.dat": 405, "semiuri.dat": 200, "transports.dat": 200,
	"mpart01.dat": 415, "unreason.dat": 0, "noreason.dat": 0,
	// §3.1.2 and later, faulty in some way
	"badvers.dat": 505, "mismatch01.dat": 400, "mismatch02.dat": 400, "insuf.dat": 400, "unkscm.dat": 416,
	"unksm2.dat": 405, "bext01.dat": 420, "invut.dat": 415, "regaut01.dat": 405, "multi01.dat": 400,
	"mcl01.dat": 400, "bcast.dat": 0, "zeromf.dat": 200, "cparam01.dat": 405, "cparam02.dat": 405,
	"regescrt.dat": 405, "sdp01.dat": 406, "regbadct.dat": 405, "badbranch.dat": 200,
}

func TestTortureMessages(t *testing.T) {
	dir := tortureDir(t)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.dat"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 49)
	seen := 0
	for _, f := range files {
		name := filepath.Base(f)
		want, known := torture[name]
		if known {
			seen++
		}
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(f)
			require.NoError(t, err)
			bubble(t, &fakeHouse{}, nil, func(t *testing.T, r *rig) { torment(t, r, string(raw), known, want) })
		})
	}
	require.Len(t, torture, seen)
}

func torment(t *testing.T, r *rig, msg string, known bool, want int) {
	// The in-memory telephone only hears its own port: ask for the answer there.
	r.phone.send(strings.Replace(msg, ";branch=", ";rport;branch=", 1))
	time.Sleep(2 * time.Second)
	got := 0
	for _, m := range r.phone.drain() {
		if strings.HasPrefix(m, "SIP/2.0 ") && status(m) >= 200 {
			got = status(m)
		}
	}
	if known {
		require.Equal(t, want, got)
	}
	// And after that the line is as good as new.
	r.phone.send(r.phone.write(r.phone.invite("after")))
	for header(r.phone.wait("SIP/2.0 200", 5*time.Second), "Call-ID") != "after" {
		continue
	}
}
