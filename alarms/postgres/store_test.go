package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"nabat/alarms"
	"nabat/alarms/dc09"
	"nabat/alarms/listen"
	"nabat/alarms/postgres"
	"nabat/dispatch"
	journal "nabat/dispatch/postgres"
)

// From a raw frame on a socket to the rows: the reply leaves only after the
// notification, the card, the assignment and the events are committed together.
func TestAFrameIsAcknowledgedAfterItsCommit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- listen.New(h, zap.NewNop(), nil, listen.Options{}).TCP(ctx, ln) }()
	defer func() { stop(); require.NoError(t, <-done) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer conn.Close()

	// Nobody can commit a card while this lock is held.
	lock, err := h.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), `LOCK TABLE incidents IN EXCLUSIVE MODE`)
	require.NoError(t, err)
	_, err = conn.Write(cid("1001", "1111 01 001"))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	_, err = conn.Read(make([]byte, 1))
	require.ErrorContains(t, err, "timeout", "acknowledged before the commit")
	require.Zero(t, one[int](h, `SELECT count(*) FROM notifications`))
	require.NoError(t, lock.Rollback(t.Context()))

	want := string(dc09.AppendFrame(nil, []byte(`"ACK"0001L0#1001[]`), dc09.CRCHex))
	got := make([]byte, len(want))
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))

	require.Equal(t, 1, one[int](h, `
		SELECT count(*) FROM notifications n
		  JOIN incidents i ON i.id = n.incident_id
		  JOIN assignments a ON a.incident_id = i.id
		  JOIN panels p ON p.id = n.panel_id
		  JOIN facilities f ON f.id = n.facility_id AND f.id = i.facility_id
		 WHERE n.account = '1001' AND n.protocol = 'ADM-CID' AND n.class = 'fire' AND n.condition = 'alarm' AND n.code = '1111'
		   AND n.area = '01' AND n.zone = '001' AND n.user_no = '' AND n.seq = '0001' AND NOT n.duplicate AND n.peer <> ''
		   AND n.raw = $1 AND n.occurred_at IS NULL
		   AND i.state = 'dispatched' AND i.type = 'fire' AND i.class = 'fire' AND f.code = 'SCH-1' AND a.service = 'fire'
		   AND a.why = 'класс fire'`, cid("1001", "1111 01 001")))
	require.Equal(t, 3, one[int](h, `SELECT count(*) FROM events`))
	require.Equal(t, "Дымовой извещатель, зона 001 (Столовая), раздел 01", one[string](h, `SELECT description FROM incidents`))
}

func TestARestartForgetsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, alarms.Stored, h.send("1001", "1110 01 001"))
	require.Equal(t, alarms.Stored, h.send("9999", "1120 01 001"))
	require.Equal(t, alarms.Stored, h.send("1001", "1301 00 000"))
	h.restart()
	for range 2 {
		require.Equal(t, alarms.Stored, h.send("1001", "1110 01 001"))
		require.Equal(t, alarms.Stored, h.send("1001", "1301 00 000"))
	}
	require.Equal(t, 3, one[int](h, `SELECT count(*) FROM notifications WHERE NOT duplicate`))
	require.Equal(t, 4, one[int](h, `SELECT count(*) FROM notifications WHERE duplicate`))
	require.Equal(t, alarms.Stored, h.send("1001", "1110 01 002"))
	require.Equal(t, alarms.Stored, h.send("9999", "1120 01 002"))
	require.Equal(t, alarms.Stored, h.send("1001", "3110 01 001"))
	require.Equal(t, 2, one[int](h, `SELECT count(*) FROM incidents`), "joined the cards of before")
	require.Equal(t, 1, one[int](h, `SELECT count(*) FROM incidents WHERE state = 'draft' AND unknown_facility`))
	require.Equal(t, 3, one[int](h, `SELECT count(*) FROM events WHERE kind = 'signal'`))
}

// lossy commits and says that it does not know.
type lossy struct {
	postgres.Writer
	mu   sync.Mutex
	lose bool
}

func (l *lossy) Do(ctx context.Context, u journal.Unit) (dispatch.Card, error) {
	card, err := l.Writer.Do(ctx, u)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.lose {
		return card, errors.New("connection reset")
	}
	return card, err
}

func TestALostAnswerToACommitDoublesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := journal.NewWriter(h.pool, zap.NewNop(), journal.WriterOptions{})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-done) }()
	l := &lossy{Writer: w, lose: true}
	h.store = postgres.NewStore(h.pool, l)
	h.restart()
	for _, event := range []string{"1110 01 001", "1301 00 000"} {
		require.Equal(t, alarms.Fault, h.send("1001", event))
	}
	l.mu.Lock()
	l.lose = false
	l.mu.Unlock()
	for _, event := range []string{"1110 01 001", "1301 00 000"} {
		require.Equal(t, alarms.Stored, h.send("1001", event))
	}
	require.Equal(t, 2, one[int](h, `SELECT count(*) FROM notifications WHERE NOT duplicate`))
	require.Equal(t, 2, one[int](h, `SELECT count(*) FROM notifications WHERE duplicate`))
	require.Equal(t, 1, one[int](h, `SELECT count(*) FROM incidents`))
	require.Equal(t, 1, one[int](h, `SELECT count(DISTINCT incident_id) FROM notifications WHERE class = 'fire'`))
}

