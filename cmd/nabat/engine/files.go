package engine

import (
	"syscall"

	"nabat/alarms/listen"
	"nabat/console"
	"nabat/sip/gateway"
)

// share is how many descriptors those who connect from outside may take.
type share struct {
	panels, trunks, consoles int
}

// opsConnections is how many may ask for health and metrics at once.
const opsConnections = 64

// shareOf divides the limit of open files: half for panels, an eighth for
// telephone trunks and another for consoles, never above the defaults. The rest
// stays for voice, the database and the broker, however many connect.
func shareOf(files uint64) share {
	part := func(of uint64, most int) int { return int(min(max(files/of, 1), uint64(most))) } //nolint:gosec // at most `most`, which is positive
	return share{panels: part(2, listen.DefaultMaxConns), trunks: part(8, gateway.DefaultConnections), consoles: part(8, console.DefaultConnections)}
}

// openFiles is the limit of this process; the runtime has raised it to the hard
// one. Where it cannot be asked the smallest usual one is assumed.
func openFiles() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return l.Cur
}
