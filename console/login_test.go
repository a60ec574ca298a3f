package console_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/console"
	"nabat/dispatch"
)

func (r *room) tryLogin(login, pass string, h header) (answer, console.Problem) {
	r.t.Helper()
	var p console.Problem
	res := r.ask(http.MethodPost, "/api/v1/login", h, map[string]string{"login": login, "password": pass}, &p)
	return res, p
}

func TestLoginGivesASafeCookieAndLogoutEndsIt(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.account("ivanova", "operator")
	r.account("petrov", "duty:fire")
	var me console.Me
	res := r.ask(http.MethodPost, "/api/v1/login", header{"Origin": r.http.URL}, map[string]string{"login": " Ivanova ", "password": password}, &me)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, console.Me{Login: "ivanova", Name: "Имя ivanova", Role: console.Operator}, me)
	c := cookie(t, res)
	require.Equal(t, "__Host-nabat", c.Name)
	require.True(t, c.Secure)
	require.True(t, c.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, c.SameSite)
	require.Equal(t, "/", c.Path)
	require.Empty(t, c.Domain, "the __Host- prefix forbids it")
	require.Positive(t, c.MaxAge)

	// The database holds only the hash.
	var rows int
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM sessions WHERE position($1::bytea in token_sha) > 0`, []byte(c.Value)).Scan(&rows))
	require.Zero(t, rows)
	var phc string
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT password_hash FROM operators WHERE login = 'ivanova'`).Scan(&phc))
	require.True(t, strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$"))

	h := header{"Cookie": c.Name + "=" + c.Value}
	me = console.Me{}
	require.Equal(t, http.StatusOK, r.ask(http.MethodGet, "/api/v1/me", h, nil, &me).StatusCode)
	require.Equal(t, "ivanova", me.Login)
	r.ask(http.MethodGet, "/api/v1/me", header{"Cookie": r.login("petrov")}, nil, &me)
	require.Equal(t, console.Me{Login: "petrov", Name: "Имя petrov", Role: console.Duty, Service: dispatch.Fire}, me)

	// Logging out changes something, so it must come from our page.
	require.Equal(t, http.StatusForbidden, r.ask(http.MethodPost, "/api/v1/logout", h, nil, nil).StatusCode)
	h["Origin"] = r.http.URL
	res = r.ask(http.MethodPost, "/api/v1/logout", h, nil, nil)
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	require.Negative(t, cookie(t, res).MaxAge)
	require.Equal(t, http.StatusUnauthorized, r.ask(http.MethodGet, "/api/v1/me", h, nil, nil).StatusCode)
}

