package engine_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"nabat/routing/kafka"
)

// look reads the database behind the engine's back.
func (h *house) look(do func(ctx context.Context, db *pgx.Conn)) {
	ctx := h.t.Context()
	db, err := pgx.Connect(ctx, h.url)
	require.NoError(h.t, err)
	defer db.Close(ctx)
	do(ctx, db)
}

// count asks for one number.
func (h *house) count(sql string, args ...any) (n int) {
	h.look(func(ctx context.Context, db *pgx.Conn) { require.NoError(h.t, db.QueryRow(ctx, sql, args...).Scan(&n)) })
	return n
}

// stored is a card in a few words.
type stored struct {
	State                    string
	Version                  int
	Type, Place, Description string
	Assignments, Contacts    []string
}

// cards are the open ones, as a service (empty: everybody) may see them.
func (h *house) cards(service string) map[string]stored {
	out := map[string]stored{}
	h.look(func(ctx context.Context, db *pgx.Conn) {
		rows, err := db.Query(ctx, `
			SELECT id::text, state, version, type, place, description,
			       (SELECT array_agg(service || ' ' || state || ' ' || CASE WHEN $1 IN ('', service) THEN order_number ELSE '' END ORDER BY added_at, id)
			          FROM assignments WHERE incident_id = i.id),
			       (SELECT array_agg(kind || ' ' || state || ' ' || end_reason || CASE WHEN callback_due THEN ' call back' ELSE '' END ORDER BY received_at, id)
			          FROM contacts WHERE incident_id = i.id AND $1 = '')
			  FROM incidents i
			 WHERE state NOT IN ('closed', 'cancelled')
			   AND ($1 = '' OR EXISTS (SELECT FROM assignments WHERE incident_id = i.id AND service = $1))`, service)
		require.NoError(h.t, err)
		var id string
		var c stored
		_, err = pgx.ForEachRow(rows, []any{&id, &c.State, &c.Version, &c.Type, &c.Place, &c.Description, &c.Assignments, &c.Contacts},
			func() error { out[id] = c; return nil })
		require.NoError(h.t, err)
	})
	return out
}

// line is one line of the journal.
type line struct {
	ID, Incident string
	Version      int
	Kind         string
	Hash         []byte
	services     []string // that must hear of it
}

// journal reads all of it and computes the chains anew, by the description of
// what a hash covers and not by the engine's own function.
func (h *house) journal() (lines []line) {
	heads, versions := map[string][]byte{}, map[string]int{}
	h.look(func(ctx context.Context, db *pgx.Conn) {
		rows, err := db.Query(ctx, `SELECT id, incident_id, version, at, actor, kind, data, data_sha, prev_hash, hash FROM events ORDER BY seq`)
		require.NoError(h.t, err)
		var id, incident [16]byte
		var at time.Time
		var actor, data string
		var sha, prev []byte
		var l line
		_, err = pgx.ForEachRow(rows, []any{&id, &incident, &l.Version, &at, &actor, &l.Kind, &data, &sha, &prev, &l.Hash}, func() error {
			l.ID, l.Incident = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]),
				fmt.Sprintf("%x-%x-%x-%x-%x", incident[:4], incident[4:6], incident[6:8], incident[8:10], incident[10:])
			head := heads[l.Incident]
			if head == nil {
				head = make([]byte, 32)
			}
			of := sha256.Sum256([]byte(data))
			require.Equal(h.t, of[:], sha, "%s: the data's own hash", l.Kind)
			require.Equal(h.t, head, prev, "%s: the chain", l.Kind)
			require.Equal(h.t, versions[l.Incident]+1, l.Version)
			sum := sha256.New()
			sum.Write(prev)
			sum.Write(incident[:])
			sum.Write(id[:])
			var n [8]byte
			for _, v := range []int64{int64(l.Version), at.UnixMicro()} {
				binary.BigEndian.PutUint64(n[:], uint64(v)) //nolint:gosec // as the journal writes it
				sum.Write(n[:])
			}
			for _, s := range []string{actor, l.Kind} {
				binary.BigEndian.PutUint64(n[:], uint64(len(s)))
				sum.Write(n[:])
				sum.Write([]byte(s))
			}
			sum.Write(sha)
			require.Equal(h.t, sum.Sum(nil), l.Hash, "%s: the hash covers every column", l.Kind)
			heads[l.Incident], versions[l.Incident] = l.Hash, l.Version
			l.services = hearers(h, l.Kind, data)
			lines = append(lines, l)
			return nil
		})
		require.NoError(h.t, err)
	})
	return lines
}

