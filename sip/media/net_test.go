package media

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

func udp(t *testing.T) net.PacketConn {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func addrOf(c net.PacketConn) netip.AddrPort { return netip.MustParseAddrPort(c.LocalAddr().String()) }

func readRTP(t *testing.T, c net.PacketConn) rtp.Packet {
	buf := make([]byte, 1500)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	n, _, err := c.ReadFrom(buf)
	require.NoError(t, err)
	var p rtp.Packet
	require.NoError(t, p.Unmarshal(bytes.Clone(buf[:n])))
	return p
}

func sendRTP(t *testing.T, c net.PacketConn, to net.Addr, pt uint8) {
	p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: pt, SequenceNumber: 1, SSRC: 5}, Payload: make([]byte, 160)}
	b, err := p.Marshal()
	require.NoError(t, err)
	_, err = c.WriteTo(b, to)
	require.NoError(t, err)
}
