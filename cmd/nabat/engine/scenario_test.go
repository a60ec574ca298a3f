package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"nabat/alarms"
	alarmsdb "nabat/alarms/postgres"
	"nabat/cmd/nabat/engine"
	"nabat/cmd/nabat/lifecycle"
	"nabat/console"
	consoledb "nabat/console/postgres"
	"nabat/dispatch/audit"
	"nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgtest"
	"nabat/routing/kafka"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	usSIP   = "192.0.2.1:5060"
	account = "4521"
)

// house is a whole engine in a synctest bubble: everything in memory but the
// PostgreSQL, which is real.
type house struct {
	t      *testing.T
	log    *zap.Logger
	url    string
	alarms *pipes
	page   *pipes
	ether  *ether
	broker *kfake.Cluster
	net    *kfake.VirtualNetwork
	dir    string

	mu    sync.Mutex
	cut   bool       // the way to the broker; guarded by mu
	conns []net.Conn // to the broker; guarded by mu
}

// newHouse must be called inside the bubble; url is a migrated database.
func newHouse(t *testing.T, url, dir string) *house {
	h := &house{t: t, log: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)), url: url, dir: dir, ether: newEther(), net: &kfake.VirtualNetwork{}}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(h.net.Listen))
	require.NoError(t, err)
	h.broker = broker
	return h
}

func (h *house) dialBroker(ctx context.Context, network, address string) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut {
		return nil, fmt.Errorf("the way to %s is cut", address)
	}
	conn, err := h.net.DialContext(ctx, network, address)
	if err == nil {
		h.conns = append(h.conns, conn)
	}
	return conn, err
}

// cutBroker takes the engine's way to the broker away, or gives it back.
func (h *house) cutBroker(cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = cut
	for _, c := range h.conns {
		c.Close()
	}
	h.conns = nil
}

// up starts the engine; down stops it in order.
func (h *house) up() (down func()) {
	h.alarms, h.page = newPipes("alarms"), newPipes("console")
	sip, err := h.ether.listen("udp", usSIP)
	require.NoError(h.t, err)
	e, err := engine.New(h.t.Context(), engine.Options{
		Postgres: h.url, Kafka: kafka.Options{Brokers: h.broker.ListenAddrs(), Dial: h.dialBroker},
		Sockets:  engine.Sockets{SIPUDP: sip, AlarmsTCP: h.alarms, Console: h.page},
		RTP:      engine.RTP{Bind: netip.MustParseAddr("192.0.2.1"), Listen: h.ether.listen},
		AuditDir: h.dir, Log: h.log, NoNotify: true,
		Drain: engine.Drain{Intake: 10 * time.Second, Relay: 10 * time.Second, Console: 5 * time.Second, Database: 30 * time.Second},
	})
	require.NoError(h.t, err)
	ctx, stop := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- lifecycle.Run(ctx, h.log, e.Stages()...) }()
	return func() {
		stop()
		require.NoError(h.t, <-ended)
		e.Close()
	}
}

// furnish puts one school and one token into the database.
func (h *house) furnish() (token string) {
	pool, err := postgres.Open(h.t.Context(), h.url, postgres.PoolOptions{})
	require.NoError(h.t, err)
	defer pool.Close()
	lat, lon := 59.93, 30.31
	require.NoError(h.t, alarmsdb.NewStore(pool, nil).Upsert(h.t.Context(), []alarms.Panel{{
		Account:  account,
		Facility: alarms.Facility{Code: "SCH-1", Name: "Школа № 1", Category: "education", Address: "Невский пр., 1", District: "Центральный", Lat: &lat, Lon: &lon},
		Zones:    []alarms.Zone{{Number: "001", Kind: alarms.ClassFire, Place: "гардероб"}},
	}}, time.Now()))
	token, err = console.CreateToken(h.t.Context(), consoledb.New(pool, nil), "shift", "operator", 0, time.Now())
	require.NoError(h.t, err)
	return token
}

