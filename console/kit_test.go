package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"nabat/console"
	consolepg "nabat/console/postgres"
	"nabat/console/ws"
	"nabat/dispatch"
	"nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgtest"
)

// room is a console server over a real database.
type room struct {
	t       *testing.T
	pool    *pgxpool.Pool
	house   *postgres.Store
	store   *consolepg.Store
	server  *console.Server
	sockets *ws.Server
	http    *httptest.Server
	clock   *clock
	hungUp  *hangUps
}

// clock is the wall clock, pushed forward by the test.
type clock struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += d
}

type hangUps struct {
	mu  sync.Mutex
	ids []dispatch.ContactID
}

func (h *hangUps) HangUp(_ context.Context, id dispatch.ContactID, _ dispatch.Actor) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids = append(h.ids, id)
	return nil
}

// router sends fires to the fire service and everything else to the police.
type router struct{}

func (router) Decide(f dispatch.Facts) dispatch.Decision {
	d := dispatch.Decision{Ruleset: 3}
	if f.Type == dispatch.TypeFire {
		d.Choices = []dispatch.Choice{{Service: dispatch.Fire, Rule: "fire", Why: "пожар", WhyEN: "a fire"}}
	} else {
		d.Choices = []dispatch.Choice{{Service: dispatch.Police, Rule: "police", Why: "остальное"}}
	}
	if f.Type == dispatch.TypeExplosion {
		d.Choices = append(d.Choices, dispatch.Choice{Service: dispatch.Fire, Rule: "blast", Why: "взрыв"})
	}
	return d
}

const password = "correct horse battery"

var page = fstest.MapFS{
	"index.html":      {Data: []byte("<!doctype html><title>n</title>")},
	"assets/a-123.js": {Data: []byte("1")},
	".keep":           {},
}

func open(t *testing.T, change ...func(*console.Options)) *room {
	t.Helper()
	pool, err := postgres.Open(t.Context(), pgtest.New(t), postgres.PoolOptions{})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	log := zaptest.NewLogger(t)
	wake := postgres.NewWake()
	writer := postgres.NewWriter(pool, log, postgres.WriterOptions{Wake: wake})
	r := &room{t: t, pool: pool, house: postgres.NewStore(pool, writer), clock: &clock{}, hungUp: &hangUps{}}
	r.store = consolepg.New(pool, r.house)
	o := console.Options{
		House: r.house, Store: r.store, Router: router{}, Logger: log, Wake: wake,
		HangUp: r.hungUp, Page: page, Now: r.clock.now,
	}
	for _, c := range change {
		c(&o)
	}
	r.server, err = console.New(o)
	require.NoError(t, err)
	r.sockets = ws.New(r.server, log, ws.Options{})
	r.http = httptest.NewServer(r.server.Handler(r.sockets))
	for _, run := range []func(context.Context) error{writer.Run, r.server.Run, r.sockets.Run} {
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	}
	t.Cleanup(r.http.Close)
	return r
}

func (r *room) account(login, role string) {
	r.t.Helper()
	require.NoError(r.t, console.CreateAccount(r.t.Context(), r.store, login, "Имя "+login, role, password, r.clock.now()))
}

func (r *room) token(role string) string {
	r.t.Helper()
	name := "t-" + uuid.NewString()
	text, err := console.CreateToken(r.t.Context(), r.store, name, role, 0, r.clock.now())
	require.NoError(r.t, err)
	return text
}

type header map[string]string

// answer is what came back, read and closed.
type answer struct {
	StatusCode int
	Header     http.Header
	Cookies    []*http.Cookie
}

// ask sends a request and decodes the JSON answer into out, which may be nil.
func (r *room) ask(method, path string, h header, in, out any) answer {
	r.t.Helper()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		require.NoError(r.t, err)
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.http.URL+path, body)
	require.NoError(r.t, err)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range h {
		req.Header.Set(k, v)
	}
	res, err := r.http.Client().Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	if out != nil {
		require.NoError(r.t, json.Unmarshal(b, out), "%s %s: %s", method, path, b)
	}
	return answer{res.StatusCode, res.Header, res.Cookies()}
}

func bearer(token string) header { return header{"Authorization": "Bearer " + token} }

// login returns the cookie header of a fresh session.
func (r *room) login(login string) string {
	r.t.Helper()
	res := r.ask(http.MethodPost, "/api/v1/login", header{"Origin": r.http.URL}, map[string]string{"login": login, "password": password}, nil)
	require.Equal(r.t, http.StatusOK, res.StatusCode)
	return console.CookieName + "=" + cookie(r.t, res).Value
}

func cookie(t *testing.T, res answer) *http.Cookie {
	t.Helper()
	require.Len(t, res.Cookies, 1)
	return res.Cookies[0]
}

// call makes a live call with its draft card.
func (r *room) call(at time.Time) dispatch.Contact {
	r.t.Helper()
	c, dup, err := r.house.OpenContact(r.t.Context(), dispatch.Contact{
		ID: dispatch.NewContactID(), Kind: dispatch.ContactCall, Key: uuid.NewString(), Run: dispatch.NewRunID(),
		Caller: "+79210000001", Called: "112", State: dispatch.ContactRinging, ReceivedAt: at,
	})
	require.NoError(r.t, err)
	require.False(r.t, dup)
	return c
}

func (r *room) draft() dispatch.IncidentID { return r.call(r.clock.now()).Incident }

func (r *room) sent(t dispatch.Type) dispatch.IncidentID {
	r.t.Helper()
	id := r.draft()
	_, err := r.house.Change(r.t.Context(), id, dispatch.SendForm(
		dispatch.Form{Type: new(t), Place: new("Невский пр., 1"), Description: new("что-то")}, router{}, "operator:test", r.clock.now()), nil)
	require.NoError(r.t, err)
	return id
}

func command(kind console.Kind, id dispatch.IncidentID) console.Command {
	return console.Command{ID: uuid.NewString(), Kind: kind, Incident: id.String()}
}

func (r *room) events(id dispatch.IncidentID) []dispatch.Event {
	r.t.Helper()
	e, err := r.house.IncidentEvents(r.t.Context(), id)
	require.NoError(r.t, err)
	return e
}
