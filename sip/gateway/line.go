package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	gosip "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"nabat/dispatch"
	"nabat/sip"
)

// line is a gateway while it runs: sipgo's parts and the sockets.
type line struct {
	*Gateway
	ua     *sipgo.UserAgent
	client *sipgo.Client
	udp    net.PacketConn
	tcp    net.Listener
	conns  *limited // nil without TCP
	// refusals is the log of what was refused.
	refusals *zap.Logger
	running  gate
}

// Run serves the sockets until ctx ends; either may be nil. It closes them, and
// returns when every goroutine is gone. An error means that a socket failed.
func (g *Gateway) Run(ctx context.Context, udp net.PacketConn, tcp net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hard, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()

	ln := &line{Gateway: g, udp: udp, tcp: tcp, refusals: dispatch.Seldom(g.log)}
	if tcp != nil {
		ln.conns = limit(tcp, g.cfg.Connections, g.met.dropped, g.log)
		ln.conns.known = ln.known
	}
	srv, err := ln.build()
	if err != nil {
		return fmt.Errorf("build SIP stack: %w", err)
	}
	handler := ln.handler(ctx, hard)
	for _, m := range []gosip.RequestMethod{gosip.INVITE, gosip.ACK, gosip.CANCEL, gosip.BYE, gosip.OPTIONS, gosip.INFO, gosip.UPDATE, gosip.MESSAGE} {
		srv.OnRequest(m, handler)
	}
	srv.OnNoRoute(handler)

	ended := make(chan error, 2)
	var serving sync.WaitGroup
	if udp != nil {
		serving.Go(func() { ended <- fmt.Errorf("UDP reader ended: %w", orClosed(srv.ServeUDP(udp))) })
	}
	if tcp != nil {
		serving.Go(func() { ended <- fmt.Errorf("TCP accept ended: %w", orClosed(srv.ServeTCP(ln.conns))) })
	}

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-ended:
		cancel()
	}

	// Calls end in good order, or are made to.
	bound := time.AfterFunc(g.cfg.Drain, stop)
	g.table.wait(hard)
	ln.running.close()
	ln.running.wait(hard)
	stop()
	bound.Stop()
	ln.running.wait(context.WithoutCancel(ctx))

	if udp != nil {
		udp.Close()
	}
	if tcp != nil {
		ln.conns.Close()
	}
	serving.Wait()
	if err := ln.ua.Close(); err != nil {
		g.log.Debug("closing connections", zap.Error(err))
	}
	if ln.conns != nil {
		ln.conns.closeAll()
	}
	return failed
}

func orClosed(err error) error {
	if err == nil {
		return net.ErrClosed
	}
	return err
}

func (ln *line) build() (*sipgo.Server, error) {
	log := newLibraryLog(ln.log, ln.met.library)
	ua, err := sipgo.NewUA(
		sipgo.WithUserAgent("nabat"),
		sipgo.WithUserAgentParser(newParser()),
		sipgo.WithUserAgentTransportLayerOptions(
			gosip.WithTransportLayerLogger(log),
			gosip.WithTransportLayerReadFilter(ln.filter),
			// A peer that does not read must not hold a call for ever.
			gosip.WithTransportLayerTransports(gosip.TransportsConfig{TCP: &gosip.TransportTCP{WriteTimeout: 5 * time.Second}}),
		),
		sipgo.WithUserAgentTransactionLayerOptions(
			gosip.WithTransactionLayerLogger(log),
			gosip.WithTransactionLayerUnhandledResponseHandler(func(*gosip.Response) {
				ln.met.dropped.WithLabelValues("stray response").Inc()
			}),
		),
	)
	if err != nil {
		return nil, err
	}
	srv, err := sipgo.NewServer(ua, sipgo.WithServerLogger(log))
	if err != nil {
		return nil, errors.Join(err, ua.Close())
	}
	client, err := sipgo.NewClient(ua, sipgo.WithClientLogger(log))
	if err != nil {
		return nil, errors.Join(err, ua.Close())
	}
	ln.ua, ln.client = ua, client
	return srv, nil
}

