package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/emiago/sipgo"
	gosip "github.com/emiago/sipgo/sip"
)

// answerCalls is the ceiling of calls without keeping anything: the same SIP
// library answers 180 and 200 at once. It says where it listens and lives as
// long as its standard input.
func answerCalls() error {
	quiet := slog.New(slog.DiscardHandler)
	gosip.SetDefaultLogger(quiet)
	ua, err := sipgo.NewUA(sipgo.WithUserAgent("bare"),
		sipgo.WithUserAgentTransportLayerOptions(gosip.WithTransportLayerLogger(quiet)),
		sipgo.WithUserAgentTransactionLayerOptions(gosip.WithTransactionLayerLogger(quiet)))
	if err != nil {
		return err
	}
	srv, err := sipgo.NewServer(ua, sipgo.WithServerLogger(quiet))
	if err != nil {
		return err
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0") //nolint:noctx // a program of its own
	if err != nil {
		return err
	}
	_ = pc.(*net.UDPConn).SetReadBuffer(4 << 20) // as the engine's
	contact := gosip.NewHeader("Contact", "<sip:112@"+pc.LocalAddr().String()+">")
	sdp := []byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")
	srv.OnInvite(func(req *gosip.Request, tx gosip.ServerTransaction) {
		ring := gosip.NewResponseFromRequest(req, 180, "Ringing", nil)
		ring.AppendHeader(contact)
		ok := gosip.NewSDPResponseFromRequest(req, sdp)
		ok.AppendHeader(contact)
		// What fails here shows at the caller's end.
		_ = tx.Respond(ring)
		_ = tx.Respond(ok)
	})
	srv.OnAck(func(*gosip.Request, gosip.ServerTransaction) {})
	srv.OnBye(func(req *gosip.Request, tx gosip.ServerTransaction) {
		_ = tx.Respond(gosip.NewResponseFromRequest(req, 200, "OK", nil))
	})
	fmt.Println(pc.LocalAddr())
	go func() { _ = srv.ServeUDP(pc) }()
	_, err = io.Copy(io.Discard, os.Stdin)
	_ = ua.Close()
	return err
}
