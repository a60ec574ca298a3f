package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The database goes away before a commit, after it, and between.
func TestAShiftWithoutDatabase(t *testing.T) {
	shift(t, func(h *house, tokens map[string]string) {
		down := h.up()
		taker := h.desk(tokens["operator"], "")
		p := h.panel()
		ph := h.phone("192.0.2.9:5060")
		ph.text("sms-1", "дым в подъезде")
		ph.wait("SIP/2.0 200")
		draft := taker.incident("the text", is("origin", "sms"))
		time.Sleep(5 * time.Second)

		// The connection breaks before the panel's COMMIT arrives, and nobody gets in
		// any more: nobody hears that anything was taken.
		h.door.set(beforeCommit)
		p.tell("1110 01 001")
		time.Sleep(time.Millisecond)
		require.Equal(t, 1, h.door.caught())
		ph.request("INVITE", "call-1", 1, "", "Content-Type: application/sdp\r\n", offer)
		ph.text("sms-2", "пожар")
		send := order("send", draft["id"], map[string]any{"form": map[string]any{"type": "fire", "place": "Садовая ул., 2", "description": "дым"}})
		require.NoError(t, taker.conn.WriteJSON(send))
		p.silent(25*time.Second, "nothing is stored")
		taker.fresh(true)
		require.NotEqual(t, true, taker.results[send["id"].(string)]["ok"])
		for _, line := range ph.heard() {
			require.NotContains(t, line, " 200 ", "neither the call nor the text is stored")
		}
		require.Zero(t, h.count(`SELECT count(*) FROM notifications`))
		require.Equal(t, 1, h.count(`SELECT count(*) FROM contacts`))
		require.Equal(t, []string{"opened"}, h.kinds(draft["id"]))

		// It is back: the call is answered by itself, the others send again, and each
		// is stored once.
		h.door.cut(false)
		tag := toTag(ph.wait("SIP/2.0 200"))
		ph.request("ACK", "call-1", 1, tag, "", "")
		p.signal("1110 01 001")
		p.signal("1110 01 001")
		ph.text("sms-2", "пожар")
		ph.wait("SIP/2.0 200")
		require.Equal(t, true, taker.give(send)["ok"])
		require.Equal(t, true, taker.give(send)["ok"])
		require.Equal(t, 1, h.count(`SELECT count(*) FROM notifications WHERE NOT duplicate`))
		require.Equal(t, 1, h.count(`SELECT count(*) FROM notifications WHERE duplicate`))
		require.Equal(t, 3, h.count(`SELECT count(*) FROM contacts`))
		require.Equal(t, 1, h.has(draft["id"], "registered"))
		ph.bye("call-1", tag)
		time.Sleep(10 * time.Second)
		taker.agrees()

		// The same with the commit of a call: no ringing, as long as it may yet come.
		ph.heard()
		h.door.set(beforeCommit)
		ph.request("INVITE", "call-2", 1, "", "Content-Type: application/sdp\r\n", offer)
		time.Sleep(9 * time.Second)
		require.Equal(t, 2, h.door.caught())
		for _, line := range ph.heard() {
			require.NotContains(t, line, " 180 ", "not stored")
			require.NotContains(t, line, " 200 ", "not stored")
		}
		h.door.cut(false)
		tag = ph.answered("call-2")
		ph.bye("call-2", tag)
		time.Sleep(10 * time.Second)
		require.Equal(t, 4, h.count(`SELECT count(*) FROM contacts`))

		// And with the commit of a command: no «ok», and the same command again is done.
		time.Sleep(10 * time.Second)
		text := taker.incident("the text", is("description", "пожар"))
		shut := order("closeWithoutResponse", text["id"], map[string]any{"reason": "repeat_call"})
		h.door.set(beforeCommit)
		require.NoError(t, taker.conn.WriteJSON(shut))
		time.Sleep(25 * time.Second)
		require.Equal(t, 3, h.door.caught())
		taker.fresh(true)
		require.NotEqual(t, true, taker.results[shut["id"].(string)]["ok"])
		h.door.cut(false)
		require.Equal(t, true, taker.give(shut)["ok"])
		require.Equal(t, []string{"opened", "closed"}, h.kinds(text["id"]))

		// The COMMIT is done and its answer is lost: what was stored is acknowledged,
		// once.
		stored := []func(){
			func() { p.signal("1120 01 002") },
			func() { ph.text("sms-3", "газ"); ph.wait("SIP/2.0 200") },
			func() {
				taker.do("closeWithoutResponse", taker.incident("the text", is("description", "газ"))["id"], map[string]any{"reason": "test"})
			},
			func() { ph.bye("call-3", ph.call("call-3")) },
		}
		for n, happens := range stored {
			time.Sleep(10 * time.Second)
			h.door.set(afterCommit)
			happens()
			require.Equal(t, 4+n, h.door.caught())
		}
		time.Sleep(10 * time.Second)
		require.Equal(t, 2, h.count(`SELECT count(*) FROM notifications WHERE NOT duplicate`))
		require.Equal(t, 6, h.count(`SELECT count(*) FROM contacts`))

		// Away while nothing is under way, and a panel that calls in vain.
		h.door.cut(true)
		p.tell("1110 01 003")
		p.silent(25*time.Second, "the database is away")
		taker.fresh(true)
		h.door.cut(false)
		p.signal("1110 01 003")
		require.Equal(t, 3, h.count(`SELECT count(*) FROM notifications WHERE NOT duplicate`))
		require.Equal(t, 1, h.count(`SELECT count(*) FROM notifications WHERE duplicate`))
		time.Sleep(20 * time.Second)
		taker.agrees()

		// The engine ends in the middle of a call, and the database does not hear of
		// it: the next engine finds the line that is nobody's.
		ph.call("call-4")
		cut := taker.incident("the fourth call", func(in map[string]any) bool {
			list := in["contacts"].([]any)
			return len(list) > 0 && list[0].(map[string]any)["state"] == "answered"
		})
		h.door.cut(true)
		h.dying = true
		taker.close()
		p.conn.Close()
		down()
		h.dying = false
		require.Equal(t, 1, h.count(`SELECT count(*) FROM contacts WHERE state = 'answered'`))
		h.door.cut(false)
		down = h.up()
		taker = h.desk(tokens["operator"], "")
		taker.incident("the lost line", func(in map[string]any) bool {
			return in["id"] == cut["id"] && told(in, "").Contacts[0] == "call ended line_lost call back"
		})
		time.Sleep(5 * time.Second)
		taker.agrees()
		h.topics()
		taker.close()
		down()
	})
}