// handler is the one entry of every request. sipgo runs it in a goroutine of its
// own and ends the transaction when it returns.
//
// Two ends of time go with everything from here on: ctx is over when an orderly
// end begins, hard when it must be over.
func (ln *line) handler(ctx, hard context.Context) sipgo.RequestHandler {
	return func(req *gosip.Request, tx gosip.ServerTransaction) {
		if !ln.running.enter() {
			return
		}
		defer ln.running.leave()
		if ln.conns != nil && req.Transport() == "TCP" {
			ln.conns.heard(req.Source())
		}
		defer func() {
			if p := recover(); p != nil {
				ln.met.panics.Inc()
				ln.log.Error("panic in a request", zap.String("method", string(req.Method)), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			}
		}()
		ln.serve(ctx, hard, req, tx)
	}
}

func (ln *line) serve(ctx, hard context.Context, req *gosip.Request, tx gosip.ServerTransaction) {
	r := toRequest(req)
	f := sip.Check(r)
	if f == nil {
		f = sip.CheckUse(r)
	}
	if f != nil {
		ln.refuse(req, tx, f)
		return
	}
	switch within := r.ToTag() != ""; r.Method {
	case sip.MethodAck:
		ln.withinDialog(req, r, tx)
	case sip.MethodCancel:
		// sipgo matched no INVITE to it (RFC 3261 §9.2).
		ln.refuse(req, tx, &sip.Refusal{Status: 481, Reason: "Call/Transaction Does Not Exist"})
	case sip.MethodInvite:
		if within {
			ln.withinDialog(req, r, tx)
		} else {
			ln.invite(ctx, hard, req, r, tx)
		}
	case sip.MethodMessage:
		if within && ln.table.byDialog(dialogOf(r)) == nil {
			ln.refuse(req, tx, noDialog())
		} else {
			ln.message(ctx, hard, req, r, tx)
		}
	case sip.MethodOptions:
		if within {
			ln.withinDialog(req, r, tx)
		} else {
			ln.options(ctx, hard, req, tx)
		}
	default:
		ln.withinDialog(req, r, tx)
	}
}

// options says what we can do; while we drain it says that the trunk had better
// go elsewhere.
func (ln *line) options(ctx, hard context.Context, req *gosip.Request, tx gosip.ServerTransaction) {
	if ctx.Err() != nil {
		ln.refuse(req, tx, goingAway())
		return
	}
	_ = ln.respond(tx, ln.response(req, 200, "OK", abilities()...)) // counted there; the peer asks again
	// The answer to a repeat would be the same: keeping the transaction for 32 s
	// would only cost memory when somebody floods us.
	tx.Terminate()
}

func goingAway() *sip.Refusal {
	return &sip.Refusal{Status: 503, Reason: "Service Unavailable", Headers: []sip.Header{{Name: "Retry-After", Value: "5"}}}
}

func noDialog() *sip.Refusal {
	return &sip.Refusal{Status: 481, Reason: "Call/Transaction Does Not Exist"}
}

func dialogOf(r sip.Request) string { return dialogID(r.First("call-id"), r.ToTag(), r.FromTag()) }

// inbound is a request within a dialog on its way to the call's goroutine.
type inbound struct {
	req  *gosip.Request
	r    sip.Request
	tx   gosip.ServerTransaction
	done chan struct{} // closed when it has been answered
}

// withinDialog hands the request to its call and stays until it is answered: the
// transaction ends with this goroutine.
func (ln *line) withinDialog(req *gosip.Request, r sip.Request, tx gosip.ServerTransaction) {
	m := inbound{req: req, r: r, tx: tx, done: make(chan struct{})}
	c := ln.table.byDialog(dialogOf(r))
	if c != nil {
		select {
		case c.inbox <- m:
			select {
			case <-m.done:
			case <-c.gone:
			}
			return
		case <-c.gone:
		case <-tx.Done():
			return
		}
	}
	if r.Method != sip.MethodAck { // a stray ACK is never answered
		ln.refuse(req, tx, noDialog())
	}
}