func TestSessionsAndTokensEnd(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.account("ivanova", "operator")
	r.account("sidorov", "operator")
	me := func(h header) int { return r.ask(http.MethodGet, "/api/v1/me", h, nil, nil).StatusCode }

	a, b := header{"Cookie": r.login("ivanova")}, header{"Cookie": r.login("sidorov")}
	require.NoError(t, console.SetPassword(t.Context(), r.store, "ivanova", "another password"))
	require.Equal(t, http.StatusUnauthorized, me(a), "a new password ends old sessions")
	require.Equal(t, http.StatusOK, me(b))
	_, err := r.pool.Exec(t.Context(), `UPDATE operators SET disabled_at = now() WHERE login = 'sidorov'`)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, me(b), "a disabled account's session is no good")
	res, _ := r.tryLogin("sidorov", password, nil)
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)

	text, err := console.CreateToken(t.Context(), r.store, "city", "auditor", time.Hour, r.clock.now())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, me(bearer(text)))
	_, err = console.CreateToken(t.Context(), r.store, "city", "auditor", time.Hour, r.clock.now())
	require.ErrorIs(t, err, dispatch.ErrDuplicate)
	forever := r.token("auditor")
	r.clock.pass(2 * time.Hour)
	require.Equal(t, http.StatusUnauthorized, me(bearer(text)))
	require.Equal(t, http.StatusOK, me(bearer(forever)))
	_, err = console.CreateToken(t.Context(), r.store, "city", "auditor", 0, r.clock.now())
	require.NoError(t, err, "an expired token's name is free again")
	require.NoError(t, r.store.RevokeToken(t.Context(), "city", r.clock.now()))

	c := header{"Cookie": console.CookieName + "=" + func() string {
		var p console.Me
		res := r.ask(http.MethodPost, "/api/v1/login", nil, map[string]string{"login": "ivanova", "password": "another password"}, &p)
		return cookie(t, res).Value
	}()}
	require.Equal(t, http.StatusOK, me(c))
	r.clock.pass(console.SessionLife)
	require.Equal(t, http.StatusUnauthorized, me(c))
	require.NoError(t, r.store.Forget(t.Context(), r.clock.now(), r.clock.now()))
	var n int
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM sessions`).Scan(&n))
	require.Zero(t, n)
}

func TestAccountsAreCheckedWhenMade(t *testing.T) {
	t.Parallel()
	r := open(t)
	for _, c := range []struct{ login, role, password, field string }{
		{"Ivanova", "operator", password, "login"},
		{"", "operator", password, "login"},
		{"a", "boss", password, "role"},
		{"a", "duty", password, "role"},
		{"a", "operator:fire", password, "role"},
		{"a", "duty:FIRE", password, "role"},
		{"a", "operator", "short", "password"},
	} {
		var f *dispatch.FieldError
		require.ErrorAs(t, console.CreateAccount(t.Context(), r.store, c.login, "", c.role, c.password, time.Now()), &f, "%v", c)
		require.Equal(t, c.field, f.Field)
	}
	r.account("a", "duty:fire")
	require.ErrorIs(t, console.CreateAccount(t.Context(), r.store, "a", "", "operator", password, time.Now()), dispatch.ErrDuplicate)
	require.ErrorIs(t, console.SetPassword(t.Context(), r.store, "nobody", password), dispatch.ErrNotFound)
}

// Guessing is answered with the same words whether the login exists or not, and
// is held up after a few tries; the right person is not locked out from where
// they came in before.
func TestBruteForceIsLimited(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.account("ivanova", "operator")
	r.account("petrov", "operator")
	r.login("petrov")
	var words []console.Problem
	for _, login := range []string{"ivanova", "nobody"} {
		limited := 0
		for range 12 {
			res, p := r.tryLogin(login, "wrong password", nil)
			switch res.StatusCode {
			case http.StatusUnauthorized:
				require.Zero(t, limited, "once held up, held up")
				words = append(words, p)
			case http.StatusTooManyRequests:
				limited++
				require.NotEmpty(t, res.Header.Get("Retry-After"))
			default:
				t.Fatalf("status %d", res.StatusCode)
			}
		}
		require.Equal(t, 7, limited)
	}
	for _, w := range words {
		require.Equal(t, words[0], w)
	}
	// Even the right password waits now.
	res, _ := r.tryLogin("ivanova", password, nil)
	require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	// Others behind the same address do not.
	r.login("petrov")
	r.clock.pass(31 * time.Second)
	r.login("ivanova")
	// Right logins cost nothing: a shift may come in at once.
	for range 22 {
		r.login("petrov")
	}
	var n int
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM sessions`).Scan(&n))
	require.LessOrEqual(t, n, 21, "one person's old sessions end")
}

func TestRequestsOfForeignPagesAreRefused(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.account("ivanova", "operator")
	id := r.draft()
	c := r.login("ivanova")
	save := func(h header) (answer, console.Result) {
		cmd := command(console.KindSave, id)
		cmd.Form = &console.Form{Place: new("тут")}
		var res console.Result
		a := r.ask(http.MethodPost, "/api/v1/commands", h, cmd, &res)
		return a, res
	}
	for _, origin := range []string{"", "null", "http://evil.example", "https://127.0.0.1", "http://127.0.0.1.evil.example", "file://", strings.Replace(r.http.URL, "127.0.0.1", "localhost", 1)} {
		h := header{"Cookie": c}
		if origin != "" {
			h["Origin"] = origin
		}
		res, _ := save(h)
		require.Equal(t, http.StatusForbidden, res.StatusCode, "Origin %q", origin)
		if origin != "" {
			res, _ := r.tryLogin("ivanova", password, header{"Origin": origin})
			require.Equal(t, http.StatusForbidden, res.StatusCode, "login from %q", origin)
			b := bearer(r.token("operator"))
			b["Origin"] = origin
			res, _ = save(b)
			require.Equal(t, http.StatusForbidden, res.StatusCode, "a bearer token from %q", origin)
		}
	}
	require.Len(t, r.events(id), 1, "nothing was done")
	res, out := save(header{"Cookie": c, "Origin": r.http.URL})
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.True(t, out.OK)
	res, out = save(bearer(r.token("operator")))
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.True(t, out.OK)
}

// Many logins at once never hash more than a few passwords at a time and all
// come in.
func TestLoginStampede(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.account("ivanova", "operator")
	var all sync.WaitGroup
	codes := make(chan int, 16)
	for range 16 {
		all.Go(func() {
			req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, r.http.URL+"/api/v1/login",
				strings.NewReader(`{"login":"ivanova","password":"`+password+`"}`))
			if err != nil {
				return
			}
			res, err := r.http.Client().Do(req)
			if err != nil {
				return
			}
			res.Body.Close()
			codes <- res.StatusCode
		})
	}
	all.Wait()
	close(codes)
	ok := 0
	for c := range codes {
		if c == http.StatusOK {
			ok++
		} else {
			require.Equal(t, http.StatusTooManyRequests, c)
		}
	}
	require.GreaterOrEqual(t, ok, 5)
}
