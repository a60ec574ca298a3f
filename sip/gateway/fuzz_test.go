package gateway

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gosip "github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"nabat/dispatch"
	"nabat/sip"
	"nabat/sip/media"
)

// Whatever datagram comes: no panic from the library's parser (its reader has no
// recover, so one would end the process), and what we answer holds no line end
// that we did not write.
func FuzzDatagram(f *testing.F) {
	pool, err := media.New(media.Config{})
	require.NoError(f, err)
	gw, err := New(Config{Intake: &fakeHouse{}, Media: pool, Run: dispatch.NewRunID()})
	require.NoError(f, err)
	ln := &line{Gateway: gw}
	parser := newParser()
	source := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 5060}
	f.Add([]byte(tcpInvite))
	f.Add([]byte(strings.Replace(tcpInvite, "To: ", "t:\r\n ; tag = x\r\nTo: ", 1)))
	files, err := filepath.Glob(filepath.Join(tortureDir(f), "*", "*.dat"))
	require.NoError(f, err)
	for _, name := range files {
		raw, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		data, err := ln.filter(gosip.TransportReadProps{Transport: "UDP", RemoteAddr: source}, raw)
		require.NoError(t, err)
		if len(data) == 0 {
			return
		}
		msg, err := parser.ParseSIP(data)
		if err != nil {
			return
		}
		req, ok := msg.(*gosip.Request)
		if !ok {
			return
		}
		req.SetTransport("UDP")
		req.SetSource(source.String())
		r := toRequest(req)
		refusal := sip.Check(r)
		if refusal == nil {
			refusal = sip.CheckUse(r)
		}
		status := 200
		var extra []gosip.Header
		if refusal != nil {
			if status = refusal.Status; status == 0 {
				return
			}
			for _, h := range refusal.Headers {
				extra = append(extra, gosip.NewHeader(h.Name, h.Value))
			}
		} else if r.Method == sip.MethodInvite {
			c := ln.newCall(req, r, nil, nil)
			bye, _ := c.request(gosip.BYE)
			requireWhole(t, bye.String())
		}
		requireWhole(t, ln.response(req, status, "OK", extra...).String())
	})
}

// requireWhole: every line end is CRLF.
func requireWhole(t *testing.T, msg string) {
	head, _, ok := strings.Cut(msg, "\r\n\r\n")
	require.True(t, ok)
	for l := range strings.SplitSeq(head, "\r\n") {
		require.NotContains(t, l, "\n")
		require.NotContains(t, l, "\r")
	}
}
