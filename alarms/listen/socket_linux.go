package listen

import (
	"errors"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tellArrival makes the kernel say with each datagram where it arrived: ip(7)
// IP_PKTINFO, ipv6(7) IPV6_RECVPKTINFO. A socket of both families is asked for
// the latter, which then holds IPv4 addresses in their IPv6 form.
func tellArrival(c *net.UDPConn) (bool, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		family, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		switch {
		case err != nil:
			failed = err
		case family == unix.AF_INET6:
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		default:
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	})
	err = errors.Join(err, failed)
	return err == nil, err
}

// arrival reads the way out of a datagram's control messages.
func arrival(oob []byte) way {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return way{}
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&m.Data[0])) //nolint:gosec // the kernel's struct, its size checked
			// The local address, which for a broadcast is not its destination.
			return way{local: netip.AddrFrom4(info.Spec_dst)}
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&m.Data[0])) //nolint:gosec // as above
			w := way{local: netip.AddrFrom16(info.Addr)}
			if w.local.IsMulticast() {
				return way{}
			}
			if w.local.IsLinkLocalUnicast() {
				w.iface = info.Ifindex
			}
			return w
		}
	}
	return way{}
}

// departure writes the way as a control message of an answer.
func departure(w way) []byte {
	if w.local.Is4() {
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: w.local.As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: w.local.As16(), Ifindex: w.iface})
}
