package console

import (
	"net/http"
	"net/url"
	"strings"
)

// CookieName is the session's cookie. The prefix makes browsers insist on
// Secure, on Path=/ and on this very host (RFC 6265bis §4.1.3.2). They take
// Secure cookies from http://127.0.0.1 and http://localhost too.
const CookieName = "__Host-nabat"

func sessionCookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: CookieName, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// csp lets the page load from us and talk to us, and nobody frame it.
const csp = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// secured sets the headers that every answer carries.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "geolocation=(), camera=(), payment=()")
		// No Strict-Transport-Security: with it a browser would give nobody the way
		// past our self-made certificate, and nothing here answers plain HTTP on a
		// name that HTTPS is served on.
		next.ServeHTTP(w, r)
	})
}

var errOrigin = &Fault{
	Code: CodeForbidden, RU: "Запрос пришёл не с этой страницы", EN: "The request does not come from this page",
}

// fromHere tells whether the Origin header names the host that was asked. Only
// the host is compared: behind a proxy that ends TLS we do not know the scheme.
func fromHere(r *http.Request) bool {
	o, err := url.Parse(r.Header.Get("Origin"))
	if err != nil || (o.Scheme != "http" && o.Scheme != "https") || o.Host == "" {
		return false
	}
	return strings.EqualFold(o.Host, r.Host)
}

// credential is what a request shows: a bearer token, or else the cookie.
func credential(r *http.Request) (text string, program, ok bool) {
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, token, _ := strings.Cut(h, " ")
		return strings.TrimSpace(token), true, strings.EqualFold(scheme, "Bearer")
	}
	c, err := r.Cookie(CookieName)
	if err != nil {
		return "", false, false
	}
	return c.Value, false, true
}

// enter finds out who asks. Whatever changes something, and a websocket, must
// come from our own page if a browser sends it: a cookie goes along by itself, a
// bearer token does not. A foreign Origin is refused in any case.
func (s *Server) enter(r *http.Request, changes bool) (Person, error) {
	text, program, ok := credential(r)
	if !ok {
		return Person{}, errDenied
	}
	if origin := r.Header.Get("Origin"); (changes && (origin != "" || !program)) && !fromHere(r) {
		return Person{}, errOrigin
	}
	return s.accounts.find(r.Context(), text, program)
}