// notifications counts originals and repeats.
func (h *house) notifications() []int {
	pool, err := postgres.Open(h.t.Context(), h.url, postgres.PoolOptions{})
	require.NoError(h.t, err)
	defer pool.Close()
	n := make([]int, 2)
	require.NoError(h.t, pool.QueryRow(h.t.Context(), `
		SELECT count(*) FILTER (WHERE NOT duplicate), count(*) FILTER (WHERE duplicate) FROM notifications`).Scan(&n[0], &n[1]))
	return n
}

// verifyJournal is `nabat audit verify`.
func (h *house) verifyJournal() {
	pool, err := postgres.Open(h.t.Context(), h.url, postgres.PoolOptions{})
	require.NoError(h.t, err)
	defer pool.Close()
	heads, err := audit.OpenHeads(h.dir)
	require.NoError(h.t, err)
	signed, err := heads.Read()
	require.NoError(h.t, err)
	store := postgres.NewStore(pool, nil)
	require.NoError(h.t, audit.CheckMemory(h.t.Context(), signed, store))
	var rep audit.Report
	require.NoError(h.t, store.Frozen(h.t.Context(), func(v postgres.View) (err error) {
		rep, err = audit.Verify(h.t.Context(), v, v, signed)
		return err
	}))
	require.Empty(h.t, rep.Broken)
	require.Positive(h.t, rep.Heads)
}

// panel is a DC-09 device on a persistent connection.
type panel struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (h *house) panel() *panel {
	conn, err := h.alarms.dial(h.t.Context(), "", "")
	require.NoError(h.t, err)
	return &panel{h.t, conn, bufio.NewReader(conn)}
}

// send writes a frame, whose checksum is computed here and not by the engine's
// codec, and returns the answer's body.
func (p *panel) send(body string) string {
	_, err := fmt.Fprintf(p.conn, "\n%04X%04X%s\r", crc16([]byte(body)), len(body), body)
	require.NoError(p.t, err)
	answer, err := p.in.ReadString('\r')
	require.NoError(p.t, err)
	return strings.TrimSuffix(answer[9:], "\r")
}

// crc16 is CRC-16/ARC.
func crc16(b []byte) (crc uint16) {
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// phone speaks SIP as text.
type phone struct {
	t    *testing.T
	conn net.PacketConn
}

func (h *house) phone(addr string) *phone {
	conn, err := h.ether.listen("udp", addr)
	require.NoError(h.t, err)
	return &phone{h.t, conn}
}

func (p *phone) request(method, callID string, cseq int, toTag, extra, body string) {
	to, err := net.ResolveUDPAddr("udp", usSIP)
	require.NoError(p.t, err)
	tag := ""
	if toTag != "" {
		tag = ";tag=" + toTag
	}
	msg := fmt.Sprintf("%s sip:112@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%s%d;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:+79210000001@%s>;tag=f\r\nTo: <sip:112@%s>%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:a@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		method, usSIP, p.conn.LocalAddr(), callID, method, cseq, p.conn.LocalAddr(), usSIP, tag, callID, cseq, method, p.conn.LocalAddr(), extra, len(body), body)
	_, err = p.conn.WriteTo([]byte(msg), to)
	require.NoError(p.t, err)
}

// wait takes messages until one starts so.
func (p *phone) wait(start string) string {
	buf := make([]byte, 65536)
	for {
		n, _, err := p.conn.ReadFrom(buf)
		require.NoError(p.t, err)
		if strings.HasPrefix(string(buf[:n]), start) {
			return string(buf[:n])
		}
	}
}

func toTag(answer string) string {
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "To:") {
			_, tag, _ := strings.Cut(strings.TrimSpace(line), ";tag=")
			return tag
		}
	}
	return ""
}

// desk is a console on the websocket.
type desk struct {
	t      *testing.T
	conn   *websocket.Conn
	frames chan map[string]any
	done   chan struct{}
	seen   map[string]map[string]any // incidents by id, as a board keeps them
}

