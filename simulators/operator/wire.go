package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Card is what a console sees of an incident; fields it does not use are left out.
type Card struct {
	ID          string `json:"id"`
	Number      int64  `json:"number"`
	State       string `json:"state"`
	Origin      string `json:"origin"`
	Type        string `json:"type"`
	Place       string `json:"place"`
	Description string `json:"description"`
	Version     int    `json:"version"`
	Contacts    []struct {
		State      string  `json:"state"`
		AnsweredAt *string `json:"answeredAt"`
	} `json:"contacts"`
	Assignments []struct {
		State string `json:"state"`
	} `json:"assignments"`
}

// unheard tells that every call of the card ended before it was answered.
func (c Card) unheard() bool {
	for _, ct := range c.Contacts {
		if ct.State != "ended" || ct.AnsweredAt != nil {
			return false
		}
	}
	return c.Origin == "call" && len(c.Contacts) > 0
}

// stuck tells that nobody goes: every service has refused, or none was chosen.
func (c Card) stuck() bool {
	for _, a := range c.Assignments {
		if a.State != "refused" {
			return false
		}
	}
	return c.State == "dispatched" || c.State == "registered"
}

// frame is everything that a server may say.
type frame struct {
	T         string `json:"t"`
	Epoch     string `json:"epoch"`
	Prev      int64  `json:"prev"`
	Seq       int64  `json:"seq"`
	Incidents []Card `json:"incidents"`
	ID        string `json:"id"`
	OK        bool   `json:"ok"`
	Error     *fault `json:"error"`
}

type fault struct {
	Code  string `json:"code"`
	Field string `json:"field"`
	RU    string `json:"ru"`
	EN    string `json:"en"`
}

// busy is the one answer after which nothing is known of the command's effect.
const busy = "busy"

// command is what a console asks for.
type command struct {
	T        string `json:"t"`
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Incident string `json:"incident"`
	Form     *form  `json:"form,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// form holds what changes, and what stood there when the person read it.
type form struct {
	words
	Base words `json:"base"`
}

type words struct {
	Type        string `json:"type"`
	Place       string `json:"place"`
	Description string `json:"description"`
}

// errLogin: the server knows the login and does not like it; trying again at
// once will not help.
var errLogin = errors.New("login refused")

const cookieName = "__Host-nabat"

// login gives the session's cookie. Go's jar would keep a Secure cookie back on
// plain HTTP, where browsers send it to loopback; so it is carried by hand.
func login(ctx context.Context, client *http.Client, base *url.URL, name, password string) (*http.Cookie, error) {
	body, err := json.Marshal(map[string]string{"login": name, "password": password})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath("/api/v1/login").String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", origin(base))
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
		return nil, fmt.Errorf("%w: %s: %s", errLogin, res.Status, text)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("log in: %s: %s", res.Status, text)
	}
	for _, c := range res.Cookies() {
		if c.Name == cookieName {
			return c, nil
		}
	}
	return nil, fmt.Errorf("log in: no cookie %s in the answer", cookieName)
}

func origin(base *url.URL) string { return base.Scheme + "://" + base.Host }

// dial opens the websocket.
func dial(ctx context.Context, d *websocket.Dialer, base *url.URL, cookie *http.Cookie) (*websocket.Conn, error) {
	u := *base
	u.Scheme = strings.Replace(base.Scheme, "http", "ws", 1)
	u.Path = "/ws"
	h := http.Header{"Origin": {origin(base)}, "Cookie": {cookie.Name + "=" + cookie.Value}}
	conn, res, err := d.DialContext(ctx, u.String(), h)
	if err != nil {
		if res != nil {
			res.Body.Close()
			if res.StatusCode == http.StatusUnauthorized {
				return nil, errSession
			}
			return nil, fmt.Errorf("websocket: %s: %w", res.Status, err)
		}
		return nil, fmt.Errorf("websocket: %w", err)
	}
	return conn, nil
}

// errSession: the session has ended, by time or by hand.
var errSession = errors.New("the session has ended")

const (
	closeSession = 4001
	writeWait    = 5 * time.Second
	// The server beats every second; a connection that says nothing for so long
	// is dead.
	deaf = 15 * time.Second
)
