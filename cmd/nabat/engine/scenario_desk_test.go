package engine_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// desk is a console on the websocket.
type desk struct {
	t      *testing.T
	h      *house
	token  string
	conn   *websocket.Conn
	frames chan []byte
	done   chan struct{}
	// service is a duty officer's: whatever comes must be theirs to see. secret is
	// what they must never read.
	service string
	secret  []string

	epoch   string
	seq     float64
	seen    map[string]map[string]any // open incidents by id, as a board keeps them
	told    map[string]int            // lines of journals that were sent, by incident
	results map[string]map[string]any
}

// desk opens a console and waits for its board.
func (h *house) desk(token, service string, secret ...string) *desk {
	d := websocket.Dialer{NetDialContext: h.page.dial}
	conn, answer, err := d.DialContext(h.t.Context(), "ws://console/ws", http.Header{"Authorization": {"Bearer " + token}})
	require.NoError(h.t, err)
	answer.Body.Close()
	k := &desk{
		t: h.t, h: h, token: token, conn: conn, frames: make(chan []byte, 4096), done: make(chan struct{}), service: service, secret: secret,
		told: map[string]int{}, results: map[string]map[string]any{},
	}
	go func() {
		defer close(k.done)
		for {
			_, text, err := conn.ReadMessage()
			if err != nil {
				close(k.frames)
				return
			}
			k.frames <- text
		}
	}()
	h.t.Cleanup(k.close)
	k.until("the snapshot", func(f map[string]any) bool { return f["t"] == "snapshot" })
	return k
}

func (k *desk) close() {
	k.conn.Close()
	<-k.done
}

// until reads frames, keeping the board, until one satisfies want.
func (k *desk) until(what string, want func(f map[string]any) bool) {
	limit := time.After(time.Minute)
	for {
		select {
		case text, ok := <-k.frames:
			require.True(k.t, ok, "the console's connection ended before %s", what)
			if want(k.take(text)) {
				return
			}
		case <-limit:
			require.FailNow(k.t, "not seen within a minute", "%s; board: %v", what, k.seen)
		}
	}
}

// take keeps the board, and looks at what a duty officer is shown.
func (k *desk) take(text []byte) (f map[string]any) {
	require.NoError(k.t, json.Unmarshal(text, &f))
	for _, s := range k.secret {
		require.NotContains(k.t, string(text), s, "another service's words on the screen of %s", k.service)
	}
	switch f["t"] {
	case "snapshot":
		k.epoch, k.seen = f["epoch"].(string), map[string]map[string]any{}
	case "delta":
		require.Equal(k.t, k.epoch, f["epoch"])
		require.InDelta(k.t, k.seq, f["prev"], 0, "a delta follows what was held")
	case "events":
		k.told[f["incident"].(string)] += len(f["events"].([]any))
	case "result":
		k.results[f["id"].(string)] = f
	}
	list, ok := f["incidents"].([]any)
	if !ok {
		return f
	}
	k.seq = f["seq"].(float64)
	for _, in := range list {
		in := in.(map[string]any)
		if k.service != "" {
			require.NotEmpty(k.t, assigned(in, k.service), "%s sees a card that is not theirs: %v", k.service, in)
			require.NotContains(k.t, in, "contacts")
		}
		if in["state"] == "closed" || in["state"] == "cancelled" {
			delete(k.seen, in["id"].(string))
		} else {
			k.seen[in["id"].(string)] = in
		}
	}
	return f
}

// incident waits until the board has one that satisfies want.
func (k *desk) incident(what string, want func(in map[string]any) bool) (found map[string]any) {
	look := func(map[string]any) bool {
		for _, in := range k.seen {
			if want(in) {
				found = in
				return true
			}
		}
		return false
	}
	if !look(nil) {
		k.until(what, look)
	}
	return found
}

// fresh waits for a beat that was sent from now on, so that the board is what the
// house knows, and not what waited in our buffer.
func (k *desk) fresh(stale bool) {
	now := time.Now()
	k.until("a fresh beat", func(f map[string]any) bool {
		if f["t"] != "beat" {
			return false
		}
		at, err := time.Parse(time.RFC3339Nano, f["at"].(string))
		require.NoError(k.t, err)
		told := f["stale"] == true
		return at.After(now) && told == stale
	})
}

