package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"nabat/dispatch"
	store "nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgtest"
	"nabat/routing"
	"nabat/routing/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The store is what package routing asks for.
var (
	_ routing.Cursors = (*postgres.Store)(nil)
	_ routing.Cards   = (*postgres.Store)(nil)
	_ routing.Taker   = (*postgres.Store)(nil)
	_ routing.Journal = (*store.Store)(nil)
	_ routing.Wake    = (*store.Wake)(nil)
)

type bench struct {
	pool  *pgxpool.Pool
	w     *store.Writer
	cards *store.Store
	s     *postgres.Store
}

func setUp(t *testing.T) bench {
	t.Helper()
	pool, err := store.Open(t.Context(), pgtest.New(t), store.PoolOptions{})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	w := store.NewWriter(pool, zaptest.NewLogger(t), store.WriterOptions{Wake: store.NewWake()})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	cards := store.NewStore(pool, w)
	return bench{pool, w, cards, postgres.NewStore(pool, cards)}
}

// alarm opens a card that is assigned to the services.
func (b bench) alarm(t *testing.T, services ...dispatch.Service) dispatch.IncidentID {
	t.Helper()
	rules := "rules:\n  - {name: all, when: 'true', services: [" + join(services) + "], why: проверка}\n" +
		"otherwise: {name: rest, services: [police], why: прочее}\n"
	set, err := routing.Compile("test", []byte(rules), routing.DefaultVocabulary())
	require.NoError(t, err)
	id := dispatch.NewIncidentID()
	_, err = b.w.Do(t.Context(), store.Unit{Key: id.String(), Incident: id, New: true, Decide: dispatch.OpenFromAlarm(
		dispatch.Signal{Account: "1234", Class: "fire", Condition: "alarm", At: time.Now()}, dispatch.TypeFire, "пожар",
		dispatch.Site{Facility: dispatch.NewFacilityID(), Code: "1", Name: "Школа", Category: "education", Place: "там"},
		set,
	)})
	require.NoError(t, err)
	return id
}

func join(services []dispatch.Service) string {
	out := make([]string, len(services))
	for i, s := range services {
		out[i] = string(s)
	}
	return strings.Join(out, ", ")
}

func says(s dispatch.Service, status dispatch.AssignmentState) dispatch.Decide {
	return dispatch.TakeReply(dispatch.Reply{Service: s, To: status, By: dispatch.Actor("service:" + s), At: time.Now()})
}

func replyTo(id dispatch.IncidentID, reply string) routing.Reply {
	return routing.Reply{ID: reply, Source: "/dds", Incident: id}
}

func TestPositionsNeverGoBack(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	at := func(topic string) int64 {
		seq, err := b.s.Load(t.Context(), topic)
		require.NoError(t, err)
		return seq
	}
	require.Zero(t, at("nabat.journal"))
	for _, step := range []struct{ save, want int64 }{{5, 5}, {9, 9}, {7, 9}, {9, 9}, {10, 10}} {
		require.NoError(t, b.s.Save(t.Context(), "nabat.journal", step.save))
		require.Equal(t, step.want, at("nabat.journal"))
	}
	require.Zero(t, at("nabat.incidents.fire"), "each topic has its own")
}

func TestReplyIsTakenOnce(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	id := b.alarm(t, dispatch.Fire, dispatch.Medical)
	take := func(s dispatch.Service, reply string, to dispatch.AssignmentState) error {
		return b.s.TakeReply(t.Context(), s, replyTo(id, reply), says(s, to))
	}
	require.NoError(t, take(dispatch.Fire, "1", dispatch.Accepted))
	require.ErrorIs(t, take(dispatch.Fire, "1", dispatch.Accepted), dispatch.ErrDuplicate)
	require.ErrorIs(t, take(dispatch.Fire, "1", dispatch.Arrived), dispatch.ErrDuplicate, "the id decides")
	require.NoError(t, take(dispatch.Medical, "1", dispatch.Accepted), "another service has its own ids")

	// One that changes nothing is noted, so that it stays without effect.
	require.ErrorIs(t, take(dispatch.Fire, "2", dispatch.Received), dispatch.ErrUnchanged)
	require.ErrorIs(t, take(dispatch.Fire, "2", dispatch.Received), dispatch.ErrDuplicate)

	require.NoError(t, take(dispatch.Fire, "3", dispatch.Completed))
	require.ErrorIs(t, take(dispatch.Fire, "1", dispatch.Accepted), dispatch.ErrDuplicate, "no transition error for a repeat")
	var impossible *dispatch.TransitionError
	require.ErrorAs(t, take(dispatch.Fire, "4", dispatch.Accepted), &impossible)
	require.ErrorAs(t, take(dispatch.Fire, "4", dispatch.Accepted), &impossible, "what was refused leaves no note")
	require.ErrorIs(t, take(dispatch.Police, "1", dispatch.Accepted), dispatch.ErrNotFound)
	require.ErrorIs(t, b.s.TakeReply(t.Context(), dispatch.Fire, replyTo(dispatch.NewIncidentID(), "5"),
		says(dispatch.Fire, dispatch.Accepted)), dispatch.ErrNotFound)

	card, err := b.cards.Card(t.Context(), id)
	require.NoError(t, err)
	fire, _ := card.Assignment(dispatch.Fire)
	require.Equal(t, dispatch.Completed, fire.State)
	events, err := b.cards.IncidentEvents(t.Context(), id)
	require.NoError(t, err)
	moves := 0
	for _, e := range events {
		if e.Actor == "service:fire" {
			moves++
		}
	}
	require.Equal(t, 2, moves)
}

