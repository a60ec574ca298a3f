package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Off is the address of a listener that is not wanted.
const Off = "off"

// Address is where to listen: "host:port", ":port" on the common host, or "off".
type Address struct {
	host string
	port Port
	off  bool
}

// UnmarshalText reads an address.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	if s == Off {
		*a = Address{off: true}
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not an address like 127.0.0.1:5060, :5060 or off", s)
	}
	if host != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q in %q is not an IP address", host, s)
		}
	}
	var p Port
	if err := p.UnmarshalText([]byte(port)); err != nil {
		return err
	}
	*a = Address{host: host, port: p}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (a Address) MarshalText() ([]byte, error) {
	if a.off {
		return []byte(Off), nil
	}
	return []byte(net.JoinHostPort(a.host, strconv.Itoa(int(a.port)))), nil
}

// String is the text of MarshalText.
func (a Address) String() string {
	b, _ := a.MarshalText() // never fails
	return string(b)
}

func (a Address) on(common netip.Addr) string {
	if a.off {
		return ""
	}
	return net.JoinHostPort(cmp.Or(a.host, common.String()), strconv.Itoa(int(a.port)))
}

// Port is a TCP or UDP port; 0 lets the kernel choose.
type Port uint16

// UnmarshalText reads a port.
func (p *Port) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil {
		return fmt.Errorf("%q is not a port (0 to 65535)", text)
	}
	*p = Port(n)
	return nil
}

// PortRange is a span of UDP ports for voice; the zero range lets the kernel
// choose, as port 0 does.
type PortRange struct{ First, Last uint16 }

// UnmarshalText reads "20000-29999" or "0". Each call takes an even port and the
// next.
func (r *PortRange) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*r = PortRange{}
		return nil
	}
	first, last, ok := strings.Cut(string(text), "-")
	var a, b Port
	if !ok || a.UnmarshalText([]byte(first)) != nil || b.UnmarshalText([]byte(last)) != nil {
		return fmt.Errorf("%q is not a range of ports like 20000-29999", text)
	}
	if a == 0 || b < a+1 {
		return fmt.Errorf("%q has no room for a call: from an even port to a higher one", text)
	}
	*r = PortRange{First: uint16(a), Last: uint16(b)}
	return nil
}

// Network is a range of addresses, or one.
type Network netip.Prefix

// UnmarshalText reads "192.0.2.0/24" or "192.0.2.7".
func (n *Network) UnmarshalText(text []byte) error {
	if a, err := netip.ParseAddr(string(text)); err == nil && a.Zone() == "" {
		a = a.Unmap()
		*n = Network(netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	p, err := netip.ParsePrefix(string(text))
	if err != nil || p != p.Masked() {
		return fmt.Errorf("%q is not a network like 192.0.2.0/24 nor an address", text)
	}
	*n = Network(p)
	return nil
}

// HostPort names another machine's service.
type HostPort string

// UnmarshalText reads "host:port".
func (h *HostPort) UnmarshalText(text []byte) error {
	host, port, err := net.SplitHostPort(string(text))
	var p Port
	if err != nil || host == "" || p.UnmarshalText([]byte(port)) != nil || p == 0 {
		return fmt.Errorf("%q is not an address like broker1:9092", text)
	}
	*h = HostPort(text)
	return nil
}

func loopback(addr string) bool {
	if addr == "" {
		return true
	}
	ap, err := netip.ParseAddrPort(addr)
	return err == nil && ap.Addr().IsLoopback()
}
