package listen

import (
	"net"
	"net/netip"
)

// way is the host's own address at which a datagram arrived, and its interface
// where the address says nothing without it. The zero way is not known: the
// kernel chooses.
type way struct {
	local netip.Addr
	iface uint32
}

// socket is a packet conn whose answers leave from the address to which the
// question was sent. On a host of several addresses a socket that is bound to all
// of them would answer from whichever the kernel likes, and a panel, or the NAT
// before it, takes no answer from a stranger.
type socket struct {
	net.PacketConn
	udp *net.UDPConn // not nil: it is bound to all addresses and tells which was used
	oob []byte       // of the one reader
}

// newSocket asks the kernel for arrival addresses where they are in doubt.
func newSocket(pc net.PacketConn) (*socket, error) {
	s := &socket{PacketConn: pc}
	c, ok := pc.(*net.UDPConn)
	if !ok {
		return s, nil
	}
	if a, ok := c.LocalAddr().(*net.UDPAddr); !ok || !a.IP.IsUnspecified() {
		return s, nil
	}
	told, err := tellArrival(c)
	if told {
		s.udp, s.oob = c, make([]byte, 128)
	}
	return s, err
}

// read is ReadFrom with the way that the datagram came. One goroutine reads.
func (s *socket) read(buf []byte) (n int, from net.Addr, came way, err error) {
	if s.udp == nil {
		n, from, err = s.ReadFrom(buf)
		return n, from, way{}, err
	}
	n, oobn, _, addr, err := s.udp.ReadMsgUDPAddrPort(buf, s.oob)
	if err != nil {
		return 0, nil, way{}, err
	}
	return n, net.UDPAddrFromAddrPort(addr), arrival(s.oob[:oobn]), nil
}

// write sends back the way that a datagram came.
func (s *socket) write(octets []byte, to net.Addr, back way) error {
	if addr, ok := to.(*net.UDPAddr); ok && s.udp != nil && back.local.IsValid() {
		if _, _, err := s.udp.WriteMsgUDP(octets, departure(back), addr); err == nil {
			return nil
		}
		// The host has lost the address since: any other is better than silence.
	}
	_, err := s.WriteTo(octets, to)
	return err
}
