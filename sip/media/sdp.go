package media

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// ErrNoCodec: the description is sound, but holds no audio that we can speak.
var ErrNoCodec = errors.New("no common codec")

// Direction is who sends, seen by whoever wrote the description.
type Direction string

// Directions (RFC 3264 §5.1).
const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// reversed is the widest answer to an offered direction.
func (d Direction) reversed() Direction {
	switch d {
	case SendOnly:
		return RecvOnly
	case RecvOnly:
		return SendOnly
	case SendRecv, Inactive:
	}
	return d
}

// Remote is what the other side's description says.
type Remote struct {
	// Addr is where it wants the sound; not valid when it gave a name or 0.0.0.0.
	Addr      netip.AddrPort
	Codec     Codec
	Payload   uint8
	Telephone int // payload type of telephone-event, -1 when there is none
	Direction Direction

	lines []line // of every media section, for the answer
	audio int    // which one is ours
}

type line struct {
	kind   string
	protos []string
	format string
}

// Hears tells whether the other side wants to hear something now.
func (r Remote) Hears() bool { return r.Direction == SendRecv || r.Direction == RecvOnly }

// ParseSDP reads an offer or an answer and chooses the codec in the order of
// whoever wrote it.
func ParseSDP(b []byte) (Remote, error) {
	var d sdp.SessionDescription
	if err := d.Unmarshal(b); err != nil {
		d = sdp.SessionDescription{}
		if plain := essence(b); plain == nil || d.Unmarshal(plain) != nil {
			return Remote{}, fmt.Errorf("read session description: %w", err)
		}
	}
	r := Remote{audio: -1, Telephone: -1}
	for i, m := range d.MediaDescriptions {
		r.lines = append(r.lines, lineOf(m))
		if r.audio >= 0 || m.MediaName.Media != "audio" || m.MediaName.Port.Value == 0 || !plainRTP(m.MediaName.Protos) {
			continue
		}
		c, pt, ok := chooseCodec(m)
		if !ok {
			continue
		}
		r.audio, r.Codec, r.Payload, r.Telephone = i, c, pt, telephone(m)
		r.Direction = directionOf(m, d.Attributes)
		conn := m.ConnectionInformation
		if conn == nil {
			conn = d.ConnectionInformation
		}
		if conn != nil && conn.Address != nil {
			host, _, _ := strings.Cut(conn.Address.Address, "/")
			if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
				r.Addr = netip.AddrPortFrom(ip, uint16(m.MediaName.Port.Value))
			} else if err == nil { // c=0.0.0.0: the hold of RFC 2543
				r.Direction = holdOf(r.Direction)
			}
		}
	}
	if r.audio < 0 {
		return r, ErrNoCodec
	}
	return r, nil
}

func holdOf(d Direction) Direction {
	if d == SendRecv || d == SendOnly {
		return SendOnly
	}
	return Inactive
}

func lineOf(m *sdp.MediaDescription) line {
	l := line{kind: m.MediaName.Media, protos: m.MediaName.Protos, format: "0"}
	if len(m.MediaName.Formats) > 0 {
		l.format = m.MediaName.Formats[0]
	}
	return l
}

// plainRTP: RTP/AVP, and RTP/AVPF for whose feedback we have no use.
func plainRTP(protos []string) bool {
	return len(protos) == 2 && protos[0] == "RTP" && (protos[1] == "AVP" || protos[1] == "AVPF")
}

func chooseCodec(m *sdp.MediaDescription) (Codec, uint8, bool) {
	for _, f := range m.MediaName.Formats {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			continue
		}
		name, mapped := rtpmap(m, f)
		switch {
		case name == "pcma/8000", !mapped && pt == 8:
			return ALaw, uint8(pt), true
		case name == "pcmu/8000", !mapped && pt == 0:
			return MuLaw, uint8(pt), true
		}
	}
	return "", 0, false
}