// Many panels at once: every acknowledged signal is there once, every facility
// has one card.
func TestManyPanelsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const n = 60
	require.NoError(t, h.store.Upsert(t.Context(), schools(n), time.Now()))
	h.restart()
	var all sync.WaitGroup
	for i := 1; i <= n; i++ {
		account := fmt.Sprintf("%04d", 1000+i)
		for zone := range 3 {
			all.Go(func() {
				for range 2 {
					if v := h.send(account, fmt.Sprintf("1110 01 %03d", zone)); v != alarms.Stored {
						t.Errorf("%s: %s", account, v)
					}
				}
			})
		}
	}
	all.Wait()
	require.Equal(t, 3*n, one[int](h, `SELECT count(*) FROM notifications WHERE NOT duplicate`))
	require.Equal(t, 3*n, one[int](h, `SELECT count(*) FROM notifications WHERE duplicate`))
	require.Equal(t, n, one[int](h, `SELECT count(*) FROM incidents`))
	require.Equal(t, n, one[int](h, `SELECT count(DISTINCT facility_id) FROM incidents`))
}

func TestLastSeen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	panels, err := h.store.Panels(t.Context())
	require.NoError(t, err)
	at := time.Now().UTC().Truncate(time.Microsecond)
	require.NoError(t, h.store.SaveSeen(t.Context(), map[dispatch.PanelID]time.Time{panels[0].ID: at, panels[1].ID: at}))
	require.NoError(t, h.store.SaveSeen(t.Context(), map[dispatch.PanelID]time.Time{panels[0].ID: at.Add(-time.Hour)}))
	require.Equal(t, 2, one[int](h, `SELECT count(*) FROM panels WHERE last_seen_at = $1`, at))
	require.Equal(t, 1, one[int](h, `SELECT count(*) FROM panels WHERE last_seen_at IS NULL`))
}

func TestUpsertKeepsIdsAndTakesNewValues(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	before, err := h.store.Panels(t.Context())
	require.NoError(t, err)
	require.Len(t, before, 3)
	next := schools(4)
	next[0].Facility.Name = "Гимназия № 1"
	next[0].Zones = []alarms.Zone{{Area: "01", Number: "001", Kind: alarms.ClassGas, Place: "Кухня"}}
	require.NoError(t, h.store.Upsert(t.Context(), next, time.Now()))
	after, err := h.store.Panels(t.Context())
	require.NoError(t, err)
	require.Len(t, after, 4)
	for _, p := range before {
		for _, q := range after {
			if q.Account == p.Account {
				require.Equal(t, p.ID, q.ID)
				require.Equal(t, p.Facility.ID, q.Facility.ID)
				if p.Account != "1001" {
					require.Equal(t, p, q)
					continue
				}
				require.Equal(t, "Гимназия № 1", q.Facility.Name)
				require.Equal(t, next[0].Zones, q.Zones)
				require.Equal(t, 90*time.Second, q.Heartbeat)
			}
		}
	}
	bad := schools(5)
	bad[4].Facility.Category = "palace"
	bad[0].Facility.Name = "never"
	require.Error(t, h.store.Upsert(t.Context(), bad, time.Now()))
	require.Equal(t, 4, one[int](h, `SELECT count(*) FROM facilities WHERE name <> 'never'`), "all or nothing")
}

// Strangers beyond the bound gather in one draft, which a restart finds again.
func TestStrangersGatherOverARestart(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range alarms.MaxStrangers + 5 {
		if n == alarms.MaxStrangers+2 {
			h.restart()
		}
		require.Equal(t, alarms.Stored, h.send(fmt.Sprintf("F%05d", n), "1110 01 007"))
	}
	require.Equal(t, alarms.MaxStrangers+1, one[int](h, `SELECT count(*) FROM incidents WHERE state = 'draft'`))
	require.Equal(t, 5, one[int](h, `SELECT count(*) FROM notifications n JOIN incidents i ON i.id = n.incident_id WHERE i.class = ''`))
	require.Contains(t, one[string](h, `SELECT description FROM incidents WHERE class = ''`), "ещё 5 ")
	id := one[dispatch.IncidentID](h, `UPDATE incidents SET state = 'cancelled', closed_at = now() WHERE class = 'fire' AND id =
		(SELECT id FROM incidents WHERE class = 'fire' ORDER BY opened_at, id LIMIT 1) RETURNING id`)
	drafts, err := h.store.Drafts(t.Context(), []dispatch.IncidentID{id, one[dispatch.IncidentID](h, `SELECT id FROM incidents WHERE class = ''`)})
	require.NoError(t, err)
	require.Len(t, drafts, 1)
}

// A panel that repeats its datagram before it is answered, from the same port and
// from another (a NAT forgets), makes one notification and one card, and every
// datagram is acknowledged.
func TestDatagramsRepeatedInFlight(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- listen.New(h.Receiver, zap.NewNop(), nil, listen.Options{}).UDP(ctx, pc) }()
	octets := cid("1001", "1110 01 001")
	var panels []net.Conn
	for range 3 {
		c, err := net.Dial("udp", pc.LocalAddr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		panels = append(panels, c)
	}
	for range 2 {
		for _, c := range panels {
			_, err := c.Write(octets)
			require.NoError(t, err)
		}
	}
	b := make([]byte, 100)
	for range 2 {
		for _, c := range panels {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
			n, err := c.Read(b)
			require.NoError(t, err)
			require.Contains(t, string(b[:n]), `"ACK"0001`)
		}
	}
	stop()
	require.NoError(t, <-done)
	require.Equal(t, 1, one[int](h, `SELECT count(*) FROM notifications WHERE NOT duplicate`))
	require.Equal(t, 5, one[int](h, `SELECT count(*) FROM notifications WHERE duplicate`))
	require.Equal(t, 1, one[int](h, `SELECT count(*) FROM incidents`))
}
