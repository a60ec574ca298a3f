package gateway

import (
	"context"
	"errors"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"nabat/sip"
	"nabat/sip/media"
)

// The rhythm of a 2xx until its ACK (RFC 3261 §13.3.1.4), on TCP as well. They
// are not sipgo's variables: those may be changed by anybody.
const (
	t1      = 500 * time.Millisecond
	t2      = 4 * time.Second
	ackTime = 64 * t1
)

// pendingOK is a 200 to an INVITE or re-INVITE that has no ACK yet.
type pendingOK struct {
	res   *gosip.Response
	seq   uint32
	first bool // of the call, not of a re-INVITE
	offer bool // it carried our offer: the ACK brings the answer
	pause time.Duration
	until time.Time
}

func (c *call) ring(hard context.Context) {
	err := c.ln.respond(c.tx, c.ringing())
	// A datagram that failed is repaired by the 200; a TCP connection that is gone
	// will not carry that either.
	if err != nil && gosip.IsReliable(c.req.Transport()) && !errors.Is(err, gosip.ErrTransactionCanceled) {
		c.on(hard, sip.LineLost)
	}
}

func (c *call) ringAgain(hard context.Context) {
	switch c.leg.Phase {
	case sip.Storing:
		c.timers.refresh.Reset(ringRefresh)
		_ = c.ln.respond(c.tx, c.queued()) // counted there; nobody needs it
	case sip.Ringing:
		c.timers.refresh.Reset(ringRefresh)
		c.ring(hard)
	case sip.Answered, sip.Talking, sip.Ended:
	}
}

// queued says that we are at it and that nothing is promised yet.
func (c *call) queued() *gosip.Response {
	return c.ln.response(c.req, 182, "Queued", c.contactHeader())
}

func (c *call) ringing() *gosip.Response {
	return c.ln.response(c.req, 180, "Ringing", c.contactHeader(), gosip.NewHeader("Allow", sip.Allow))
}

// answer sends the 200 as soon as there is a place and a port.
func (c *call) answer(hard context.Context) {
	if c.leg.Phase != sip.Ringing || !c.placed {
		return
	}
	host, _ := c.ln.announced(c.req.Transport(), c.req.Source())
	session, err := c.ln.cfg.Media.Open(host)
	if err != nil {
		if !c.portless { // told once, tried until there is one
			c.portless = true
			c.ln.met.waiting.WithLabelValues("port").Inc()
			c.log.Warn("no RTP port; the call rings until one is free", zap.Error(err))
		}
		c.timers.port.Reset(portRetry)
		return
	}
	c.session = session
	body, err := c.describe()
	if err != nil {
		c.log.Error("session description cannot be written", zap.Error(err))
		c.on(hard, sip.GiveUp)
		return
	}
	res := c.ok(c.req, c.r, body)
	switch err := c.ln.respond(c.tx, res); {
	case errors.Is(err, gosip.ErrTransactionCanceled):
		// The CANCEL was faster. sipgo keeps what it was given last for timer G, so
		// it gets the 487 again before that fires, or a 200 would follow the 487.
		c.ln.repair(c.tx, c.ln.response(c.req, 487, "Request Terminated"))
		c.on(hard, sip.CallerCancel)
		return
	case err != nil && gosip.IsReliable(c.req.Transport()):
		c.on(hard, sip.LineLost)
		return
	}
	c.await(&pendingOK{res: res, seq: c.req.CSeq().SeqNo, first: true, offer: c.offerless})
	c.play(hard)
	c.on(hard, sip.Sent)
}

// repair replaces the answer that a cancelled transaction repeats. It reports the
// cancellation again, which is no news.
func (ln *line) repair(tx gosip.ServerTransaction, res *gosip.Response) {
	if err := tx.Respond(res); err != nil && !errors.Is(err, gosip.ErrTransactionCanceled) {
		ln.met.respondErrors.Inc()
	}
}

