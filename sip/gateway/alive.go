package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"nabat/sip"
)

// A caller whose battery died and a trunk that was killed send no BYE: without
// asking, their call would stay «answered» for ever, and hold a place and a port.
// But one who is silent, muted or on hold sends no sound either, and must not be
// cut off. So a doubt only makes us ask, by an OPTIONS within the dialog
// (RFC 3261 §11), and any answer but «I know no such call» is life.

// doubt is why we ask.
type doubt struct{ ru, en string }

var (
	silent  = doubt{"от звонящего нет звука", "no sound from the caller"}
	cutOff  = doubt{"соединение TCP со звонящим потеряно", "the caller's TCP connection was lost"}
	expired = doubt{"звонящий не продлил сеанс", "the caller did not refresh the session"}
)

// probe is one question under way.
type probe struct {
	why    doubt
	at     time.Time
	reused bool // it went over the connection that the caller came by
	stop   context.CancelFunc
	done   chan verdict // holds the answer, then nothing more
}

// verdict is what became of the question; status 0: no answer.
type verdict struct {
	status int
	reason string
	err    error
}

// suspect asks whether the other side still knows the call; one question at a
// time. Before the ACK the unacknowledged 200 asks already.
func (c *call) suspect(hard context.Context, why doubt) {
	if c.leg.Phase != sip.Talking || c.probe != nil {
		return
	}
	req, reused := c.request(gosip.OPTIONS)
	ctx, stop := context.WithTimeout(hard, ackTime)
	p := &probe{why: why, at: time.Now(), reused: reused, stop: stop, done: make(chan verdict, 1)}
	c.probe = p
	c.ln.met.probes.Inc()
	if c.doubt != why { // a spell of silence is told once
		c.log.Info("asking whether the caller is still there", zap.String("why", why.en))
	}
	c.doubt = why
	go func() { // awaited by judge or finish
		defer stop()
		res, err := c.ln.client.Do(ctx, req, builtByUs)
		v := verdict{err: err}
		if err == nil {
			v.status, v.reason = res.StatusCode, res.Reason
		}
		p.done <- v
	}()
}

// judge takes the answer. 481 is the other side's own word that the call is over;
// that none came, or 408, says so too (RFC 3261 §12.2.1.2), unless the caller's
// voice says otherwise: then the question is put again.
func (c *call) judge(hard context.Context, v verdict) {
	p := c.probe
	c.probe = nil
	if c.leg.Phase != sip.Talking {
		return
	}
	switch {
	case v.status == gosip.StatusCallTransactionDoesNotExists:
		c.lose(hard, sip.Forgotten, p.why, v)
	case v.status != 0 && v.status != gosip.StatusRequestTimeout:
		if p.why != silent { // that one stays until there is sound
			c.doubt = doubt{}
		}
	case v.status == 0 && p.reused && (c.cut || !errors.Is(v.err, gosip.ErrTransactionTimeout) && !errors.Is(v.err, context.DeadlineExceeded)):
		// It went down with the caller's connection: ask by a new one
		// (RFC 3261 §18.1.1, RFC 5923).
		c.cut = true
		c.suspect(hard, p.why)
	case c.heard.After(p.at), time.Since(c.lastSound()) < c.ln.cfg.Silence:
		c.log.Warn("the caller does not answer our OPTIONS, but is heard; the call goes on", zap.Error(v.err))
	default:
		c.lose(hard, sip.LineLost, p.why, v)
	}
}

// lose ends the call. What made us sure goes into the journal.
func (c *call) lose(hard context.Context, e sip.Event, why doubt, v verdict) {
	ru, en := "на OPTIONS нет ответа", "no answer to OPTIONS"
	if v.status != 0 {
		v.reason = sip.Clean(v.reason, 60, false)
		ru = fmt.Sprintf("на OPTIONS ответ %d %s", v.status, v.reason)
		en = fmt.Sprintf("OPTIONS answered by %d %s", v.status, v.reason)
	}
	c.lostBy = why.ru + "; " + ru + " / " + why.en + "; " + en
	c.log.Warn("the caller is gone", zap.String("why", why.en), zap.Int("status", v.status), zap.Error(v.err))
	c.on(hard, e)
}

// listen looks whether the caller was heard of lately.
func (c *call) listen(hard context.Context) {
	every := c.ln.cfg.Silence
	switch left := every - c.quietFor(); {
	case left <= 0:
		c.timers.quiet.Reset(every)
		c.suspect(hard, silent)
	case c.doubt != (doubt{}) && c.doubt != silent: // asked in vain, but heard
		c.timers.quiet.Reset(every)
		c.suspect(hard, c.doubt)
	default:
		c.doubt = doubt{}
		c.timers.quiet.Reset(left)
	}
}

// quietFor is since when nothing has come from the caller: no sound, no request.
func (c *call) quietFor() time.Duration {
	last := c.heard
	if at := c.lastSound(); at.After(last) {
		last = at
	}
	return time.Since(last)
}

func (c *call) lastSound() time.Time {
	if c.session == nil {
		return time.Time{}
	}
	return c.session.Stats().LastReceived
}

// hear notes a request within the dialog. It may come by a new connection, which
// is then the one to watch.
func (c *call) hear(req *gosip.Request) {
	c.heard = time.Now()
	if c.ln.conns == nil || req.Transport() != "TCP" || c.peer == req.Source() && !c.cut {
		return
	}
	c.peer, c.cut = req.Source(), false
	c.lost = c.ln.conns.gone(c.peer)
}

// disconnected: the connection that the caller's requests came by is gone. The
// caller need not be.
func (c *call) disconnected(hard context.Context) {
	c.lost, c.cut = nil, true
	if c.probe == nil {
		c.suspect(hard, cutOff)
	} else if c.probe.reused {
		c.probe.stop() // it is put again by a new one
	}
}
