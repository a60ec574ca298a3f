package gateway

import (
	"context"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"nabat/dispatch"
	"nabat/sip"
)

// messageTime bounds one attempt to store a message. The sender gives up after
// 32 s (timer F), so the answer must come before.
const messageTime = 20 * time.Second

const maxContentType = 256 // octets of it that are kept

// message takes an SMS (RFC 3428): 200 after the commit, 503 when there was none,
// so that the sender keeps it and repeats.
func (ln *line) message(ctx, hard context.Context, req *gosip.Request, r sip.Request, tx gosip.ServerTransaction) {
	text, f := sip.Text(r)
	if f != nil {
		outcome := "unreadable"
		if f.Status == gosip.StatusRequestEntityTooLarge {
			outcome = "too long"
		}
		ln.met.messages.WithLabelValues(outcome).Inc()
		ln.log.Warn("message refused", zap.String("peer", req.Source()), zap.Int("status", f.Status), zap.Int("octets", len(r.Body)))
		ln.refuse(req, tx, f)
		return
	}
	if ctx.Err() != nil {
		ln.refuse(req, tx, goingAway())
		return
	}
	select {
	case ln.messages <- struct{}{}:
		defer func() { <-ln.messages }()
	default:
		ln.met.messages.WithLabelValues("full").Inc()
		ln.refuse(req, tx, goingAway())
		return
	}
	now := moment()
	c := dispatch.Contact{
		ID: dispatch.NewContactID(), Kind: dispatch.ContactSMS, Key: sip.ContactKey(r), Run: ln.cfg.Run,
		Caller: sip.Caller(r), Called: sip.Called(r), Peer: req.Source(), Text: text,
		Body: r.Body, ContentType: sip.Clean(r.First("content-type"), maxContentType, false),
		State: dispatch.ContactEnded, ReceivedAt: now, EndedAt: now, EndReason: dispatch.EndDelivered,
	}
	ctx, cancel := context.WithTimeout(hard, messageTime)
	defer cancel()
	stored, duplicate, err := ln.cfg.Intake.OpenContact(ctx, c)
	if err != nil {
		ln.met.messages.WithLabelValues("not stored").Inc()
		ln.log.Warn("message not stored; its sender keeps it", zap.String("peer", c.Peer), zap.Error(err))
		ln.refuse(req, tx, goingAway())
		return
	}
	outcome := "stored"
	if duplicate {
		outcome = "duplicate"
	}
	ln.met.messages.WithLabelValues(outcome).Inc()
	ln.log.Info("message taken", zap.Stringer("contact", stored.ID), zap.Stringer("incident", stored.Incident), zap.Bool("duplicate", duplicate))
	_ = ln.respond(tx, ln.response(req, 200, "OK")) // counted there; the sender repeats
}

// moment is the present as the database keeps it.
func moment() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