// describe is our side: the answer to an offer, or the offer.
func (c *call) describe() ([]byte, error) {
	if c.remote.Codec == "" {
		return media.Offer(c.session.Local())
	}
	c.session.SetRemote(c.remote)
	return media.Answer(c.remote, c.session.Local())
}

// ok is a 200 to an INVITE, re-INVITE or UPDATE.
func (c *call) ok(req *gosip.Request, r sip.Request, body []byte) *gosip.Response {
	extra := append(abilities(), c.contactHeader())
	extra = append(extra, c.sessionHeaders(r)...)
	if body != nil {
		extra = append(extra, gosip.NewHeader("Content-Type", "application/sdp"))
	}
	res := c.ln.response(req, 200, "OK", extra...)
	if body != nil {
		res.SetBody(body)
	}
	return res
}

// play starts the sound.
func (c *call) play(hard context.Context) {
	ctx, stop := context.WithCancel(hard)
	c.stopMedia, c.mediaDone = stop, make(chan struct{})
	c.heard = time.Now()
	c.timers.quiet.Reset(c.ln.cfg.Silence)
	go func() { // awaited by release
		defer close(c.mediaDone)
		c.session.Run(ctx, c.log)
	}()
}

func (c *call) await(p *pendingOK) {
	p.pause, p.until = t1, time.Now().Add(ackTime)
	c.pending = p
	c.timers.repeat.Reset(t1)
}

// repeat sends an unacknowledged 200 again, or gives up after 32 s.
func (c *call) repeat(hard context.Context) {
	p := c.pending
	if p == nil {
		return
	}
	if !time.Now().Before(p.until) {
		c.pending = nil
		c.log.Warn("200 was never acknowledged", zap.Uint32("cseq", p.seq))
		c.on(hard, sip.NoAck) // after a re-INVITE that changes nothing: the voice may still be there
		return
	}
	c.ln.met.repeated.Inc()
	// Past the transaction: it may be over on a transport error, and sipgo's would
	// send this in no other way.
	if err := c.ln.ua.TransportLayer().WriteMsg(p.res); err != nil {
		c.ln.met.respondErrors.Inc()
		c.log.Debug("200 not repeated", zap.Error(err))
	}
	p.pause = min(2*p.pause, t2)
	c.timers.repeat.Reset(min(p.pause, time.Until(p.until)))
}

// ack ends the repetition of its own 200 and may bring the answer to our offer.
func (c *call) ack(hard context.Context, r sip.Request, seq *gosip.CSeqHeader) {
	p := c.pending
	if p == nil || seq == nil || seq.SeqNo != p.seq {
		return
	}
	c.pending = nil
	if p.offer {
		body, _ := sip.SDP(r)
		remote, err := media.ParseSDP(body)
		if err != nil && p.first {
			c.log.Warn("the ACK brings no usable answer to our offer", zap.Error(err))
			c.on(hard, sip.NoMedia)
			return
		}
		if err == nil {
			c.remote = remote
			c.session.SetRemote(remote)
		}
	}
	c.log.Debug("acknowledged", zap.Uint32("cseq", p.seq))
	c.on(hard, sip.Acked)
}

// sendBye ends the dialog from our side in a goroutine that loop awaits.
func (c *call) sendBye(hard context.Context) {
	req, _ := c.request(gosip.BYE)
	done := make(chan struct{})
	c.bye = done
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(hard, ackTime)
		defer cancel()
		res, err := c.ln.client.Do(ctx, req, builtByUs)
		// 481 and 408 say that the other side has forgotten the call already.
		if err != nil || res.StatusCode >= 300 &&
			res.StatusCode != gosip.StatusCallTransactionDoesNotExists && res.StatusCode != gosip.StatusRequestTimeout {
			c.ln.met.byeErrors.Inc()
			c.log.Warn("BYE got no good answer", zap.Error(err))
		}
	}()
}