// order makes a command; give sends it, as often as one likes.
func order(kind string, incident any, more map[string]any) map[string]any {
	c := map[string]any{"t": "cmd", "id": uuid.NewString(), "kind": kind, "incident": incident}
	maps.Copy(c, more)
	return c
}

func (k *desk) give(c map[string]any) map[string]any {
	delete(k.results, c["id"].(string))
	require.NoError(k.t, k.conn.WriteJSON(c))
	k.until("a result", func(map[string]any) bool { return k.results[c["id"].(string)] != nil })
	return k.results[c["id"].(string)]
}

// do gives a command that must be done.
func (k *desk) do(kind string, incident any, more map[string]any) {
	k.t.Helper()
	r := k.give(order(kind, incident, more))
	require.Equal(k.t, true, r["ok"], r)
}

// api asks the HTTP interface.
func (k *desk) api(path string) (int, map[string]any) {
	client := &http.Client{Transport: &http.Transport{DialContext: k.h.page.dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(k.t.Context(), http.MethodGet, "http://console/api/v1/"+path, http.NoBody)
	require.NoError(k.t, err)
	req.Header.Set("Authorization", "Bearer "+k.token)
	res, err := client.Do(req)
	require.NoError(k.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(k.t, err)
	var body map[string]any
	require.NoError(k.t, json.Unmarshal(text, &body))
	for name := range body {
		if strings.HasPrefix(name, "$") { // where its schema is
			delete(body, name)
		}
	}
	return res.StatusCode, body
}

// agrees checks that the board, kept by deltas, is what the HTTP interface says
// of each card, what a new console is shown, and what the database holds.
func (k *desk) agrees() {
	k.t.Helper()
	k.fresh(false)
	code, list := k.api("incidents?status=open&limit=500")
	require.Equal(k.t, http.StatusOK, code)
	listed := map[string]map[string]any{}
	for _, in := range list["items"].([]any) {
		in := in.(map[string]any)
		listed[in["id"].(string)] = in
	}
	require.Equal(k.t, listed, k.seen, "the board and the list")
	for id, in := range k.seen {
		code, one := k.api("incidents/" + id)
		require.Equal(k.t, http.StatusOK, code)
		require.Equal(k.t, in, one, "the board and the card")
	}
	again := k.h.desk(k.token, k.service, k.secret...)
	require.Equal(k.t, k.seen, again.seen, "the board and a new console's")
	again.close()
	stored := k.h.cards(k.service)
	require.Len(k.t, k.seen, len(stored))
	for id, in := range k.seen {
		require.Equal(k.t, stored[id], told(in, k.service), "the board and the database")
	}
}

// told is a card in the few words that house.cards uses.
func told(in map[string]any, service string) (c stored) {
	c.State, c.Version = in["state"].(string), int(in["version"].(float64))
	for name, field := range map[string]*string{"type": &c.Type, "place": &c.Place, "description": &c.Description} {
		*field, _ = in[name].(string)
	}
	for _, a := range in["assignments"].([]any) {
		a := a.(map[string]any)
		order, _ := a["orderNumber"].(string)
		c.Assignments = append(c.Assignments, a["service"].(string)+" "+a["state"].(string)+" "+order)
	}
	if service != "" {
		return c
	}
	for _, k := range in["contacts"].([]any) {
		k := k.(map[string]any)
		why, _ := k["endReason"].(string)
		line := k["kind"].(string) + " " + k["state"].(string) + " " + why
		if k["callbackDue"] == true {
			line += " call back"
		}
		c.Contacts = append(c.Contacts, line)
	}
	return c
}

// assigned finds a service's state on an incident of the board.
func assigned(in map[string]any, name string) (state string) {
	for _, a := range in["assignments"].([]any) {
		if a := a.(map[string]any); a["service"] == name {
			return a["state"].(string)
		}
	}
	return ""
}