func (h *house) desk(token string) *desk {
	d := websocket.Dialer{NetDialContext: h.page.dial}
	conn, answer, err := d.DialContext(h.t.Context(), "ws://console/ws", http.Header{"Authorization": {"Bearer " + token}})
	require.NoError(h.t, err)
	answer.Body.Close()
	k := &desk{h.t, conn, make(chan map[string]any, 4096), make(chan struct{}), map[string]map[string]any{}}
	go func() {
		defer close(k.done)
		for {
			var f map[string]any
			if err := conn.ReadJSON(&f); err != nil {
				close(k.frames)
				return
			}
			k.frames <- f
		}
	}()
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
		case f, ok := <-k.frames:
			require.True(k.t, ok, "the console's connection ended before %s", what)
			if list, ok := f["incidents"].([]any); ok {
				for _, in := range list {
					in := in.(map[string]any)
					k.seen[in["id"].(string)] = in
				}
			}
			if want(f) {
				return
			}
		case <-limit:
			require.FailNow(k.t, "not seen within a minute", "%s; board: %v", what, k.seen)
		}
	}
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
	if look(nil) {
		return found
	}
	k.until(what, look)
	return found
}

func (k *desk) command(c map[string]any) map[string]any {
	c["t"], c["id"] = "cmd", uuid.NewString()
	require.NoError(k.t, k.conn.WriteJSON(c))
	var result map[string]any
	k.until("a result", func(f map[string]any) bool {
		result = f
		return f["t"] == "result" && f["id"] == c["id"]
	})
	return result
}

// service is a duty service's own system on Kafka.
type service struct {
	t    *testing.T
	name string
	c    *kgo.Client
}

func (h *house) service(name string) *service {
	c, err := kgo.NewClient(kgo.SeedBrokers(h.broker.ListenAddrs()...), kgo.Dialer(h.net.DialContext),
		kgo.ConsumeTopics("nabat.incidents."+name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(h.t, err)
	return &service{h.t, name, c}
}

type record struct {
	ID, Type, Subject string
	Data              map[string]any
}

// next waits for a record that satisfies want.
func (s *service) next(what string, want func(r record) bool) record {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		fetches := s.c.PollFetches(ctx)
		require.NoError(s.t, ctx.Err(), "no record: %s", what)
		for it := fetches.RecordIter(); !it.Done(); {
			k := it.Next()
			var r record
			require.NoError(s.t, json.Unmarshal(k.Value, &r))
			require.Equal(s.t, r.Subject, string(k.Key))
			if want(r) {
				return r
			}
		}
	}
}

func (s *service) reply(incident, status, order string) {
	body, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": uuid.NewString(), "source": "/service/" + s.name, "type": "city.nabat.reply.v1",
		"subject": incident, "time": time.Now().UTC().Format(time.RFC3339Nano), "datacontenttype": "application/json",
		"data": map[string]any{"status": status, "orderNumber": order},
	})
	require.NoError(s.t, err)
	require.NoError(s.t, s.c.ProduceSync(s.t.Context(), &kgo.Record{Topic: "nabat.replies." + s.name, Key: []byte(incident), Value: body}).FirstErr())
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

