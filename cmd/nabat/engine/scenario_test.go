package engine_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/dispatch/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"

// call makes a call and waits until it is answered; ack and bye go on with it.
func (p *phone) call(id string) (tag string) {
	p.request("INVITE", id, 1, "", "Content-Type: application/sdp\r\n", offer)
	return p.answered(id)
}

func (p *phone) answered(id string) (tag string) {
	p.wait("SIP/2.0 180")
	tag = toTag(p.wait("SIP/2.0 200"))
	p.request("ACK", id, 1, tag, "", "")
	return tag
}

func (p *phone) bye(id, tag string) {
	p.request("BYE", id, 2, tag, "", "")
	p.wait("SIP/2.0 200")
}

func (p *phone) text(id, words string) {
	p.request("MESSAGE", id, 1, "", "Content-Type: text/plain;charset=UTF-8\r\n", words)
}

// shift runs a story in a bubble of virtual time, on a database of its own, and
// ends it as every story must end: what is on the topics is what the journal
// tells, and the journal is whole.
func shift(t *testing.T, story func(h *house, tokens map[string]string)) {
	url, dir := pgtest.New(t), t.TempDir()
	door := newDoorway(t, url)
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, url, door, dir)
		tokens := h.furnish("operator", "supervisor", "duty:fire", "duty:police", "duty:gas")
		story(h, tokens)
		h.verifyJournal()
	})
}

func is(name string, value any) func(map[string]any) bool {
	return func(in map[string]any) bool { return in[name] == value }
}

// part waits for a service's state on a card.
func (k *desk) part(incident any, service, state string) {
	k.incident(service+" "+state, func(in map[string]any) bool { return in["id"] == incident && assigned(in, service) == state })
}

// One shift, the whole way: wires in, card, rule, Kafka, reply, screens; with two
// restarts, of which one cuts a call.
func TestAShift(t *testing.T) {
	shift(t, func(h *house, tokens map[string]string) {
		down := h.up()
		taker := h.desk(tokens["operator"], "")
		boss := h.desk(tokens["supervisor"], "")
		const fireOrder, policeOrder = "01-17", "KUSP-5"
		fireDesk := h.desk(tokens["duty:fire"], "fire", policeOrder)
		policeDesk := h.desk(tokens["duty:police"], "police", fireOrder)
		gasDesk := h.desk(tokens["duty:gas"], "gas", fireOrder, policeOrder)
		fire := h.service("fire")
		defer fire.c.Close()
		p := h.panel()

		// A smoke detector: acknowledged, on the fire service's topic, on the board.
		began := time.Now()
		p.signal("1111 01 001")
		r := fire.next("the fire", func(r record) bool { return r.Type == "city.nabat.incident.assigned.v1" })
		require.Less(t, time.Since(began), time.Second, "from the wire to Kafka")
		school := taker.incident("the fire", is("id", r.Subject))
		require.Equal(t, "Школа № 1", school["facilityName"])
		// The panel did not hear us and repeats within the minute: nothing changes.
		time.Sleep(20 * time.Second)
		p.signal("1111 01 001")
		// The service takes it; the open board shows it by itself.
		fire.reply(r.Subject, "accepted", fireOrder)
		taker.part(r.Subject, "fire", "accepted")
		require.Equal(t, []string{"fire accepted " + fireOrder}, told(taker.seen[r.Subject], "").Assignments)
		// A heartbeat is no row, and the registry knows when the panel was heard.
		time.Sleep(time.Minute)
		heard := time.Now()
		p.alive()
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, h.count(`SELECT count(*) FROM panels WHERE account = $1 AND last_seen_at = $2`, account, heard.UTC()))

		// Gas: two services, and neither reads the other's words.
		p.signal("1151 01 009")
		gas := taker.incident("the gas", is("class", "gas"))
		fire.reply(gas["id"].(string), "accepted", fireOrder)
		gasDesk.part(gas["id"], "fire", "accepted")

		// A panic button, worked by the duty officer and closed by the supervisor.
		p.signal("1120 01 002")
		button := policeDesk.incident("the panic button", is("class", "panic"))
		policeDesk.part(button["id"], "police", "published")
		policeDesk.do("reply", button["id"], map[string]any{"status": "accepted", "orderNumber": policeOrder})
		policeDesk.do("reply", button["id"], map[string]any{"status": "completed"})
		boss.incident("worked", func(in map[string]any) bool { return in["id"] == button["id"] && in["state"] == "worked" })
		boss.do("close", button["id"], map[string]any{"reason": "ложное нажатие"})
		// An intrusion that the supervisor withdraws.
		p.signal("1130 01 004")
		broken := policeDesk.incident("the intrusion", is("class", "intrusion"))
		policeDesk.part(broken["id"], "police", "published")
		boss.do("cancel", broken["id"], map[string]any{"reason": "учения"})

		// A caller: a draft, kept, sent, and sent again with more words.
		ph := h.phone("192.0.2.9:5060")
		tag := ph.call("call-1")
		draft := taker.incident("the draft", is("origin", "call"))
		require.Equal(t, "draft", draft["state"])
		form := func(description string) map[string]any {
			return map[string]any{"form": map[string]any{"type": "fire", "place": "Садовая ул., 2", "description": description}}
		}
		taker.do("save", draft["id"], form("горит"))
		send := order("send", draft["id"], form("горит балкон"))
		require.Equal(t, true, taker.give(send)["ok"])
		require.Equal(t, true, taker.give(send)["ok"], "the same command again")
		fire.next("the balcony", func(r record) bool { return r.Subject == draft["id"] })
		taker.do("send", draft["id"], form("горит балкон, люди на крыше"))
		fire.next("more of the balcony", func(r record) bool { return r.Subject == draft["id"] && r.Data["kind"] == "edited" })
		require.Equal(t, 1, h.has(draft["id"], "registered"))
		require.Equal(t, 2, h.has(draft["id"], "edited"))
		// A text that needs no answer.
		ph.text("sms-1", "проверка")
		ph.wait("SIP/2.0 200")
		sms := taker.incident("the text", is("origin", "sms"))
		taker.do("closeWithoutResponse", sms["id"], map[string]any{"reason": "test"})
		ph.bye("call-1", tag)
		time.Sleep(5 * time.Second)

		// What each sees by itself, asked anew, in the list and in the database.
		for _, k := range []*desk{taker, boss, fireDesk, policeDesk, gasDesk} {
			k.agrees()
		}
		require.Len(t, taker.seen, 3)
		require.Len(t, fireDesk.seen, 3)
		require.Len(t, gasDesk.seen, 1)
		require.Empty(t, policeDesk.seen)
		// A card that is not theirs is not there, whichever way they ask.
		code, _ := policeDesk.api("incidents/" + r.Subject)
		require.Equal(t, http.StatusNotFound, code)
		code, list := policeDesk.api("incidents")
		require.Equal(t, http.StatusOK, code)
		require.Len(t, list["items"], 2, "closed and cancelled")
		require.NoError(t, policeDesk.conn.WriteJSON(map[string]any{"t": "watch", "incident": r.Subject}))
		require.NoError(t, policeDesk.conn.WriteJSON(map[string]any{"t": "watch", "incident": button["id"]}))
		require.NoError(t, gasDesk.conn.WriteJSON(map[string]any{"t": "watch", "incident": gas["id"]}))
		require.Equal(t, false, policeDesk.give(order("reply", r.Subject, map[string]any{"status": "completed"}))["ok"])
		policeDesk.fresh(false)
		gasDesk.fresh(false)
		require.Equal(t, map[string]int{button["id"].(string): len(h.kinds(button["id"]))}, policeDesk.told)
		require.Equal(t, map[string]int{gas["id"].(string): len(h.kinds(gas["id"]))}, gasDesk.told)

		// A restart in the middle of a call: the line is lost and due for a call
		// back, the panel's repeat is still a repeat.
		ph.call("call-2")
		second := taker.incident("the second call", func(in map[string]any) bool { return in["origin"] == "call" && in["state"] == "draft" })
		p.signal("1110 01 003")
		for _, k := range []*desk{taker, boss, fireDesk, policeDesk, gasDesk} {
			k.close()
		}
		p.conn.Close()
		down()
		ph.wait("BYE")
		down = h.up()
		p = h.panel()
		p.signal("1110 01 003")
		taker = h.desk(tokens["operator"], "")
		taker.incident("the lost line", func(in map[string]any) bool {
			return in["id"] == second["id"] && in["contacts"].([]any)[0].(map[string]any)["callbackDue"] == true
		})
		time.Sleep(5 * time.Second)
		taker.agrees()
		require.Equal(t, 5, h.count(`SELECT count(*) FROM notifications WHERE NOT duplicate`))
		require.Equal(t, 2, h.count(`SELECT count(*) FROM notifications WHERE duplicate`))

		// A quiet restart changes nothing on any card, and the command of long ago is
		// still known.
		before := taker.seen
		taker.close()
		p.conn.Close()
		down()
		down = h.up()
		taker = h.desk(tokens["operator"], "")
		require.Equal(t, before, taker.seen)
		require.Equal(t, true, taker.give(send)["ok"])
		taker.agrees()
		require.Equal(t, before, taker.seen)
		require.Equal(t, 1, h.has(draft["id"], "registered"))
		h.topics()
		taker.close()
		down()
	})
}

