package gateway

import (
	"context"
	"net"
	"strconv"

	"github.com/emiago/sipgo"
	gosip "github.com/emiago/sipgo/sip"

	"nabat/sip"
	"nabat/sip/media"
)

// take answers a request within the dialog, but for a re-INVITE that overtook the
// ACK: sipgo hands every message to a goroutine of its own, so that of two sent
// in one breath the second may be here first. It waits for its ACK, T1 at most.
func (c *call) take(hard context.Context, m inbound) {
	if m.r.Method == sip.MethodInvite && c.pending != nil && !c.pending.first && c.early == nil {
		c.early = &m
		c.timers.early.Reset(t1)
		return
	}
	c.within(hard, m)
	close(m.done)
}

// refuseEarly: the ACK did not come (RFC 3261 §14.2).
func (c *call) refuseEarly() {
	if m := c.early; m != nil {
		c.early = nil
		c.ln.refuse(m.req, m.tx, notYet())
		close(m.done)
	}
}

func notYet() *sip.Refusal {
	return &sip.Refusal{Status: 500, Reason: "Server Internal Error", Headers: []sip.Header{{Name: "Retry-After", Value: "2"}}}
}

// within answers a request of the caller within the dialog.
func (c *call) within(hard context.Context, m inbound) {
	seq := m.req.CSeq().SeqNo
	c.hear(m.req)
	if m.r.Method == sip.MethodAck {
		c.ack(hard, m.r, m.req.CSeq())
		return
	}
	if seq < c.remoteSeq { // RFC 3261 §12.2.2
		c.ln.refuse(m.req, m.tx, &sip.Refusal{Status: 500, Reason: "CSeq Out Of Order"})
		return
	}
	c.remoteSeq = seq
	if m.r.Method == sip.MethodBye {
		c.byeFrom(hard, m, seq)
		return
	}
	if c.leg.Phase == sip.Ended {
		c.ln.refuse(m.req, m.tx, noDialog())
		return
	}
	switch m.r.Method {
	case sip.MethodOptions:
		_ = c.ln.respond(m.tx, c.ln.response(m.req, 200, "OK", abilities()...)) // counted there
	case sip.MethodInfo:
		c.info(m)
	case sip.MethodInvite, sip.MethodUpdate:
		c.modify(m)
	default:
		c.ln.refuse(m.req, m.tx, &sip.Refusal{Status: 405, Reason: "Method Not Allowed", Headers: []sip.Header{{Name: "Allow", Value: sip.Allow}}})
	}
}

// byeFrom answers the caller's BYE. After the end there is no dialog any more
// (RFC 3261 §15.1.2), but the BYE that brought the end is answered as before when
// it comes again, and one that crossed ours on its way was right to come
// (RFC 5407 §3.2).
func (c *call) byeFrom(hard context.Context, m inbound, seq uint32) {
	if c.leg.Phase == sip.Ended && seq != c.byeSeq && c.bye == nil {
		c.ln.refuse(m.req, m.tx, noDialog())
		return
	}
	c.byeSeq = seq
	_ = c.ln.respond(m.tx, c.ln.response(m.req, 200, "OK")) // counted there; the caller repeats
	c.on(hard, sip.CallerBye)
}

// info: no package is understood yet (RFC 6086 §4.2.2); the old kind without a
// package (telephone keys) is taken and left aside.
func (c *call) info(m inbound) {
	if m.r.First("info-package") != "" {
		c.ln.refuse(m.req, m.tx, &sip.Refusal{Status: 469, Reason: "Bad Info Package", Headers: []sip.Header{{Name: "Recv-Info", Value: ""}}})
		return
	}
	_ = c.ln.respond(m.tx, c.ln.response(m.req, 200, "OK")) // counted there; the caller repeats
}

