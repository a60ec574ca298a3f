package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"nabat/dispatch"
)

// SessionLife is how long a login lasts: a shift of twelve hours.
const SessionLife = 12 * time.Hour

const (
	// loginSlots is how many passwords are hashed at once (memory: 19 MiB each),
	// loginWaiters how many more logins may wait for that.
	loginSlots   = 2
	loginWaiters = 64

	minPassword = 10
	maxPassword = 512 // octets: nobody needs us to hash a book

	tokenPrefix = "nabat_"
)

// Account is a person who may log in.
type Account struct {
	ID       dispatch.OperatorID
	Login    string
	Name     string
	Role     Role
	Service  dispatch.Service
	Password string // argon2id, PHC string
	Disabled bool
}

// Session is one login. The cookie itself is never stored.
type Session struct {
	Sum     Sum
	Login   string
	Created time.Time
	Expires time.Time
	Peer    string
}

// Token is a program's standing permission. Its text is never stored.
type Token struct {
	Sum     Sum
	Name    string
	Role    Role
	Service dispatch.Service
	Created time.Time
	Expires time.Time // zero: never
}

// Registry stores accounts; dispatch.ErrNotFound and dispatch.ErrDuplicate.
type Registry interface {
	Account(ctx context.Context, login string) (Account, error)
	AddAccount(ctx context.Context, a Account, now time.Time) error
	// SetPassword also ends the account's sessions.
	SetPassword(ctx context.Context, login, phc string) error
	AddToken(ctx context.Context, t Token) error
}

// Credentials stores what people have shown us since.
type Credentials interface {
	AddSession(ctx context.Context, s Session) error
	EndSession(ctx context.Context, sum Sum) error
	// Find gives the person behind each session or token that is good now;
	// others are simply absent.
	Find(ctx context.Context, sums []Sum, now time.Time) ([]Person, error)
}

var loginName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// CreateAccount makes a person who may log in. The CLI and the demo use it.
func CreateAccount(ctx context.Context, r Registry, login, name, role, password string, now time.Time) error {
	rl, service, err := ParseRole(role)
	if err != nil {
		return &dispatch.FieldError{Field: "role", Reason: err.Error()}
	}
	if !loginName.MatchString(login) {
		return &dispatch.FieldError{Field: "login", Reason: "must be a-z, 0-9, «.», «_», «-», at most 64 characters"}
	}
	if err := checkPassword(password); err != nil {
		return err
	}
	if strings.TrimSpace(name) == "" {
		name = login
	}
	err = r.AddAccount(ctx, Account{
		ID: dispatch.NewOperatorID(), Login: login, Name: name, Role: rl, Service: service,
		Password: HashPassword(password),
	}, now)
	if err != nil {
		return fmt.Errorf("create account %s: %w", login, err)
	}
	return nil
}

// SetPassword changes a password and ends the account's sessions.
func SetPassword(ctx context.Context, r Registry, login, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	if err := r.SetPassword(ctx, login, HashPassword(password)); err != nil {
		return fmt.Errorf("set password of %s: %w", login, err)
	}
	return nil
}

func checkPassword(p string) error {
	if utf8.RuneCountInString(p) < minPassword || len(p) > maxPassword {
		return &dispatch.FieldError{Field: "password", Reason: fmt.Sprintf("must have %d characters or more, and at most %d octets", minPassword, maxPassword)}
	}
	return nil
}

// CreateToken makes a bearer token and returns its text, which can never be
// shown again: only its SHA-256 is stored. life 0 means that it does not expire.
func CreateToken(ctx context.Context, r Registry, name, role string, life time.Duration, now time.Time) (string, error) {
	rl, service, err := ParseRole(role)
	if err != nil {
		return "", &dispatch.FieldError{Field: "role", Reason: err.Error()}
	}
	if !loginName.MatchString(name) {
		return "", &dispatch.FieldError{Field: "name", Reason: "must be a-z, 0-9, «.», «_», «-», at most 64 characters"}
	}
	text := tokenPrefix + secret()
	t := Token{Sum: sumOf(text), Name: name, Role: rl, Service: service, Created: now}
	if life > 0 {
		t.Expires = now.Add(life)
	}
	if err := r.AddToken(ctx, t); err != nil {
		return "", fmt.Errorf("create token %s: %w", name, err)
	}
	return text, nil
}

// secret is 256 random bits as text that needs no quoting anywhere.
func secret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func sumOf(text string) Sum { return sha256.Sum256([]byte(text)) }

