package panel

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/alarms/dc09"
	"nabat/simulators/tally"
)

// Panels behind one connection do not wait for each other, every answer finds
// its panel, and a connection that is lost is made again.
func TestSharedConnections(t *testing.T) {
	t.Parallel()
	r := &receiver{answer: func(n int, _ string) (dc09.Reply, bool) { return dc09.ACK, n == 30 }}
	var devices []Device
	for _, a := range []string{"1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008"} {
		devices = append(devices, Device{Account: a, Protocol: ContactID})
	}
	mix, err := NamedMix("all")
	require.NoError(t, err)
	tl := tally.New("panels")
	l, err := NewLoad(Options{
		Network: "tcp", Addr: r.tcp(t), Shared: 1, Devices: devices, Mix: mix, Each: 10,
		Patience: Patience{Wait: time.Second, Tries: 6},
	}, tl)
	require.NoError(t, err)
	require.NoError(t, l.Run(t.Context()))
	rep := tl.Report()
	require.EqualValues(t, 80, rep.Acknowledged)
	require.Zero(t, rep.Lost)
	require.GreaterOrEqual(t, len(r.heard()), 81, "one frame was not answered and came again")
}

func TestSharedConnectionsAreForTCP(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Network: "udp", Shared: 1}, {Network: "tcp", Shared: 1, OneShot: true}} {
		o.Addr, o.Devices, o.Each = "127.0.0.1:1", []Device{{Account: "1001", Protocol: ContactID}}, 1
		_, err := NewLoad(o, tally.New("panels"))
		require.ErrorContains(t, err, "shared connections")
	}
}
