package node

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/engine"
)

// A review found it: the line's limits could not be told at all.
func TestTheLineIsToldItsLimits(t *testing.T) {
	t.Parallel()
	network := netip.MustParsePrefix("192.0.2.0/24")
	require.Equal(t, engine.SIP{
		Host: "198.51.100.1", Port: 5070, Peers: []netip.Prefix{network},
		Calls: 10, Legs: 20, Silence: time.Minute, Slow: time.Second,
	}, line(config.Config{
		RTP: config.RTP{Announce: "198.51.100.1"},
		SIP: config.SIP{
			AnnouncePort: 5070, Peers: []config.Network{config.Network(network)},
			Calls: 10, Legs: 20, Silence: time.Minute, Slow: time.Second,
		},
	}))
}