// hearers are the services whose topics a line must be on.
func hearers(h *house, kind, data string) []string {
	var d struct {
		Service string
		Card    *struct{ Services []string }
	}
	require.NoError(h.t, json.Unmarshal([]byte(data), &d))
	switch kind {
	case "assigned":
		return []string{d.Service}
	case "edited", "signal", "cancelled", "closed", "reopened":
		if d.Card != nil {
			return d.Card.Services
		}
	}
	return nil
}

// topics reads every topic from its beginning and holds it against the journal:
// every line is there for whom it concerns, in the order of its incident, for
// nobody else; what is there twice is the same to the byte. It returns how many
// records were there again.
func (h *house) topics() (again int) {
	names := []string{"nabat.journal", "nabat.deadletter"}
	for _, s := range []string{"police", "fire", "gas", "medical"} {
		names = append(names, "nabat.incidents."+s)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(h.broker.ListenAddrs()...), kgo.Dialer(h.net.DialContext),
		kgo.ConsumeTopics(names...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(h.t, err)
	defer c.Close()
	type key struct{ topic, id string }
	found := map[key]string{}
	order := map[string][]string{} // event ids by topic and incident
	// Whatever is on its way has arrived when for some seconds nothing comes: the
	// longest pause of the relay is five.
	for {
		ctx, cancel := context.WithTimeout(h.t.Context(), 8*time.Second)
		fetches := c.PollFetches(ctx)
		quiet := ctx.Err() != nil
		cancel()
		fetches.EachRecord(func(k *kgo.Record) {
			var r record
			require.NoError(h.t, json.Unmarshal(k.Value, &r))
			require.NotEqual(h.t, "nabat.deadletter", k.Topic, string(k.Value))
			require.Equal(h.t, r.Subject, string(k.Key))
			if before, twice := found[key{k.Topic, r.ID}]; twice {
				require.Equal(h.t, before, string(k.Value), "one event in two wordings")
				again++
				return
			}
			found[key{k.Topic, r.ID}] = string(k.Value)
			order[k.Topic+" "+r.Subject] = append(order[k.Topic+" "+r.Subject], r.ID)
		})
		if quiet {
			break
		}
	}
	want := map[string][]string{}
	for _, l := range h.journal() {
		on := []string{"nabat.journal"}
		for _, s := range l.services {
			on = append(on, "nabat.incidents."+s)
		}
		for _, topic := range on {
			want[topic+" "+l.Incident] = append(want[topic+" "+l.Incident], l.ID)
			var r record
			text := found[key{topic, l.ID}]
			require.NotEmpty(h.t, text, "%s of %s is not on %s", l.Kind, l.Incident, topic)
			require.NoError(h.t, json.Unmarshal([]byte(text), &r))
			require.Equal(h.t, l.Kind, r.Data["kind"])
			require.InDelta(h.t, l.Version, r.Data["version"], 0)
			if topic == "nabat.journal" {
				require.Equal(h.t, fmt.Sprintf("%x", l.Hash), r.Data["hash"])
			} else {
				require.NotContains(h.t, text, "orderNumber", "a service reads nobody's order numbers")
			}
		}
	}
	require.Equal(h.t, want, order, "the order within each incident, and nothing else")
	return again
}

// records counts what is on a topic.
func (h *house) records(topic string) (n int) {
	for p := range int32(kafka.Partitions) {
		n += int(h.broker.PartitionInfo(topic, p).HighWatermark)
	}
	return n
}

// kinds are the kinds of an incident's lines, in order.
func (h *house) kinds(incident any) (out []string) {
	for _, l := range h.journal() {
		if l.Incident == incident {
			out = append(out, l.Kind)
		}
	}
	return out
}

func (h *house) has(incident any, kind string) int {
	n := 0
	for _, k := range h.kinds(incident) {
		if k == kind {
			n++
		}
	}
	return n
}
