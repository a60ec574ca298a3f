package ws_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"nabat/console"
	"nabat/console/ws"
	"nabat/dispatch"
)

// Everything here runs in virtual time: the times below are exact.

const token = "nabat_0123456789012345678901234567890123456789012"

type setting struct {
	t    *testing.T
	w    *world
	wire *wire
	stop context.CancelFunc
	runs sync.WaitGroup

	metrics *prometheus.Registry
}

func start(t *testing.T, o ws.Options) *setting {
	t.Helper()
	w := newWorld()
	w.people[sha256.Sum256([]byte(token))] = console.Person{Login: "city", Role: console.Operator, Program: true, Key: sha256.Sum256([]byte(token))}
	log := zaptest.NewLogger(t)
	metrics := prometheus.NewRegistry()
	house, err := console.New(console.Options{House: w, Store: w, Router: w, Logger: log, Wake: w, Registerer: metrics})
	require.NoError(t, err)
	sockets := ws.New(house, log, o)
	s := &setting{t: t, w: w, wire: newWire(), metrics: metrics}
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	s.runs.Go(func() { house.Run(ctx) })
	s.runs.Go(func() { sockets.Run(ctx) })
	s.runs.Go(func() { console.Serve(ctx, s.wire, house.Handler(sockets), nil, log) })
	return s
}

func (s *setting) end() {
	s.stop()
	s.runs.Wait()
}

func (s *setting) dial() (*websocket.Conn, error) {
	d := websocket.Dialer{NetDialContext: s.wire.dial}
	c, res, err := d.DialContext(s.t.Context(), "ws://nabat/ws", http.Header{"Authorization": {"Bearer " + token}})
	if err == nil {
		res.Body.Close()
	}
	return c, err
}

type frame struct {
	T     string `json:"t"`
	Seq   int64  `json:"seq"`
	Prev  int64  `json:"prev"`
	Stale bool   `json:"stale"`
	ID    string `json:"id"`
	OK    bool   `json:"ok"`
	Error *console.Fault
	at    time.Time
}

// listener collects what a console hears until its connection ends.
type listener struct {
	conn *websocket.Conn
	mu   sync.Mutex
	all  []frame
	err  error
	done chan struct{}
}

func (s *setting) listen() *listener {
	s.t.Helper()
	c, err := s.dial()
	require.NoError(s.t, err)
	l := &listener{conn: c, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer c.Close()
		for {
			_, b, err := c.ReadMessage()
			l.mu.Lock()
			if err != nil {
				l.err = err
				l.mu.Unlock()
				return
			}
			var f frame
			if json.Unmarshal(b, &f) == nil {
				f.at = time.Now()
				l.all = append(l.all, f)
			}
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *listener) heard(kind string) []frame {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []frame
	for _, f := range l.all {
		if f.T == kind {
			out = append(out, f)
		}
	}
	return out
}

func (l *listener) code() int {
	<-l.done
	if c, ok := l.err.(*websocket.CloseError); ok { //nolint:errorlint // gorilla returns it bare
		return c.Code
	}
	return 0
}

func TestBeatsComeEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{})
		defer s.end()
		l := s.listen()
		time.Sleep(time.Minute)
		beats := l.heard("beat")
		require.GreaterOrEqual(t, len(beats), 59)
		for i := 1; i < len(beats); i++ {
			require.LessOrEqual(t, beats[i].at.Sub(beats[i-1].at), time.Second)
			require.False(t, beats[i].Stale)
		}
	})
}

// A database that fails, or hangs, is told within 1.5 s by beats that go on; what
// happened meanwhile comes as soon as it is back, and no beat is ever late.
func TestStaleJournalIsTold(t *testing.T) {
	for name, set := range map[string][2]bool{"fails": {true, false}, "hangs": {false, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, ws.Options{})
				defer s.end()
				l := s.listen()
				time.Sleep(10 * time.Second)
				s.w.set(set[0], set[1])
				broke := time.Now()
				time.Sleep(20 * time.Second)
				s.w.set(false, false)
				mended := time.Now()
				s.w.draft()
				time.Sleep(20 * time.Second)
				var stale, fresh time.Time
				beats := l.heard("beat")
				for i, b := range beats {
					if i > 0 {
						require.LessOrEqual(t, b.at.Sub(beats[i-1].at), time.Second, "a beat was late")
					}
					if b.Stale && b.at.After(broke) && stale.IsZero() {
						stale = b.at
					}
					if !b.Stale && b.at.After(mended) && fresh.IsZero() {
						fresh = b.at
					}
				}
				require.LessOrEqual(t, stale.Sub(broke), 1500*time.Millisecond)
				require.False(t, stale.IsZero())
				require.LessOrEqual(t, fresh.Sub(mended), 4*time.Second, "a hanging read ends by its own limit first")
				require.False(t, fresh.IsZero())
				require.Len(t, l.heard("delta"), 1)
			})
		})
	}
}

func TestDeltasFollowTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{})
		defer s.end()
		id := s.w.draft()
		time.Sleep(time.Second)
		l := s.listen()
		time.Sleep(time.Second)
		require.Len(t, l.heard("snapshot"), 1)
		require.Equal(t, int64(1), l.heard("snapshot")[0].Seq)
		require.NoError(t, s.w.change(id, dispatch.SaveDraft(dispatch.Form{Place: new("там")}, "operator:x", time.Now())))
		time.Sleep(time.Second)
		d := l.heard("delta")
		require.Len(t, d, 1)
		require.Equal(t, int64(1), d[0].Prev)
		require.Equal(t, int64(2), d[0].Seq)
	})
}

