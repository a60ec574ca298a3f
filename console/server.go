package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"nabat/console/web"
	"nabat/dispatch"
)

const (
	// sweepEvery is how soon a revoked session or a changed role ends a socket, at
	// most; logging out here ends it at once.
	sweepEvery = 5 * time.Second
	// commandLimit bounds one command, whatever becomes of the one who sent it.
	commandLimit = 10 * time.Second
	// keepCommands is for how long a resent command is recognised.
	keepCommands = 7 * 24 * time.Hour
	forgetEvery  = time.Hour
)

// House is the part of dispatch/postgres that consoles read.
type House interface {
	Journal
	Cards
	CardContacts
}

// Store is what console/postgres keeps and reads.
type Store interface {
	Registry
	Credentials
	CommandStore
	Lists
	// Forget drops sessions that ended and commands that are older than before.
	Forget(ctx context.Context, now, before time.Time) error
}

// Options are what a server is built from. House, Store, Router and Logger must
// be there.
type Options struct {
	House  House
	Store  Store
	Router dispatch.Router
	Logger *zap.Logger

	// Wake tells of journal growth at once; nil leaves it to polling.
	Wake Wake
	// HangUp ends calls; nil where there is no telephony.
	HangUp HangUp
	// Services in the order in which screens show them; nil: the four of the plan.
	Services []ServiceName
	// Page is the built application; nil: the embedded one.
	Page fs.FS
	// Registerer takes the metrics; nil keeps them private.
	Registerer prometheus.Registerer
	// Now is the clock of logins and commands; nil: time.Now.
	Now func() time.Time
}

// Server is the console's half that speaks to people and programs.
type Server struct {
	accounts *accounts
	store    Store
	clerk    *clerk
	hub      *Hub
	cards    Cards
	services []ServiceName
	page     fs.FS
	now      func() time.Time
	log      *zap.Logger
	metrics  *metrics
	readers  chan struct{} // held while a list is read
	api      http.Handler
	openAPI  []byte
}

// New builds a server and starts nothing.
func New(o Options) (*Server, error) {
	if o.House == nil || o.Store == nil || o.Router == nil || o.Logger == nil {
		return nil, errors.New("console: House, Store, Router and Logger are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	now := func() time.Time { return utc(o.Now()) }
	if o.Services == nil {
		o.Services = DefaultServices()
	}
	if o.Page == nil {
		o.Page = web.Files()
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("console metrics: %w", err)
	}
	log := o.Logger.Named("console")
	s := &Server{
		accounts: newAccounts(o.Store, o.Store, now, m), store: o.Store, cards: o.House,
		clerk: &clerk{
			store: o.Store, cards: o.House, contacts: o.House, router: o.Router, hangUp: o.HangUp,
			now: now, log: log, metrics: m,
		},
		hub:      newHub(o.House, o.House, o.House, o.Wake, log.Named("hub"), m),
		services: o.Services, page: o.Page, now: now, log: log, metrics: m,
		readers: make(chan struct{}, readers),
	}
	if err := s.buildAPI(); err != nil {
		return nil, fmt.Errorf("console API: %w", err)
	}
	return s, nil
}

// Run follows the journal for every console, ends consoles whose session ended,
// and forgets what is old, until ctx ends. Consoles are then told to go.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.sweeps(ctx) })
	s.hub.run(ctx)
	wg.Wait()
	return nil
}

func (s *Server) sweeps(ctx context.Context) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			s.chore(ctx, "check sessions of consoles", func(ctx context.Context) error {
				return s.hub.sweep(ctx, s.now(), s.store)
			})
		case <-forget.C:
			s.chore(ctx, "forget old sessions and commands", func(ctx context.Context) error {
				return s.store.Forget(ctx, s.now(), s.now().Add(-keepCommands))
			})
		}
	}
}

// chore is done again at the next tick if it fails, so failing is only noted.
func (s *Server) chore(ctx context.Context, what string, do func(context.Context) error) {
	limited, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	if err := do(limited); err != nil && ctx.Err() == nil {
		s.log.Warn(what, zap.Error(err))
	}
}

// Hub seats consoles.
func (s *Server) Hub() *Hub { return s.hub }

// Enter admits a websocket: the person, or the problem to answer with.
func (s *Server) Enter(r *http.Request) (Person, *Problem) {
	p, err := s.enter(r, true)
	if err != nil {
		return Person{}, s.problem("admit a console", err)
	}
	return p, nil
}

// Refuse answers a websocket's handshake with a problem.
func (s *Server) Refuse(w http.ResponseWriter, p *Problem) { writeProblem(w, p) }

// Full is the answer when there is no room for another console.
func (s *Server) Full() *Problem {
	return problemOf(&Fault{Code: CodeBusy, RU: "Слишком много подключённых консолей", EN: "Too many consoles are connected"})
}

// Do carries out a command. The credential is looked up afresh, because a socket
// may be older than the last word on its owner; ended tells that it is no longer
// good. The command is finished even if its sender has gone.
func (s *Server) Do(ctx context.Context, p Person, c Command) (res Result, ended bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandLimit)
	defer cancel()
	q, err := s.accounts.again(ctx, p)
	switch {
	case errors.Is(err, errDenied) || (err == nil && !q.same(p)):
		return Result{ID: c.ID, Error: faultOf(errDenied)}, true
	case err != nil:
		return Result{ID: c.ID, Error: s.problemFault("look up credential", err)}, false
	}
	return s.clerk.do(ctx, p, c), false
}

// problem maps an error to the wire and logs what is our own fault.
func (s *Server) problem(what string, err error) *Problem {
	return problemOf(s.problemFault(what, err))
}

func (s *Server) problemFault(what string, err error) *Fault {
	f := faultOf(err)
	if f.Code == CodeInternal || (f.Code == CodeBusy && !errors.Is(err, context.Canceled)) {
		s.log.Warn(what, zap.Error(err))
	}
	return f
}
