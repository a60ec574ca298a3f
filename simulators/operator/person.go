package operator

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"nabat/simulators/city"
	"nabat/simulators/tally"
)

// Role is what a person does.
type Role string

// Roles that are played.
const (
	CallTaker  Role = "operator"
	Supervisor Role = "supervisor"
)

// Options say who is played and how.
type Options struct {
	URL             string // http://127.0.0.1:8112
	Login, Password string
	Role            Role
	// Seat and Seats share the drafts out: this person takes those whose id falls
	// to seat number Seat (from 0) of Seats.
	Seat, Seats int
	// Speed divides every pause; 0 is 1, the pace of people.
	Speed float64
	Seed  uint64
	// TLS, if set, is used for https addresses.
	TLS *tls.Config
	Log *zap.Logger
}

// Person is one simulated person at a console.
type Person struct {
	o      Options
	base   *url.URL
	log    *zap.Logger
	tally  *tally.Tally
	rng    *rand.Rand
	teller *city.Teller

	// Of Run alone:
	cookie  *http.Cookie
	board   board
	todo    map[string]time.Time // incident → when to act on it
	pending map[string]*pending  // command id → what waits for its result
	decided map[string]bool      // incidents with a command under way or done
	order   []string             // of decided, for its bound
}

// pending is a command without a result.
type pending struct {
	cmd   command
	first time.Time
	again time.Time
}

// hands is how many commands a person has under way at once. A console that
// pours out more than some tens of messages a second is shown the door.
const hands = 8

// maxDecided bounds the memory for cards that were dealt with.
const maxDecided = 50_000

// New checks the options; nothing is opened yet.
func New(o Options) (*Person, error) {
	base, err := url.Parse(o.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("console address %q: must be http(s)://host:port", o.URL)
	}
	if o.Role != CallTaker && o.Role != Supervisor {
		return nil, fmt.Errorf("role %q: must be %s or %s", o.Role, CallTaker, Supervisor)
	}
	if o.Seats <= 0 {
		o.Seats = 1
	}
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Person{
		o: o, base: base, log: o.Log.Named("simulators.operator").With(zap.String("operator", o.Login)),
		tally: tally.New(string(o.Role) + " " + o.Login), rng: rand.New(rand.NewPCG(o.Seed, uint64(o.Seat))),
		teller: city.NewTeller(o.Seed + uint64(o.Seat)),
		todo:   map[string]time.Time{}, pending: map[string]*pending{}, decided: map[string]bool{},
	}, nil
}

// Report counts commands: sent, answered well, refused; the latency is from a
// command to its result.
func (p *Person) Report() tally.Report { return p.tally.Report() }

// Run works until ctx ends. Only a login that is refused for good is an error.
func (p *Person) Run(ctx context.Context) error {
	transport := &http.Transport{TLSClientConfig: p.o.TLS}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for failures := 0; ctx.Err() == nil; {
		err := p.session(ctx, client)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errLogin):
			return err
		case errors.Is(err, errSession):
			p.cookie = nil
		}
		if p.board.cards == nil {
			failures++ // not even a snapshot: go easy on the server
		} else {
			failures = 0
		}
		p.board = board{}
		if err != nil && ctx.Err() == nil {
			p.log.Debug("connection ended", zap.Error(err))
		}
		wait := min(250*time.Millisecond<<min(failures, 5), 5*time.Second)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
	for range p.pending {
		p.tally.Withdrawn()
	}
	return nil
}

// session is one connection from login to its end.
func (p *Person) session(ctx context.Context, client *http.Client) error {
	if p.cookie == nil {
		c, err := login(ctx, client, p.base, p.o.Login, p.o.Password)
		if err != nil {
			return err
		}
		p.cookie = c
	}
	d := &websocket.Dialer{TLSClientConfig: p.o.TLS, HandshakeTimeout: 10 * time.Second}
	conn, err := dial(ctx, d, p.base, p.cookie)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer conn.Close()
	defer cancel()
	frames := make(chan frame)
	ended := make(chan error, 1)
	reader.Go(func() { ended <- p.read(ctx, conn, frames) })

	for _, w := range p.pending {
		w.again = time.Time{} // everything without a result goes out again
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = conn.WriteControl(websocket.CloseMessage,
				websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
			return nil
		case err := <-ended:
			if websocket.IsCloseError(err, closeSession) {
				return errSession
			}
			return err
		case f := <-frames:
			if err := p.hear(conn, f); err != nil {
				return err
			}
		case <-timer.C:
		}
		if err := p.act(conn, time.Now()); err != nil {
			return err
		}
		timer.Reset(p.next(time.Now()))
	}
}

func (p *Person) read(ctx context.Context, conn *websocket.Conn, out chan<- frame) error {
	conn.SetReadLimit(64 << 20)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(deaf)); err != nil {
			return err
		}
		_, text, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			return fmt.Errorf("unreadable frame: %w", err)
		}
		select {
		case out <- f:
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *Person) write(conn *websocket.Conn, v any) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	return conn.WriteJSON(v)
}

// hear takes one frame.
func (p *Person) hear(conn *websocket.Conn, f frame) error {
	if f.T == "result" {
		p.result(f)
		return nil
	}
	changed, resync := p.board.take(f)
	if f.T == "snapshot" {
		maps.DeleteFunc(p.todo, func(id string, _ time.Time) bool { _, open := p.board.cards[id]; return !open })
	}
	if resync {
		p.tally.Note("resyncs", 1)
		return p.write(conn, map[string]string{"t": "resync"})
	}
	for _, c := range changed {
		_, waiting := p.todo[c.ID]
		switch {
		case !p.mine(c):
			delete(p.todo, c.ID)
		case !waiting && !p.decided[c.ID]:
			p.todo[c.ID] = time.Now().Add(p.pause(c))
		}
	}
	return nil
}

// act sends what is due.
func (p *Person) act(conn *websocket.Conn, now time.Time) error {
	if p.board.cards == nil {
		return nil
	}
	for len(p.pending) < hands {
		id, ok := p.first(now)
		if !ok {
			break
		}
		delete(p.todo, id)
		c, open := p.board.cards[id]
		if !open || !p.mine(c) {
			continue
		}
		w := &pending{cmd: p.decide(c), first: now}
		p.pending[w.cmd.ID] = w
		p.remember(id)
		p.tally.Sent()
	}
	for _, w := range p.pending {
		if w.again.After(now) {
			continue
		}
		if !w.again.IsZero() {
			p.tally.Retried()
		}
		w.again = now.Add(5 * time.Second)
		if err := p.write(conn, w.cmd); err != nil {
			return fmt.Errorf("send a command: %w", err)
		}
	}
	return nil
}

// first finds the card that has been due for longest.
func (p *Person) first(now time.Time) (id string, ok bool) {
	least := now
	for i, at := range p.todo {
		if !at.After(least) {
			id, least, ok = i, at, true
		}
	}
	return id, ok
}

// next is how long nothing will be due.
func (p *Person) next(now time.Time) time.Duration {
	wait := time.Minute
	if len(p.pending) < hands {
		for _, at := range p.todo {
			wait = min(wait, at.Sub(now))
		}
	}
	for _, w := range p.pending {
		wait = min(wait, w.again.Sub(now))
	}
	return max(wait, time.Millisecond)
}