// A change reaches the screen at once, not at the next poll.
func TestDeltaIsImmediate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{})
		defer s.end()
		l := s.listen()
		time.Sleep(5 * time.Second)
		began := time.Now()
		s.w.draft()
		time.Sleep(time.Second)
		d := l.heard("delta")
		require.Len(t, d, 1)
		require.LessOrEqual(t, d[0].at.Sub(began), 20*time.Millisecond)
	})
}

// A console that does not read is ended; the others hear everything in time.
func TestSlowConsoleIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{})
		defer s.end()
		quick := s.listen()
		slow, err := s.dial()
		require.NoError(t, err)
		defer slow.Close()
		time.Sleep(time.Second)
		for range 400 {
			s.w.draft()
			time.Sleep(25 * time.Millisecond)
		}
		time.Sleep(time.Second)
		require.Len(t, quick.heard("delta"), 400)
		// The slow one's connection has ended: whatever it reads comes to an end.
		for {
			if _, _, err := slow.ReadMessage(); err != nil {
				break
			}
		}
		for i, d := range quick.heard("delta") {
			if i > 0 {
				require.Equal(t, quick.heard("delta")[i-1].Seq, d.Prev)
			}
		}
	})
}

// One that falls behind and reads on within a second is told why: 4008.
func TestSlowConsoleIsToldWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{})
		defer s.end()
		slow, err := s.dial()
		require.NoError(t, err)
		defer slow.Close()
		handed := func() (n float64) {
			synctest.Wait()
			families, err := s.metrics.Gather()
			require.NoError(t, err)
			for _, f := range families {
				if f.GetName() == "nabat_console_frames_total" {
					for _, m := range f.GetMetric() {
						n += m.GetCounter().GetValue()
					}
				}
			}
			return n
		}
		// One frame is in the writer's hand, 256 wait; the next one is too many. It
		// must come before a single write has taken its five seconds.
		for range 100 {
			require.NoError(t, slow.WriteJSON(map[string]string{"t": "resync"}))
		}
		began := time.Now()
		for handed() < 258 {
			require.Less(t, time.Since(began), 5*time.Second)
			s.w.draft()
			time.Sleep(25 * time.Millisecond)
		}
		for {
			if _, _, err = slow.ReadMessage(); err != nil {
				break
			}
		}
		var c *websocket.CloseError
		require.ErrorAs(t, err, &c)
		require.Equal(t, ws.CloseSlow, c.Code)
	})
}

// A console that vanished without a word is noticed by its silence.
func TestSilentConsoleIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{MaxSockets: 1})
		defer s.end()
		c, err := s.dial()
		require.NoError(t, err)
		defer c.Close()
		// It takes what is sent, and answers no ping.
		c.SetPingHandler(func(string) error { return nil })
		go func() {
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					return
				}
			}
		}()
		_, err = s.dial()
		require.Error(t, err, "there is room for one")
		time.Sleep(50 * time.Second)
		l := s.listen()
		time.Sleep(time.Second)
		require.Len(t, l.heard("hello"), 1)
	})
}

func TestExpiryEndsTheSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{})
		defer s.end()
		sum := console.Sum(sha256.Sum256([]byte(token)))
		p := s.w.people[sum]
		p.Expires = time.Now().Add(time.Minute)
		s.w.people[sum] = p
		began := time.Now()
		l := s.listen()
		// Even while the database is away.
		time.Sleep(30 * time.Second)
		s.w.set(true, false)
		require.Equal(t, ws.CloseSession, l.code())
		require.LessOrEqual(t, time.Since(began), 62*time.Second)
		require.GreaterOrEqual(t, time.Since(began), time.Minute)
	})
}

func TestStopSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{})
		l := s.listen()
		time.Sleep(time.Second)
		began := time.Now()
		s.end()
		require.Equal(t, websocket.CloseGoingAway, l.code())
		require.Less(t, time.Since(began), 3*time.Second)
	})
}

// While the database is away a command is answered «busy», and the same command
// sent again when it is back is carried out.
func TestCommandWhileTheDatabaseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{})
		defer s.end()
		id := s.w.draft()
		l := s.listen()
		time.Sleep(time.Second)
		cmd := map[string]any{"t": "cmd", "id": uuid.NewString(), "kind": "save", "incident": id, "form": map[string]string{"place": "там"}}
		s.w.set(true, false)
		require.NoError(t, l.conn.WriteJSON(cmd))
		time.Sleep(time.Second)
		r := l.heard("result")
		require.Len(t, r, 1)
		require.False(t, r[0].OK)
		s.w.set(false, false)
		for range 3 {
			require.NoError(t, l.conn.WriteJSON(cmd))
		}
		time.Sleep(time.Second)
		r = l.heard("result")
		require.Len(t, r, 4)
		for _, f := range r[1:] {
			require.True(t, f.OK)
		}
		require.Len(t, s.w.events, 2)
	})
}

// A gap in the numbers is mended by asking: «resync» gives a snapshot that the
// next delta fits on.
func TestResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{})
		defer s.end()
		l := s.listen()
		time.Sleep(time.Second)
		s.w.draft()
		time.Sleep(time.Second)
		require.NoError(t, l.conn.WriteJSON(map[string]string{"t": "resync"}))
		time.Sleep(time.Second)
		s.w.draft()
		time.Sleep(time.Second)
		snaps, deltas := l.heard("snapshot"), l.heard("delta")
		require.Len(t, snaps, 2)
		require.Equal(t, int64(1), snaps[1].Seq)
		require.Equal(t, snaps[1].Seq, deltas[1].Prev)
	})
}