// The broker goes away, comes back for a part of what waits, and goes again; the
// engine is started anew meanwhile.
func TestAShiftWithoutBroker(t *testing.T) {
	shift(t, func(h *house, tokens map[string]string) {
		down := h.up()
		taker := h.desk(tokens["operator"], "")
		fire := h.service("fire")
		defer fire.c.Close()
		p := h.panel()
		p.signal("1110 01 001")
		r := fire.next("the fire", func(r record) bool { return r.Data["kind"] == "assigned" })
		taker.part(r.Subject, "fire", "published")

		// While the broker is away signals are taken and acknowledged, and nothing
		// looks as if it had been sent.
		h.cutBroker(true)
		for _, zone := range []string{"002", "003", "004", "005", "006", "007"} {
			p.signal("1110 01 " + zone)
		}
		p.signal("1120 01 008")
		button := taker.incident("the panic button", is("class", "panic"))
		time.Sleep(time.Minute)
		taker.fresh(false)
		require.Equal(t, "added", assigned(taker.seen[button["id"].(string)], "police"), "not published, and not shown as if it were")

		// It takes four records of the fire service's six and is gone again: the relay
		// had the first two in hand by themselves, and the others are one batch.
		h.cutAfter("nabat.incidents.fire", 4)
		h.cutBroker(false)
		time.Sleep(time.Minute)
		require.Equal(t, 5, h.records("nabat.incidents.fire"))
		p.signal("1110 01 009")
		taker.close()
		p.conn.Close()
		down()
		down = h.up()
		time.Sleep(20 * time.Second)

		h.cutBroker(false)
		taker = h.desk(tokens["operator"], "")
		taker.part(button["id"], "police", "published")
		fire.next("the last zone", func(r record) bool {
			s, _ := r.Data["signal"].(map[string]any)
			return s["zone"] == "009"
		})
		again := h.topics()
		require.LessOrEqual(t, again, 4+len(h.journal()), "the relay repeats what it had not noted, and no more")
		taker.agrees()
		require.Equal(t, 8, h.has(r.Subject, "signal")+h.has(r.Subject, "opened"))
		taker.close()
		down()
	})
}