// An id belongs to its source and to one incident of it.
func TestReplyIDOfAnotherIncident(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	first, second := b.alarm(t, dispatch.Fire), b.alarm(t, dispatch.Fire)
	take := func(r routing.Reply, to dispatch.AssignmentState) error {
		return b.s.TakeReply(t.Context(), dispatch.Fire, r, says(dispatch.Fire, to))
	}
	require.NoError(t, take(replyTo(first, "f1"), dispatch.Accepted))
	var field *dispatch.FieldError
	require.ErrorAs(t, take(replyTo(second, "f1"), dispatch.Accepted), &field)
	require.Equal(t, "id", field.Field)
	require.Contains(t, field.Reason, first.String())
	require.ErrorIs(t, take(replyTo(first, "f1"), dispatch.Accepted), dispatch.ErrDuplicate)
	card, err := b.cards.Card(t.Context(), second)
	require.NoError(t, err)
	fire, _ := card.Assignment(dispatch.Fire)
	require.NotEqual(t, dispatch.Accepted, fire.State)

	// Another source has its own ids, and the longest is no trouble to the key.
	other := replyTo(second, "f1")
	for i := range routing.MaxReplySource {
		other.Source += string(rune(0x10000 + i*7919%0xf0000))
	}
	require.NoError(t, take(other, dispatch.Accepted))
	require.ErrorIs(t, take(other, dispatch.Accepted), dispatch.ErrDuplicate)
}

// Of two incidents that take one id in the same moment one has it, and the
// other is told so.
func TestSameIDForTwoIncidentsAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	const ids = 12
	var wg sync.WaitGroup
	errs := make([][2]error, ids)
	for i := range ids {
		for j := range 2 {
			id := b.alarm(t, dispatch.Fire)
			wg.Go(func() {
				for { // as Replies does: whatever is not final is tried again
					err := b.s.TakeReply(t.Context(), dispatch.Fire, replyTo(id, fmt.Sprint(i)), says(dispatch.Fire, dispatch.Accepted))
					var field *dispatch.FieldError
					if errs[i][j] = err; err == nil || errors.As(err, &field) || t.Context().Err() != nil {
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for i := range ids {
		won, lost := errs[i][0], errs[i][1]
		if won != nil {
			won, lost = lost, won
		}
		var field *dispatch.FieldError
		require.NoError(t, won)
		require.ErrorAs(t, lost, &field)
	}
}

// Two nodes take the same reply in the same moment, among many others: one of
// them does, and no neighbour in the group commit suffers.
func TestSameReplyAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	const cards, tries = 12, 4
	var wg sync.WaitGroup
	errs := make([][tries]error, cards)
	for i := range cards {
		id := b.alarm(t, dispatch.Fire)
		for j := range tries {
			wg.Go(func() {
				errs[i][j] = b.s.TakeReply(t.Context(), dispatch.Fire, replyTo(id, fmt.Sprint(i)), says(dispatch.Fire, dispatch.Accepted))
			})
		}
	}
	wg.Wait()
	for i := range cards {
		taken := 0
		for _, err := range errs[i] {
			if err == nil {
				taken++
				continue
			}
			require.ErrorIs(t, err, dispatch.ErrDuplicate)
		}
		require.Equal(t, 1, taken)
	}
}

// What a table can never hold is the reply's fault, not the database's.
func TestUnstorableReply(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	id := b.alarm(t, dispatch.Fire)
	d := dispatch.TakeReply(dispatch.Reply{
		Service: dispatch.Fire, To: dispatch.Accepted, OrderNumber: "a\x00b", By: "service:fire", At: time.Now(),
	})
	var field *dispatch.FieldError
	require.ErrorAs(t, b.s.TakeReply(t.Context(), dispatch.Fire, replyTo(id, "1"), d), &field)
	require.NoError(t, b.s.TakeReply(t.Context(), dispatch.Fire, replyTo(id, "1"), says(dispatch.Fire, dispatch.Accepted)))
}

func TestChangeMarksPublished(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	id := b.alarm(t, dispatch.Fire)
	require.NoError(t, b.s.Change(t.Context(), id, dispatch.MarkPublished(dispatch.Fire, time.Now())))
	require.ErrorIs(t, b.s.Change(t.Context(), id, dispatch.MarkPublished(dispatch.Fire, time.Now())), dispatch.ErrUnchanged)
	require.ErrorIs(t, b.s.Change(t.Context(), dispatch.NewIncidentID(), dispatch.MarkPublished(dispatch.Fire, time.Now())),
		dispatch.ErrNotFound)
}
