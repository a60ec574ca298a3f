package ws

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"nabat/console"
	"nabat/dispatch"
)

// Close codes of our own; the client knows them.
const (
	CloseSession = 4001 // go to login
	CloseSlow    = 4008 // reconnect
)

const (
	outQueue     = 256
	workQueue    = 16
	maxWanted    = 16
	maxPerPerson = 32 // a person or a program, however many sessions they have
	// A console that says nothing, not even pong, for pongWait is gone.
	pingEvery = 20 * time.Second
	pongWait  = 45 * time.Second
	writeWait = 5 * time.Second
	closeWait = time.Second
	// pourWait is how long whoever sends too much may go on before the line is cut: a
	// megabyte over a poor line takes a while, and its sender must learn why.
	pourWait = 5 * time.Second
	// Messages of a console: a burst, then so many a second.
	burst     = 120
	perSecond = 40
)

// Options are what a caller may choose.
type Options struct {
	// MaxSockets bounds connections; 0 is 2000.
	MaxSockets int
}

// Server answers /ws.
type Server struct {
	house    *console.Server
	log      *zap.Logger
	upgrader websocket.Upgrader
	most     int

	mu      sync.Mutex
	stopped bool
	conns   map[*conn]struct{}
	perWho  map[dispatch.Actor]int
	gone    *sync.Cond // on mu: a connection has ended
}

// New builds a server on what package console knows. It starts nothing.
func New(house *console.Server, log *zap.Logger, o Options) *Server {
	if o.MaxSockets <= 0 {
		o.MaxSockets = 2000
	}
	s := &Server{
		house: house, log: log.Named("console.ws"), most: o.MaxSockets,
		conns: map[*conn]struct{}{}, perWho: map[dispatch.Actor]int{},
		upgrader: websocket.Upgrader{
			HandshakeTimeout: 5 * time.Second, ReadBufferSize: 4096, WriteBufferSize: 4096,
			WriteBufferPool: &sync.Pool{},
			// Enter has compared it already.
			CheckOrigin: func(*http.Request) bool { return true },
		},
	}
	s.gone = sync.NewCond(&s.mu)
	return s
}

// Run waits for ctx, ends every connection and returns when all have gone.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for c := range s.conns {
		c.End(console.EndShutdown)
	}
	for len(s.conns) > 0 {
		s.gone.Wait()
	}
	return nil
}

// ServeHTTP is one console from its handshake to its end.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		http.Error(w, "Здесь говорят по WebSocket / WebSocket only", http.StatusUpgradeRequired)
		return
	}
	person, problem := s.house.Enter(r)
	if problem != nil {
		s.house.Refuse(w, problem)
		return
	}
	c := newConn(s, person)
	if !s.admit(c) {
		s.house.Refuse(w, s.house.Full())
		return
	}
	defer s.forget(c)
	socket, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c.serve(r.Context(), socket)
}

func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || len(s.conns) >= s.most || s.perWho[c.person.Actor()] >= maxPerPerson {
		return false
	}
	s.conns[c] = struct{}{}
	s.perWho[c.person.Actor()]++
	return true
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.perWho[c.person.Actor()]--; s.perWho[c.person.Actor()] == 0 {
		delete(s.perWho, c.person.Actor())
	}
	s.gone.Broadcast()
}
