package node

import (
	"context"
	"fmt"
	"net"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/engine"
)

// open binds every listener of the configuration, all or none. An empty address
// is a listener that is off.
func open(ctx context.Context, c config.Config) (s engine.Sockets, err error) {
	defer func() {
		if err != nil {
			shut(s)
		}
	}()
	var lc net.ListenConfig
	tcp := func(name string, a config.Address, into *net.Listener) {
		if addr := c.Bind(a); addr != "" && err == nil {
			if *into, err = lc.Listen(ctx, "tcp", addr); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	udp := func(name string, a config.Address, into *net.PacketConn) {
		if addr := c.Bind(a); addr != "" && err == nil {
			if *into, err = lc.ListenPacket(ctx, "udp", addr); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
				return
			}
			roomy(*into)
		}
	}
	udp("--sip-udp", c.SIP.UDP, &s.SIPUDP)
	tcp("--sip-tcp", c.SIP.TCP, &s.SIPTCP)
	udp("--alarms-udp", c.Alarms.UDP, &s.AlarmsUDP)
	tcp("--alarms-tcp", c.Alarms.TCP, &s.AlarmsTCP)
	tcp("--console-address", c.Console.Address, &s.Console)
	tcp("--ops-address", c.Ops.Address, &s.Ops)
	return s, err
}

// udpBuffer is asked for each UDP socket: a burst of every panel's heartbeats at
// once fits. The kernel gives what net.core.rmem_max allows.
const udpBuffer = 4 << 20

func roomy(pc net.PacketConn) {
	if c, ok := pc.(*net.UDPConn); ok {
		// Less room is no reason not to serve: senders repeat.
		_ = c.SetReadBuffer(udpBuffer)
		_ = c.SetWriteBuffer(udpBuffer)
	}
}

// shut closes what was opened when the start goes no further.
func shut(s engine.Sockets) {
	for _, ln := range []net.Listener{s.SIPTCP, s.AlarmsTCP, s.Console, s.Ops} {
		if ln != nil {
			ln.Close()
		}
	}
	for _, pc := range []net.PacketConn{s.SIPUDP, s.AlarmsUDP} {
		if pc != nil {
			pc.Close()
		}
	}
}

// bound lists what is really bound, by key.
func bound(s engine.Sockets) map[string]string {
	m := map[string]string{}
	if s.SIPUDP != nil {
		m["sip_udp"] = s.SIPUDP.LocalAddr().String()
	}
	if s.SIPTCP != nil {
		m["sip_tcp"] = s.SIPTCP.Addr().String()
	}
	if s.AlarmsUDP != nil {
		m["alarms_udp"] = s.AlarmsUDP.LocalAddr().String()
	}
	if s.AlarmsTCP != nil {
		m["alarms_tcp"] = s.AlarmsTCP.Addr().String()
	}
	if s.Console != nil {
		m["console"] = s.Console.Addr().String()
	}
	if s.Ops != nil {
		m["ops"] = s.Ops.Addr().String()
	}
	return m
}
