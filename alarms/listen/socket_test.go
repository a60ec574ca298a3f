package listen_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"nabat/alarms/listen"
)

// On a host of several addresses a panel hears its answer from the one it spoke
// to: a connected socket, like a NAT, takes no other.
func TestAnswersLeaveFromWhereTheQuestionCame(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		network, bind string
		ask           []string
	}{
		"IPv4":          {"udp4", "0.0.0.0:0", []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}},
		"both families": {"udp", "[::]:0", []string{"127.0.0.1", "127.0.0.2", "::1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pc, err := net.ListenPacket(c.network, c.bind)
			if err != nil && name != "IPv4" {
				t.Skip("this host has no IPv6: ", err)
			}
			require.NoError(t, err)
			defer pc.Close()
			_, port, err := net.SplitHostPort(pc.LocalAddr().String())
			require.NoError(t, err)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- listen.New(&intake{}, zap.NewNop(), nil, listen.Options{}).UDP(ctx, pc) }()
			for _, ip := range c.ask {
				panel, err := net.Dial("udp", net.JoinHostPort(ip, port))
				require.NoError(t, err)
				_, err = panel.Write(null("0001"))
				require.NoError(t, err)
				b := make([]byte, 100)
				require.NoError(t, panel.SetReadDeadline(time.Now().Add(20*time.Second)))
				n, err := panel.Read(b)
				require.NoError(t, err, ip)
				require.Equal(t, ack("0001"), b[:n], ip)
				panel.Close()
			}
			stop()
			require.NoError(t, <-done)
		})
	}
}
