package gateway

import (
	"context"
	"errors"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"nabat/dispatch"
	"nabat/sip"
	"nabat/sip/media"
)

// invite takes a new call and stays with it to its end.
func (ln *line) invite(ctx, hard context.Context, req *gosip.Request, r sip.Request, tx gosip.ServerTransaction) {
	body, f := sip.SDP(r)
	if f != nil {
		ln.refuse(req, tx, f)
		return
	}
	if ctx.Err() != nil {
		ln.refuse(req, tx, goingAway())
		return
	}
	c := ln.newCall(req, r, tx, body)
	switch err := ln.table.add(c); {
	case errors.Is(err, errMerged):
		// The same INVITE by another path: RFC 3261 §8.2.2.2. The first one is served.
		ln.refuse(req, tx, &sip.Refusal{Status: 482, Reason: "Loop Detected"})
		return
	case err != nil:
		if !ln.full.Swap(true) { // told once for the whole spell
			ln.log.Error("INVITE refused", zap.Error(err), zap.Stringer("source", c.source), zap.Int("legs", ln.table.len()))
		}
		ln.refuse(req, tx, goingAway())
		// What comes again gets the same answer: a flood leaves no transactions behind
		// (RFC 3261 §8.2.7).
		tx.Terminate()
		return
	}
	ln.full.Store(false)
	ln.met.calls.Inc()
	ln.met.live.Inc()
	defer ln.met.live.Dec()
	// What the transaction layer answers by itself (487 to the INVITE of a CANCEL)
	// must carry the tag of our 180. OnCancel takes the transaction's lock, so that
	// a CANCEL which comes after it sees the header.
	tagged := *req.To()
	tagged.Params = append(tagged.Params.Clone(), gosip.HeaderKV{K: "tag", V: c.tag})
	req.ReplaceHeader(&tagged)
	if !tx.OnCancel(func(*gosip.Request) { c.cancel() }) {
		c.cancel()
	}
	c.serve(ctx, hard)
}

// call is one leg with everything that belongs to it. Only the goroutine in serve
// touches the fields below «state».
type call struct {
	ln      *line
	log     *zap.Logger
	req     *gosip.Request
	r       sip.Request
	tx      gosip.ServerTransaction
	contact dispatch.Contact // as it is to be stored
	dialog  string
	tag     string
	by      dispatch.Actor
	source  netip.Prefix // that it counts for; not valid when it need not be counted
	origin  *origin      // its share, from the table; nil when it need not be counted

	house     chan dispatch.Actor // who hangs up, from HangUp
	inbox     chan inbound        // requests within the dialog
	cancelled chan struct{}       // the caller's CANCEL
	cancel    func()              // closes it, once; called under the transaction's lock
	finished  bool                // set before recorded is closed: a late copy of a call that is over
	slow      chan struct{}       // the first attempt to store failed
	facts     chan fact           // to the recorder
	stored    chan dispatch.Contact
	recorded  chan struct{} // closed when the recorder has gone
	gone      chan struct{} // closed when serve has returned

	// state
	leg          sip.Leg
	ender        dispatch.Actor // who hung up at a console
	remote       media.Remote
	offerless    bool // the caller left the offer to us
	session      *media.Session
	stopMedia    context.CancelFunc
	mediaDone    chan struct{}
	shared       bool // holds a place of its source's share
	placed       bool
	portless     bool               // waiting for an RTP port has been told
	id           dispatch.ContactID // once stored
	target       sip.Target
	remoteSeq    uint32
	byeSeq       uint32 // of the caller's BYE
	pending      *pendingOK
	early        *inbound        // a re-INVITE that waits for the ACK which it overtook
	localSeq     uint32          // of our last request
	bye          chan struct{}   // closed when our BYE has had its answer
	heard        time.Time       // when the last request came, or the answer went
	peer         string          // whence the dialog's requests come
	lost         <-chan struct{} // closed with the connection from there; nil: none to watch
	cut          bool            // that connection is gone
	doubt        doubt           // why we ask, while there is a doubt
	probe        *probe          // the question under way
	lostBy       string          // what made us sure that the caller is gone
	sessionEvery time.Duration   // granted to the caller
	told         bool            // the end is on its way to the recorder

	timers timers
}

const (
	ringRefresh = time.Minute // RFC 3261 §13.3.1.1: proxies forget a call after three
	portRetry   = 250 * time.Millisecond
)

