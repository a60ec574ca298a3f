package day

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/alarms/dc09"
	"nabat/simulators/city"
	"nabat/simulators/sipwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// town is the other side of everything: it acknowledges and answers.
type town struct {
	mu     sync.Mutex
	tokens map[string]int
	calls  map[string]int
	alarms []string // data blocks of events
}

func (w *town) note(m dc09.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens[m.Token]++
	if m.Token != dc09.TokenNull {
		w.alarms = append(w.alarms, m.Data)
	}
}

func (w *town) reply(raw []byte) []byte {
	f, _, err := dc09.Next(raw, true)
	if err != nil {
		return nil
	}
	m, err := dc09.Parse(f)
	if err != nil {
		return nil
	}
	w.note(m)
	return dc09.AppendReply(nil, dc09.ACK, &m, time.Now())
}

func (w *town) receiver(t *testing.T, ctx context.Context, wg *sync.WaitGroup) string { //nolint:revive // t first is the habit of tests
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	pc, err := net.ListenPacket("udp", ln.Addr().String())
	require.NoError(t, err)
	context.AfterFunc(ctx, func() { ln.Close(); pc.Close() })
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(w.reply(buf[:n]), from)
		}
	})
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				in := bufio.NewReader(conn)
				for {
					line, err := in.ReadBytes('\r') // clear text holds no other CR
					if err != nil {
						return
					}
					conn.Write(w.reply(line))
				}
			})
		}
	})
	return ln.Addr().String()
}

func (w *town) exchange(t *testing.T, ctx context.Context, wg *sync.WaitGroup) string { //nolint:revive // t first is the habit of tests
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	context.AfterFunc(ctx, func() { pc.Close() })
	wg.Go(func() {
		buf := make([]byte, 65535)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			m, err := sipwire.Parse(buf[:n])
			if err != nil {
				continue
			}
			w.mu.Lock()
			w.calls[m.Method]++
			w.mu.Unlock()
			send := func(status int, body string) {
				r := sipwire.Answer(m, status, "x")
				if status > 100 {
					for i := range r.Headers {
						if r.Headers[i].Name == "To" && !strings.Contains(r.Headers[i].Value, "tag=") {
							r.Headers[i].Value += ";tag=town"
						}
					}
				}
				r.Body = []byte(body)
				pc.WriteTo(r.Bytes(), from)
			}
			switch m.Method {
			case "INVITE":
				send(180, "")
				send(200, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n")
			case "ACK":
			default:
				send(200, "")
			}
		}
	})
	return pc.LocalAddr().String()
}

func TestTheCityLives(t *testing.T) {
	t.Parallel()
	w := &town{tokens: map[string]int{}, calls: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	alarms, phone := w.receiver(t, ctx, &wg), w.exchange(t, ctx, &wg)
	facilities := city.Demo()[:300]
	for i := range facilities {
		facilities[i].Panels[0].HeartbeatS = 1
	}
	first := make(chan string, 1)
	c, err := New(Options{
		Alarms: alarms, SIP: phone, Facilities: facilities, Speed: 2000, Seed: 1,
		FirstAlarm: func(account, _ string) { first <- account },
	})
	require.NoError(t, err)
	dayCtx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(dayCtx) }()
	account := <-first
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.tokens[dc09.TokenNull] >= 300 && w.tokens[dc09.TokenContactID] > 5 && w.tokens[dc09.TokenSIA] > 1 &&
			w.calls["INVITE"] > 20 && w.calls["MESSAGE"] > 0
	}, 20*time.Second, 10*time.Millisecond)
	stop()
	require.NoError(t, <-done)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Equal(t, w.calls["INVITE"], w.calls["BYE"], "every call was hung up")
	var fire string
	for _, d := range w.alarms {
		if strings.HasPrefix(d, "#"+account+"|") {
			fire = d
			break
		}
	}
	require.Regexp(t, `\|(1(110|111|114|115) 01 \d{3}|Nri01/[FK]A\d{3})$`, fire)
	for _, r := range c.Reports() {
		require.Zero(t, r.Lost+r.Refused, "%+v", r)
	}
}

func TestPartsCanBeLeftOut(t *testing.T) {
	t.Parallel()
	c, err := New(Options{Facilities: []city.Facility{}})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.NoError(t, c.Run(ctx))
	require.Empty(t, c.Reports())
	_, err = New(Options{Staff: []Staff{{Login: "x"}}})
	require.Error(t, err, "staff without a console")
}

// The pace of a stream is the city's: in a virtual month as many calls as there
// should be, and the first fire well within its 15 s.
func TestStreamKeepsThePace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*24*time.Hour)
		defer cancel()
		start, n, first := time.Now(), 0, time.Duration(0)
		stream(ctx, rand.New(rand.NewPCG(1, 1)), alarmsPerDay, 1, firstAlarm, func(int) {
			if n++; n == 1 {
				first = time.Since(start)
			}
		})
		require.Equal(t, firstAlarm, first)
		require.Less(t, first, 15*time.Second)
		require.InDelta(t, 30*alarmsPerDay, n, 120)
	})
}