// rtpmap is the encoding name and clock of a payload type, in lower case and
// without the number of channels when that is one.
func rtpmap(m *sdp.MediaDescription, format string) (string, bool) {
	for _, a := range m.Attributes {
		if a.Key != "rtpmap" {
			continue
		}
		pt, enc, ok := strings.Cut(strings.TrimSpace(a.Value), " ")
		if ok && pt == format {
			return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(enc)), "/1"), true
		}
	}
	return "", false
}

func telephone(m *sdp.MediaDescription) int {
	for _, f := range m.MediaName.Formats {
		if name, _ := rtpmap(m, f); name == "telephone-event/8000" {
			if pt, err := strconv.ParseUint(f, 10, 7); err == nil {
				return int(pt)
			}
		}
	}
	return -1
}

func directionOf(m *sdp.MediaDescription, session []sdp.Attribute) Direction {
	for _, set := range [][]sdp.Attribute{m.Attributes, session} {
		for _, a := range set {
			switch d := Direction(a.Key); d {
			case SendRecv, SendOnly, RecvOnly, Inactive:
				return d
			}
		}
	}
	return SendRecv
}

// Local is our side of a description.
type Local struct {
	ID      uint64 // of the session, the same for the whole call
	Version uint64 // grows with every description that differs
	Host    string // announced: an address, or a name for whoever resolves it
	Port    int
}

// Answer writes the answer to an offer that ParseSDP read: the same media
// sections in the same order, all but the chosen one refused (RFC 3264 §6).
func Answer(r Remote, l Local) ([]byte, error) {
	d := describe(l)
	for i, ln := range r.lines {
		if i != r.audio {
			d.MediaDescriptions = append(d.MediaDescriptions, &sdp.MediaDescription{MediaName: sdp.MediaName{
				Media: ln.kind, Port: sdp.RangedPort{Value: 0}, Protos: ln.protos, Formats: []string{ln.format},
			}})
			continue
		}
		m := audio(l, ln.protos)
		addCodec(m, r.Payload, r.Codec)
		if r.Telephone >= 0 {
			addTelephone(m, r.Telephone)
		}
		finish(m, r.Direction.reversed())
		d.MediaDescriptions = append(d.MediaDescriptions, m)
	}
	return d.Marshal()
}

// Offer writes the description that we make when the caller left the offer to us.
func Offer(l Local) ([]byte, error) {
	d := describe(l)
	m := audio(l, []string{"RTP", "AVP"})
	addCodec(m, 8, ALaw)
	addCodec(m, 0, MuLaw)
	addTelephone(m, 101)
	finish(m, SendRecv)
	d.MediaDescriptions = []*sdp.MediaDescription{m}
	return d.Marshal()
}

func describe(l Local) *sdp.SessionDescription {
	kind := "IP4"
	if ip, err := netip.ParseAddr(l.Host); err == nil && ip.Is6() {
		kind = "IP6"
	}
	return &sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: l.ID, SessionVersion: l.Version,
			NetworkType: "IN", AddressType: kind, UnicastAddress: l.Host,
		},
		SessionName:           "nabat",
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: kind, Address: &sdp.Address{Address: l.Host}},
		TimeDescriptions:      []sdp.TimeDescription{{}},
	}
}

func audio(l Local, protos []string) *sdp.MediaDescription {
	return &sdp.MediaDescription{MediaName: sdp.MediaName{
		Media: "audio", Port: sdp.RangedPort{Value: l.Port}, Protos: protos,
	}}
}

func addCodec(m *sdp.MediaDescription, pt uint8, c Codec) {
	f := strconv.Itoa(int(pt))
	m.MediaName.Formats = append(m.MediaName.Formats, f)
	m.WithValueAttribute("rtpmap", f+" "+string(c)+"/8000")
}

func addTelephone(m *sdp.MediaDescription, pt int) {
	f := strconv.Itoa(pt)
	m.MediaName.Formats = append(m.MediaName.Formats, f)
	m.WithValueAttribute("rtpmap", f+" telephone-event/8000")
	m.WithValueAttribute("fmtp", f+" 0-15")
}

func finish(m *sdp.MediaDescription, d Direction) {
	m.WithValueAttribute("ptime", "20")
	m.WithPropertyAttribute(string(d))
}