// One shift in virtual time, the whole way: wires in, card, rule, Kafka, reply,
// screen; with the broker going away in the middle and a restart at the end.
func TestAShift(t *testing.T) {
	url, dir := pgtest.New(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, url, dir)
		defer h.broker.Close()
		token := h.furnish()
		down := h.up()
		desk := h.desk(token)
		fire := h.service("fire")
		defer fire.c.Close()
		p := h.panel()

		// A smoke detector: acknowledged, on the fire service's topic, on the board.
		began := time.Now()
		const smoke = `"ADM-CID"0001L0#4521[#4521|1111 01 001]`
		require.Equal(t, `"ACK"0001L0#4521[]`, p.send(smoke))
		r := fire.next("the fire", func(r record) bool { return r.Type == "city.nabat.incident.assigned.v1" })
		require.Less(t, time.Since(began), time.Second, "from the wire to Kafka")
		school := desk.incident("the fire", func(in map[string]any) bool { return in["id"] == r.Subject })
		require.Equal(t, "Школа № 1", school["facilityName"])

		// The panel did not hear us and repeats within the minute: nothing changes.
		time.Sleep(20 * time.Second)
		require.Equal(t, `"ACK"0002L0#4521[]`, p.send(`"ADM-CID"0002L0#4521[#4521|1111 01 001]`))
		// The service takes it; the open board shows it by itself.
		fire.reply(r.Subject, "accepted", "01-17")
		desk.incident("accepted", func(in map[string]any) bool { return in["id"] == r.Subject && assigned(in, "fire") == "accepted" })

		// A caller: ringing and an answer come after the draft is stored.
		ph := h.phone("192.0.2.9:5060")
		defer ph.conn.Close()
		const sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
		ph.request("INVITE", "call-1", 1, "", "Content-Type: application/sdp\r\n", sdp)
		ph.wait("SIP/2.0 180")
		tag := toTag(ph.wait("SIP/2.0 200"))
		ph.request("ACK", "call-1", 1, tag, "", "")
		draft := desk.incident("the draft", func(in map[string]any) bool { return in["origin"] == "call" })
		require.Equal(t, "draft", draft["state"])

		// While the broker is away signals are still taken and acknowledged …
		h.cutBroker(true)
		require.Equal(t, `"ACK"0003L0#4521[]`, p.send(`"ADM-CID"0003L0#4521[#4521|1120 01 002]`))
		button := desk.incident("the panic button", func(in map[string]any) bool { return in["class"] == "panic" })
		result := desk.command(map[string]any{"kind": "send", "incident": draft["id"], "form": map[string]any{
			"type": "fire", "place": "Садовая ул., 2", "description": "горит балкон",
		}})
		require.Equal(t, true, result["ok"], result)
		time.Sleep(time.Minute)
		desk.until("a beat", func(f map[string]any) bool { return f["t"] == "beat" })
		require.Equal(t, "added", assigned(desk.seen[button["id"].(string)], "police"), "not published, and not shown as if it were")

		// … and reach their services when it is back.
		h.cutBroker(false)
		police := h.service("police")
		defer police.c.Close()
		police.next("the panic button", func(r record) bool { return r.Subject == button["id"] })
		fire.next("the balcony", func(r record) bool { return r.Subject == draft["id"] })
		desk.incident("published", func(in map[string]any) bool {
			return in["id"] == button["id"] && assigned(in, "police") == "published"
		})

		// A restart in the middle of the call: the line is lost and due for a call
		// back, the panel's repeat is still a repeat, the board is what it was.
		desk.close()
		open := len(desk.seen)
		require.Equal(t, `"ACK"0004L0#4521[]`, p.send(`"ADM-CID"0004L0#4521[#4521|1110 01 003]`))
		p.conn.Close()
		down()
		ph.wait("BYE")
		down = h.up()
		p = h.panel()
		require.Equal(t, `"ACK"0005L0#4521[]`, p.send(`"ADM-CID"0005L0#4521[#4521|1110 01 003]`))
		desk = h.desk(token)
		desk.until("the snapshot", func(f map[string]any) bool { return f["t"] == "snapshot" })
		require.Len(t, desk.seen, open)
		call := desk.seen[draft["id"].(string)]["contacts"].([]any)[0].(map[string]any)
		require.Equal(t, true, call["callbackDue"])

		// Three originals, two repeats; nothing was doubled on the way.
		require.Equal(t, []int{3, 2}, h.notifications())
		desk.close()
		p.conn.Close()
		down()
		h.verifyJournal()
	})
}