func (ln *line) newCall(req *gosip.Request, r sip.Request, tx gosip.ServerTransaction, body []byte) *call {
	c := &call{
		ln: ln, req: req, r: r, tx: tx, tag: ln.hash.tag(dialogKey(req)),
		house: make(chan dispatch.Actor), inbox: make(chan inbound), cancelled: make(chan struct{}),
		slow: make(chan struct{}, 1), stored: make(chan dispatch.Contact, 1),
		facts:    make(chan fact, 2), // answered and ended, never more
		recorded: make(chan struct{}), gone: make(chan struct{}),
		remoteSeq: req.CSeq().SeqNo, peer: req.Source(),
	}
	if ln.conns != nil && req.Transport() == "TCP" {
		c.lost = ln.conns.gone(c.peer)
	}
	c.cancel = onceClose(c.cancelled)
	noCodec := false
	if body == nil {
		c.offerless = true
	} else if remote, err := media.ParseSDP(body); err != nil {
		noCodec = true
	} else {
		c.remote = remote
	}
	c.leg = sip.NewLeg(noCodec)
	c.contact = dispatch.Contact{
		ID: dispatch.NewContactID(), Kind: dispatch.ContactCall, Key: sip.ContactKey(r), Run: ln.cfg.Run,
		Caller: sip.Caller(r), Called: sip.Called(r), Peer: req.Source(),
		State: dispatch.ContactRinging, ReceivedAt: moment(),
	}
	c.by = "caller"
	if c.contact.Caller != "" {
		c.by = dispatch.Actor("caller:" + c.contact.Caller)
	}
	c.log = ln.log.With(zap.Stringer("call", c.contact.ID), zap.String("peer", c.contact.Peer))
	c.source = ln.counted(req.Source())
	c.dialog = dialogID(r.First("call-id"), c.tag, r.FromTag())
	var contact string
	if h := req.Contact(); h != nil {
		contact = h.Address.String()
	}
	c.target = sip.DialogTarget(contact, r.List("record-route"), req.Source())
	return c
}

// onceClose is called from sipgo's goroutines and from ours.
func onceClose(ch chan struct{}) func() {
	done := make(chan struct{}, 1)
	done <- struct{}{}
	return func() {
		select {
		case <-done:
			close(ch)
		default:
		}
	}
}