// accounts lets people in.
type accounts struct {
	registry    Registry
	credentials Credentials
	now         func() time.Time
	guesses     *guesses
	// decoy is checked when the login does not exist, so that an answer takes the
	// same work either way.
	decoy   string
	slots   chan struct{} // held while a password is hashed
	waiters chan struct{} // held while waiting for that too
	metrics *metrics
}

func newAccounts(r Registry, c Credentials, now func() time.Time, m *metrics) *accounts {
	return &accounts{
		registry: r, credentials: c, now: now, guesses: newGuesses(), metrics: m,
		decoy: HashPassword(secret()),
		slots: make(chan struct{}, loginSlots), waiters: make(chan struct{}, loginSlots+loginWaiters),
	}
}

// tooManyError: wait before the next attempt.
type tooManyError struct{ wait time.Duration }

func (e *tooManyError) Error() string { return fmt.Sprintf("too many attempts, wait %s", e.wait) }

// errDenied: unknown login, wrong password, disabled account, no or dead
// credential. Which of them is nobody's business.
var errDenied = errors.New("denied")

// login checks a password and opens a session. It returns the cookie's value.
func (a *accounts) login(ctx context.Context, login, password, remote string) (Person, string, error) {
	p, cookie, err := a.attempt(ctx, login, password, remote)
	var many *tooManyError
	switch {
	case err == nil:
		a.metrics.logins.WithLabelValues("ok").Inc()
	case errors.Is(err, errDenied):
		a.metrics.logins.WithLabelValues("denied").Inc()
	case errors.As(err, &many):
		a.metrics.logins.WithLabelValues("limited").Inc()
	default:
		a.metrics.logins.WithLabelValues("failed").Inc()
	}
	return p, cookie, err
}

func (a *accounts) attempt(ctx context.Context, login, password, remote string) (Person, string, error) {
	login = strings.ToLower(strings.TrimSpace(login))
	if len(login) > 64 || !plain(login) || len(password) > maxPassword {
		return Person{}, "", errDenied
	}
	now, peer := a.now(), peerOf(remote)
	if wait := a.guesses.try(login, peer, now); wait > 0 {
		return Person{}, "", &tooManyError{wait}
	}
	acc, err := a.registry.Account(ctx, login)
	known := err == nil && !acc.Disabled
	if err != nil && !errors.Is(err, dispatch.ErrNotFound) {
		return Person{}, "", fmt.Errorf("look up login: %w", err)
	}
	phc := a.decoy
	if known {
		phc = acc.Password
	}
	ok, err := a.check(ctx, phc, password)
	if err != nil {
		return Person{}, "", err
	}
	if !ok || !known {
		return Person{}, "", errDenied
	}
	a.guesses.right(login, peer, now)
	cookie := secret()
	s := Session{Sum: sumOf(cookie), Login: login, Created: now, Expires: now.Add(SessionLife), Peer: peer}
	if err := a.credentials.AddSession(ctx, s); err != nil {
		return Person{}, "", fmt.Errorf("open session: %w", err)
	}
	return Person{
		Login: acc.Login, Name: acc.Name, Role: acc.Role, Service: acc.Service, Key: s.Sum, Expires: s.Expires,
	}, cookie, nil
}

// check hashes in one of a few slots. Full? The login is told that we are busy.
func (a *accounts) check(ctx context.Context, phc, password string) (bool, error) {
	select {
	case a.waiters <- struct{}{}:
		defer func() { <-a.waiters }()
	default:
		return false, dispatch.ErrBusy
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return CheckPassword(phc, password), nil
}

// find gives the person behind a cookie's or a token's text.
func (a *accounts) find(ctx context.Context, text string, program bool) (Person, error) {
	if len(text) < 40 || len(text) > 128 {
		return Person{}, errDenied
	}
	return a.again(ctx, Person{Key: sumOf(text), Program: program})
}

// again looks a credential up afresh: it may have ended since.
func (a *accounts) again(ctx context.Context, p Person) (Person, error) {
	found, err := a.credentials.Find(ctx, []Sum{p.Key}, a.now())
	if err != nil {
		return Person{}, fmt.Errorf("look up credential: %w", err)
	}
	// A session's secret is no bearer token, nor the other way round.
	if len(found) != 1 || found[0].Program != p.Program {
		return Person{}, errDenied
	}
	return found[0], nil
}