// modify answers a re-INVITE or UPDATE: hold, resume, another address, or only a
// refresh of the session.
func (c *call) modify(m inbound) {
	invite := m.r.Method == sip.MethodInvite
	body, f := sip.SDP(m.r)
	if f != nil {
		c.ln.refuse(m.req, m.tx, f)
		return
	}
	if c.session == nil || c.pending != nil && invite {
		if !invite && body == nil { // an early refresh asks for nothing
			_ = c.ln.respond(m.tx, c.ok(m.req, m.r, nil)) // counted there
			return
		}
		// RFC 3261 §14.2: our answer to the INVITE is still on its way.
		c.ln.refuse(m.req, m.tx, notYet())
		return
	}
	remote := c.remote
	if body != nil {
		var err error
		if remote, err = media.ParseSDP(body); err != nil {
			// What was agreed before stays (§14.2).
			c.ln.refuse(m.req, m.tx, &sip.Refusal{Status: 488, Reason: "Not Acceptable Here"})
			return
		}
	}
	var out []byte
	var err error
	switch {
	case body != nil:
		c.session.SetRemote(remote)
		out, err = media.Answer(remote, c.session.Local())
	case invite:
		out, err = media.Offer(c.session.Local())
	}
	if err != nil {
		c.ln.refuse(m.req, m.tx, &sip.Refusal{Status: 500, Reason: "Server Internal Error"})
		return
	}
	c.remote = remote
	if h := m.req.Contact(); h != nil { // a target refresh (§12.2.2)
		c.target = sip.DialogTarget(h.Address.String(), c.r.List("record-route"), m.req.Source())
	}
	res := c.ok(m.req, m.r, out)
	_ = c.ln.respond(m.tx, res) // counted there; repeated below, or by the caller
	if invite {
		c.await(&pendingOK{res: res, seq: m.req.CSeq().SeqNo, offer: body == nil})
	}
}

// builtByUs keeps sipgo from completing a request: everything is there.
func builtByUs(*sipgo.Client, *gosip.Request) error { return nil }

// request builds a request of ours within the dialog (RFC 3261 §12.2.1.1): tags
// swapped, the dialog's route, out of the socket that the INVITE came in by. Over
// TCP it takes the caller's connection, reused, or a new one when that is gone.
func (c *call) request(method gosip.RequestMethod) (req *gosip.Request, reused bool) {
	c.localSeq++
	var uri gosip.Uri
	if gosip.ParseUri(c.target.URI, &uri) != nil || uri.Host == "" {
		uri = gosip.Uri{Scheme: "sip"}
		host, port, err := net.SplitHostPort(c.req.Source())
		if err == nil {
			uri.Host = host
			uri.Port, _ = strconv.Atoi(port)
		}
	}
	req = gosip.NewRequest(method, uri)
	transport := c.req.Transport()
	host, port := c.ln.announced(transport, c.req.Source())
	via := &gosip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: transport, Host: host, Port: port}
	via.Params.Add("branch", gosip.GenerateBranch())
	via.Params.Add("rport", "")
	req.AppendHeader(via)
	for _, route := range c.target.Route {
		req.AppendHeader(gosip.NewHeader("Route", route))
	}
	// c.req's To carries our tag since the call was taken.
	req.AppendHeader(gosip.NewHeader("From", c.req.To().Value()))
	req.AppendHeader(gosip.NewHeader("To", c.req.From().Value()))
	req.AppendHeader(gosip.NewHeader("Call-ID", c.r.First("call-id")))
	req.AppendHeader(&gosip.CSeqHeader{SeqNo: c.localSeq, MethodName: method})
	maxForwards := gosip.MaxForwardsHeader(70)
	req.AppendHeader(&maxForwards)
	req.AppendHeader(gosip.NewHeader("User-Agent", "nabat"))
	req.SetBody(nil)
	req.SetTransport(transport)
	req.SetDestination(c.target.Next)
	switch transport {
	case "UDP":
		if c.ln.udp == nil {
			break
		}
		if host, p, err := net.SplitHostPort(c.ln.udp.LocalAddr().String()); err == nil {
			req.Laddr.IP = net.ParseIP(host)
			req.Laddr.Port, _ = strconv.Atoi(p)
		}
	default:
		req.SetDestination(c.target.Fresh)
		// Only to ask whether the caller's connection is still there.
		if c.cut {
			break
		}
		if conn, err := c.ln.ua.TransportLayer().GetConnection(transport, c.peer); err == nil {
			_, _ = conn.TryClose() // gives back the reference
			req.SetDestination(c.peer)
			reused = true
		}
	}
	return req, reused
}
