package gateway

import (
	"bytes"
	"maps"
	"net"
	"net/netip"
	"strconv"

	gosip "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"nabat/sip"
)

// toRequest turns sipgo's message into text that package sip judges.
func toRequest(req *gosip.Request) sip.Request {
	r := sip.Request{Method: string(req.Method), URI: req.Recipient.String(), Version: req.SipVersion, Body: req.Body()}
	for _, h := range req.Headers() {
		r.Headers = append(r.Headers, sip.Header{Name: sip.HeaderName(h.Name()), Value: h.Value()})
	}
	return r
}

// newParser is sipgo's parser with one fault mended: it takes the white space
// around «;» and «=», which RFC 3261 §7.3.1 allows, into the names and values of
// parameters, so that «; tag = x» has no tag.
func newParser() *gosip.Parser {
	parsers := maps.Clone(gosip.DefaultHeadersParser())
	for _, name := range []string{"from", "f", "to", "t"} {
		library := parsers[name]
		parsers[name] = func(name []byte, value string) (gosip.Header, error) {
			return library(name, sip.Tighten(value))
		}
	}
	return gosip.NewParser(gosip.WithHeadersParsers(parsers))
}

// filter looks at raw input before the parser. A datagram from a stranger leaves
// no trace (sipgo remembers every source it reads from), one with a bare line
// feed among its headers is not parsed, because sipgo echoes headers on its own
// in a few answers. A TCP stream arrives in pieces and is judged after parsing.
func (ln *line) filter(info gosip.TransportReadProps, data []byte) ([]byte, error) {
	if !ln.known(info.RemoteAddr) {
		ln.met.dropped.WithLabelValues("stranger").Inc()
		return nil, nil
	}
	if info.Transport == "UDP" {
		head, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
		for i, b := range head {
			if b == '\n' && (i == 0 || head[i-1] != '\r') {
				ln.met.dropped.WithLabelValues("bare line feed").Inc()
				return nil, nil
			}
		}
	}
	return data, nil
}

func (ln *line) known(a net.Addr) bool {
	if len(ln.cfg.Peers) == 0 {
		return true
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return false
	}
	for _, p := range ln.cfg.Peers {
		if p.Contains(ap.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// counted is who a call from source counts for; not valid: it is not counted.
func (ln *line) counted(source string) netip.Prefix {
	ap, err := netip.ParseAddrPort(source)
	if err != nil || len(ln.cfg.Peers) > 0 || ap.Addr().Unmap().IsLoopback() {
		return netip.Prefix{}
	}
	return sourceOf(ap.Addr())
}

// response builds an answer of ours.
func (ln *line) response(req *gosip.Request, status int, reason string, extra ...gosip.Header) *gosip.Response {
	res := gosip.NewResponseFromRequest(req, status, reason, nil)
	res.SipVersion = "SIP/2.0" // not what the request claimed
	if via := res.Via(); via != nil {
		// RFC 3261 §18.2.1: tell the sender where it really comes from. The library
		// does so only when rport asks for it.
		if host, _, err := net.SplitHostPort(req.Source()); err == nil && host != via.Host && !via.Params.Has("received") {
			via.Params.Add("received", host)
		}
	}
	if to := res.To(); to != nil && status > 100 && req.To() != nil && !req.To().Params.Has("tag") {
		to.Params.Add("tag", ln.hash.tag(dialogKey(req)))
	}
	for _, h := range extra {
		res.AppendHeader(h)
	}
	res.AppendHeader(gosip.NewHeader("Server", "nabat"))
	return res
}

// dialogKey is what the To tag is made of: the same for every copy of a request.
func dialogKey(req *gosip.Request) string {
	var key string
	if h := req.CallID(); h != nil {
		key = h.Value()
	}
	if h := req.From(); h != nil {
		tag, _ := h.Params.Get("tag")
		key += "\x00" + tag
	}
	if h := req.CSeq(); h != nil {
		key += "\x00" + strconv.FormatUint(uint64(h.SeqNo), 10)
	}
	return key
}

// respond sends an answer within its transaction. An answer that cannot be sent
// is counted; what that means for a call is the caller's decision.
func (ln *line) respond(tx gosip.ServerTransaction, res *gosip.Response) error {
	err := tx.Respond(res)
	if err != nil {
		ln.met.respondErrors.Inc()
		ln.log.Debug("answer not sent", zap.Int("status", res.StatusCode), zap.Error(err))
	}
	return err
}

// refuse answers with a refusal. Nothing is kept of it but, for an INVITE, the
// transaction that waits for the ACK.
func (ln *line) refuse(req *gosip.Request, tx gosip.ServerTransaction, f *sip.Refusal) {
	if f.Status == 0 || req.Method == gosip.ACK {
		ln.met.dropped.WithLabelValues("malformed").Inc()
		ln.refusals.Warn("unusable request dropped", zap.String("method", string(req.Method)), zap.String("peer", req.Source()))
		tx.Terminate()
		return
	}
	ln.met.refused.WithLabelValues(strconv.Itoa(f.Status)).Inc()
	switch f.Status {
	case 480, 481, 487: // the usual ends of calls
	default:
		ln.refusals.Warn("request refused: "+strconv.Itoa(f.Status), zap.String("reason", f.Reason),
			zap.String("method", string(req.Method)), zap.String("peer", req.Source()), zap.String("call", callID(req)))
	}
	var extra []gosip.Header
	for _, h := range f.Headers {
		extra = append(extra, gosip.NewHeader(h.Name, h.Value))
	}
	_ = ln.respond(tx, ln.response(req, f.Status, f.Reason, extra...)) // counted there; the peer repeats
	if req.Method != gosip.INVITE {
		tx.Terminate()
	}
}

func callID(req *gosip.Request) string {
	if h := req.CallID(); h != nil {
		return h.Value()
	}
	return ""
}

func abilities() []gosip.Header {
	return []gosip.Header{
		gosip.NewHeader("Allow", sip.Allow),
		gosip.NewHeader("Accept", sip.Accept),
		gosip.NewHeader("Supported", sip.Supported),
	}
}

// announced is our host and port for Contact, Via and SDP, as peer can reach them.
func (ln *line) announced(transport, peer string) (host string, port int) {
	var local net.Addr
	if transport == "TCP" && ln.tcp != nil {
		local = ln.tcp.Addr()
	} else if ln.udp != nil {
		local = ln.udp.LocalAddr()
	}
	host, port = ln.cfg.Host, ln.cfg.Port
	if local == nil {
		return host, port
	}
	bound, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return host, port
	}
	if host == "" {
		host = bound.Addr().String()
		if bound.Addr().IsUnspecified() {
			host = toward(peer, host)
		}
	}
	if port == 0 {
		port = int(bound.Port())
	}
	return host, port
}

// toward is the address of ours from which the kernel would send to peer: what a
// line that is bound to every address has to announce. Nothing is sent.
func toward(peer, otherwise string) string {
	to, err := netip.ParseAddrPort(peer)
	if err != nil {
		return otherwise
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return otherwise
	}
	defer c.Close()
	from, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return otherwise
	}
	return from.Addr().Unmap().WithZone("").String()
}

// contactHeader is where requests within the dialog reach us, by the transport
// that the INVITE came by.
func (c *call) contactHeader() gosip.Header {
	transport := c.req.Transport()
	host, port := c.ln.announced(transport, c.req.Source())
	uri := "<sip:112@" + net.JoinHostPort(host, strconv.Itoa(port))
	if transport == "TCP" {
		uri += ";transport=tcp"
	}
	return gosip.NewHeader("Contact", uri+">")
}