// serve runs the call until it has ended, its end is stored and its BYE answered.
func (c *call) serve(ctx, hard context.Context) {
	go c.record(hard) // awaited by finish
	defer c.finish()
	defer func() {
		if p := recover(); p != nil {
			c.ln.met.panics.Inc()
			c.log.Error("panic in a call", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			if !c.told {
				c.noteEnd(dispatch.EndLineLost, true)
			}
		}
	}()
	c.startTimers()
	defer c.stopTimers()
	_ = c.ln.respond(c.tx, c.ln.response(c.req, 100, "Trying")) // counted there; a lost 100 costs one retransmission
	c.loop(ctx, hard)
}

func (c *call) loop(ctx, hard context.Context) {
	ending, over := ctx.Done(), hard.Done()
	cancelled := (<-chan struct{})(c.cancelled)
	recorded := (<-chan struct{})(c.recorded)
	for c.leg.Phase != sip.Ended || recorded != nil || c.bye != nil {
		var asked chan verdict
		if c.probe != nil {
			asked = c.probe.done
		}
		var lost <-chan struct{}
		if c.leg.Phase == sip.Talking { // before, the answer finds it out
			lost = c.lost
		}
		var place chan<- struct{}
		if c.leg.Phase == sip.Ringing && !c.placed {
			if place = c.ln.places; c.origin != nil && !c.shared {
				place = c.origin.places
			}
		}
		select {
		case <-ending:
			ending = nil
			c.on(hard, sip.Shutdown)
		case <-over:
			over = nil
			c.on(hard, sip.GiveUp)
		case <-cancelled:
			cancelled = nil
			c.on(hard, sip.CallerCancel)
		case s := <-c.stored:
			c.id = s.ID
			c.ln.table.bind(c.id, c)
			c.on(hard, sip.Stored)
			c.noteWaiting()
		case <-recorded:
			recorded = nil
			if c.finished && !c.told {
				c.lateCopy()
			}
			c.on(hard, sip.GiveUp) // before its end only when the recorder broke
		case place <- struct{}{}:
			if c.origin != nil && !c.shared {
				c.shared = true
				break
			}
			c.placed = true
			c.ln.met.answered.Inc()
			c.answer(hard)
		case by := <-c.house:
			c.ender = by
			c.on(hard, sip.HangUp)
		case m := <-c.inbox:
			c.take(hard, m)
		case ack := <-c.tx.Acks(): // of a caller that repeats the INVITE's branch
			c.ack(hard, toRequest(ack), ack.CSeq())
		case <-c.slow:
			c.on(hard, sip.Late)
		case <-c.timers.late.C:
			c.on(hard, sip.Late)
		case <-c.timers.refresh.C:
			c.ringAgain(hard)
		case <-c.timers.port.C:
			c.answer(hard)
		case <-c.timers.early.C:
			c.refuseEarly()
		case <-c.timers.repeat.C:
			c.repeat(hard)
		case <-c.timers.session.C:
			c.ln.met.expired.Inc()
			c.timers.session.Reset(c.sessionEvery)
			c.suspect(hard, expired)
		case <-c.timers.quiet.C:
			c.listen(hard)
		case <-lost:
			c.disconnected(hard)
		case v := <-asked:
			c.judge(hard, v)
		case <-c.bye:
			c.bye = nil
		}
		if c.early != nil && c.pending == nil { // its ACK came, or the call ended
			m := *c.early
			c.early = nil
			c.take(hard, m)
		}
	}
}

// noteWaiting tells why a stored call goes on ringing.
func (c *call) noteWaiting() {
	if c.leg.Phase != sip.Ringing {
		return
	}
	if len(c.ln.places) == cap(c.ln.places) {
		c.ln.met.waiting.WithLabelValues("place").Inc()
		c.log.Warn("every place is taken; the call rings until one is free")
	} else if c.origin != nil && len(c.origin.places) == cap(c.origin.places) {
		c.ln.met.waiting.WithLabelValues("share").Inc()
		c.log.Warn("its source holds its whole share of places; the call rings until one is free")
	}
}

// on applies an event and does what the leg asks for.
func (c *call) on(hard context.Context, e sip.Event) {
	leg, actions := c.leg.On(e)
	c.leg = leg
	for _, a := range actions {
		switch a.Kind {
		case sip.SendQueued:
			_ = c.ln.respond(c.tx, c.queued()) // counted there; nobody needs it
		case sip.SendRinging:
			c.ring(hard)
		case sip.SendRefusal:
			c.ln.refuse(c.req, c.tx, &sip.Refusal{Status: a.Status, Reason: reasonPhrase(a.Status)})
		case sip.SendBye:
			c.sendBye(hard)
		case sip.NoteAnswer:
			c.facts <- fact{dispatch.Progress{State: dispatch.ContactAnswered, At: moment()}, dispatch.System}
			c.log.Info("call answered", zap.String("codec", string(c.remote.Codec)))
		case sip.NoteEnd:
			c.noteEnd(a.Reason, a.Callback)
		}
	}
}

func reasonPhrase(status int) string {
	switch status {
	case 480:
		return "Temporarily Unavailable"
	case 487:
		return "Request Terminated"
	case 488:
		return "Not Acceptable Here"
	case 503:
		return "Service Unavailable"
	}
	return "Error " + strconv.Itoa(status)
}

// lateCopy refuses an INVITE of a call that is over (RFC 3261 §8.2.2.2). Nothing is
// noted: the contact has its end already.
func (c *call) lateCopy() {
	c.told = true
	close(c.facts)
	c.leg.Phase = sip.Ended
	c.ln.refuse(c.req, c.tx, &sip.Refusal{Status: 482, Reason: "Loop Detected"})
	c.release()
}

// noteEnd hands the end to the recorder and lets go of place and sound.
func (c *call) noteEnd(why dispatch.EndReason, callback bool) {
	c.told = true
	by := dispatch.System
	switch {
	case why == dispatch.EndCallerHungUp, why == dispatch.EndCancelled:
		by = c.by
	case why == dispatch.EndOperator && c.ender != "":
		by = c.ender
	}
	c.facts <- fact{dispatch.Progress{State: dispatch.ContactEnded, At: moment(), Reason: why, Why: c.lostBy, CallbackDue: callback}, by}
	close(c.facts)
	c.pending = nil
	c.ln.met.ended.WithLabelValues(string(why)).Inc()
	c.log.Info("call ended", zap.String("reason", string(why)))
	c.release()
}

// release gives back the sound and the place.
func (c *call) release() {
	if c.probe != nil {
		c.probe.stop()
	}
	if c.stopMedia != nil {
		c.stopMedia()
		<-c.mediaDone
		c.stopMedia = nil
	}
	if c.session != nil {
		c.session.Close()
	}
	if c.placed {
		c.placed = false
		<-c.ln.places
		c.ln.met.answered.Dec()
	}
	if c.shared {
		c.shared = false
		<-c.origin.places
	}
}

// finish is the last thing of a call, whatever ended it.
func (c *call) finish() {
	if !c.told { // a panic before the end was told
		close(c.facts)
		c.release()
	}
	<-c.recorded
	if c.bye != nil {
		<-c.bye
	}
	if c.probe != nil {
		<-c.probe.done
	}
	c.ln.table.remove(c, c.id)
	close(c.gone)
}
