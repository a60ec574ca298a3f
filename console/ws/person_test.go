package ws_test

import (
	"crypto/sha256"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"nabat/console"
	"nabat/console/ws"
)

// Logging in again and again gives nobody more consoles: they are counted by
// person, not by session.
func TestOnePersonsConsolesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, ws.Options{})
		dial := func(text string) (*websocket.Conn, int) {
			d := websocket.Dialer{NetDialContext: s.wire.dial}
			c, res, err := d.DialContext(t.Context(), "ws://nabat/ws", http.Header{"Authorization": {"Bearer " + text}})
			if err != nil {
				require.NotNil(t, res)
			}
			res.Body.Close()
			return c, res.StatusCode
		}
		texts := []string{
			"nabat_0000000000000000000000000000000000000000000000001",
			"nabat_0000000000000000000000000000000000000000000000002",
			"nabat_0000000000000000000000000000000000000000000000003",
		}
		s.w.mu.Lock()
		for i, login := range []string{"anna", "anna", "boris"} {
			sum := sha256.Sum256([]byte(texts[i]))
			s.w.people[sum] = console.Person{Login: login, Role: console.Operator, Program: true, Key: sum}
		}
		s.w.mu.Unlock()
		var open []*websocket.Conn
		for i := range 32 {
			c, _ := dial(texts[i%2])
			require.NotNil(t, c, "console %d", i)
			open = append(open, c)
		}
		for _, text := range texts[:2] {
			c, status := dial(text)
			require.Nil(t, c)
			require.Equal(t, http.StatusServiceUnavailable, status)
		}
		other, _ := dial(texts[2])
		require.NotNil(t, other, "somebody else is not held up")
		open[0].Close()
		synctest.Wait()
		again, _ := dial(texts[1])
		require.NotNil(t, again)
		for _, c := range append(open[1:], other, again) {
			c.Close()
		}
		s.end()
	})
}
