package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"nabat/dispatch"
	"nabat/dispatch/audit"
	"nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgtest"
)

// bench is a store on a database of its own, with its writer running.
type bench struct {
	pool  *pgxpool.Pool
	w     *postgres.Writer
	store *postgres.Store
	owner string // URL of the schema's owner
}

func setUp(t *testing.T) bench {
	t.Helper()
	url := pgtest.New(t)
	pool, err := postgres.Open(t.Context(), url, postgres.PoolOptions{})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	w := postgres.NewWriter(pool, zaptest.NewLogger(t), postgres.WriterOptions{Wake: postgres.NewWake()})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	return bench{pool, w, postgres.NewStore(pool, w), pgtest.Owner(t, url)}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func call(key string) dispatch.Contact {
	return dispatch.Contact{
		ID: dispatch.NewContactID(), Kind: dispatch.ContactCall, Key: key, Run: dispatch.NewRunID(),
		Caller: "+79210000001", Called: "112", State: dispatch.ContactRinging, ReceivedAt: noon,
	}
}

type router []dispatch.Service

func (r router) Decide(dispatch.Facts) dispatch.Decision {
	d := dispatch.Decision{Ruleset: 7}
	for _, s := range r {
		d.Choices = append(d.Choices, dispatch.Choice{Service: s, Rule: "test", Why: "потому что проверка", WhyEN: "because it is a test"})
	}
	return d
}

func TestContactOpensOneCardHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	first, dup, err := b.store.OpenContact(t.Context(), call("a"))
	require.NoError(t, err)
	require.False(t, dup)
	again, dup, err := b.store.OpenContact(t.Context(), call("a"))
	require.NoError(t, err)
	require.True(t, dup)
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, first.Incident, again.Incident)

	cards, seq, err := b.store.OpenCards(t.Context())
	require.NoError(t, err)
	require.Len(t, cards, 1)
	require.Equal(t, int64(1), seq)
	require.Equal(t, dispatch.Draft, cards[0].State)
	require.Equal(t, first.Incident, cards[0].ID)
	require.Positive(t, cards[0].Number)
}

// A card written and read back is the same card: nothing is lost on the way.
func TestCardSurvivesTheDatabaseWhole(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	lat, lon := 59.93, 30.31
	id := dispatch.NewIncidentID()
	site := dispatch.Site{
		Facility: dispatch.NewFacilityID(), Code: "school-1", Name: "Школа № 1", Category: "education",
		Place: "Невский пр., 1", District: "Центральный", Lat: &lat, Lon: &lon,
	}
	sig := dispatch.Signal{Notification: dispatch.NewNotificationID(), Account: "1234", Class: "fire", Condition: "alarm", Zone: "001", At: noon}
	written, err := b.w.Do(t.Context(), postgres.Unit{
		Key: "school-1", Incident: id, New: true,
		Decide: dispatch.OpenFromAlarm(sig, dispatch.TypeFire, "Пожар", site, router{dispatch.Fire, dispatch.Medical}),
	})
	require.NoError(t, err)
	read, err := b.store.Card(t.Context(), id)
	require.NoError(t, err)
	require.ElementsMatch(t, written.Assignments, read.Assignments)
	written.Assignments, read.Assignments = nil, nil
	require.Equal(t, written, read)
	require.Equal(t, dispatch.Dispatched, read.State)

	events, err := b.store.IncidentEvents(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, events, 4) // opened, registered, two assigned
	require.Equal(t, read.Head, events[3].Hash)
	require.NoError(t, audit.CheckChain(events))
}

// Two hundred intakes at once, a tenth of them bad in different ways: each bad
// one fails alone.
func TestOneBadItemNeverFailsItsNeighbours(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	boom := errors.New("refused by the domain")
	var wg sync.WaitGroup
	errs := make([]error, 200)
	for i := range errs {
		wg.Go(func() {
			id := dispatch.NewIncidentID()
			u := postgres.Unit{Key: strconv.Itoa(i), Incident: id, New: true, Decide: dispatch.OpenFromContact(call(strconv.Itoa(i)))}
			switch i % 20 {
			case 3: // the database refuses it
				u.Then = func(ctx context.Context, tx pgx.Tx, _ dispatch.Card) error {
					_, err := tx.Exec(ctx, `INSERT INTO leases (name) VALUES ('x')`)
					return err
				}
			case 5: // its own writing refuses
				u.Then = func(context.Context, pgx.Tx, dispatch.Card) error { return boom }
			case 7: // its decision refuses
				u.Decide = func(c dispatch.Card) (dispatch.Card, []dispatch.Event, error) { return c, nil, boom }
			case 11: // its decision panics
				u.Decide = func(dispatch.Card) (dispatch.Card, []dispatch.Event, error) { panic("bug") }
			}
			_, errs[i] = b.w.Do(t.Context(), u)
		})
	}
	wg.Wait()
	bad := 0
	for i, err := range errs {
		switch i % 20 {
		case 5, 7:
			require.ErrorIs(t, err, boom, i)
			bad++
		case 3, 11:
			require.Error(t, err, i)
			bad++
		default:
			require.NoError(t, err, i)
		}
	}
	cards, _, err := b.store.OpenCards(t.Context())
	require.NoError(t, err)
	require.Len(t, cards, len(errs)-bad)
}

// Many changes of one card at once never lose one, and the chain holds.
func TestConcurrentChangesOfOneCard(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ct, _, err := b.store.OpenContact(t.Context(), call("k"))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			f := dispatch.Form{Description: new(fmt.Sprintf("строка %d", i))}
			_, err := b.w.Do(t.Context(), postgres.Unit{
				Key:      strconv.Itoa(i), // different loops: the row lock must hold
				Incident: ct.Incident, Decide: dispatch.SaveDraft(f, "operator:test", noon),
			})
			require.NoError(t, err)
		})
	}
	wg.Wait()
	events, err := b.store.IncidentEvents(t.Context(), ct.Incident)
	require.NoError(t, err)
	require.Len(t, events, 101)
	require.NoError(t, audit.CheckChain(events))
}

// A reader that follows by «seq greater than mine» sees every line although
// writers commit side by side.
func TestTailMissesNothing(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	const n = 400
	seen := make(chan []int64, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		var seqs []int64
		var at int64
		for len(seqs) < n && ctx.Err() == nil {
			events, err := b.store.Events(ctx, at, 50)
			if err != nil {
				break
			}
			for _, e := range events {
				at = e.Seq
				seqs = append(seqs, e.Seq)
			}
		}
		seen <- seqs
	}()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, _, err := b.store.OpenContact(t.Context(), call(strconv.Itoa(i)))
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.Len(t, <-seen, n)
}

// A transaction that is slow after it wrote events holds later ones back, so no
// reader can pass it.
func TestSlowTransactionIsNotOvertaken(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	inside, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
			zero := make([]byte, 32)
			_, err := tx.Exec(t.Context(), `
				INSERT INTO events (id, incident_id, version, at, actor, kind, data, data_sha, prev_hash, hash)
				VALUES (gen_random_uuid(), gen_random_uuid(), 1, now(), 'test', 'opened', '{}', $1, $1, $1)`, zero)
			close(inside)
			<-goOn
			return err
		})
	}()
	<-inside
	fast := make(chan error, 1)
	go func() {
		_, _, err := b.store.OpenContact(t.Context(), call("fast"))
		fast <- err
	}()
	// The fast one is at the lock; nothing may be visible yet.
	require.Eventually(t, func() bool {
		var waiting int
		err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&waiting)
		return err == nil && waiting == 1
	}, 30*time.Second, 5*time.Millisecond)
	events, err := b.store.Events(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, events)
	close(goOn)
	require.NoError(t, <-done)
	require.NoError(t, <-fast)
	events, err = b.store.Events(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, dispatch.Actor("test"), events[0].Actor)
}

// The connection dies between COMMIT and its answer: the caller learns the truth.
func TestLostAnswerToCommitIsLookedUp(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	for i := range 20 {
		key := strconv.Itoa(i)
		kill := func(ctx context.Context, tx pgx.Tx, _ dispatch.Card) error {
			var pid int
			if err := tx.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
				return err
			}
			go b.pool.Exec(context.WithoutCancel(ctx), `SELECT pg_terminate_backend($1)`, pid) // best effort
			return nil
		}
		c := call(key)
		c.Incident = dispatch.NewIncidentID()
		_, err := b.w.Do(t.Context(), postgres.Unit{Key: key, Contact: &c, Incident: c.Incident, New: true, Decide: dispatch.OpenFromContact(c), Then: kill})
		_, found := b.store.Contact(t.Context(), c.ID)
		if err == nil {
			require.NoError(t, found, "acknowledged but not stored")
		} else {
			require.ErrorIs(t, found, dispatch.ErrNotFound, "refused but stored: %v", err)
		}
	}
}

// A database that was restarted while nobody had anything to store costs nobody
// an answer: the connections that died with it are noticed and replaced.
func TestAConnectionThatDiedIdleCostsNobodyAnAnswer(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	open := func(key string) error {
		c := call(key)
		c.Incident = dispatch.NewIncidentID()
		_, err := b.w.Do(t.Context(), postgres.Unit{Key: key, Contact: &c, Incident: c.Incident, New: true, Decide: dispatch.OpenFromContact(c)})
		return err
	}
	const keys = 16 // for both loops
	for i := range keys {
		require.NoError(t, open("before"+strconv.Itoa(i)))
	}
	_, err := b.pool.Exec(t.Context(), `
		SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
		 WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	require.NoError(t, err)
	for i := range keys {
		require.NoError(t, open("after"+strconv.Itoa(i)))
	}
}

func TestJournalIsAppendOnly(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, _, err := b.store.OpenContact(t.Context(), call("a"))
	require.NoError(t, err)
	owner, err := postgres.Open(t.Context(), b.owner, postgres.PoolOptions{})
	require.NoError(t, err)
	defer owner.Close()
	for _, sql := range []string{
		`UPDATE events SET actor = 'x'`, `DELETE FROM events`, `TRUNCATE events`, `TRUNCATE events CASCADE`,
	} {
		_, err := owner.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "append-only", sql)
		_, err = b.pool.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "permission denied", sql)
	}
}

func TestDeadRunsContactsBecomeLostLines(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ct, _, err := b.store.OpenContact(t.Context(), call("a"))
	require.NoError(t, err)
	mine := call("b")
	_, _, err = b.store.OpenContact(t.Context(), mine)
	require.NoError(t, err)

	lost, err := b.store.LoseLines(t.Context(), mine.Run, noon.Add(time.Minute))
	require.NoError(t, err)
	require.Len(t, lost, 1)
	require.Equal(t, ct.ID, lost[0].ID)
	stored, err := b.store.Contact(t.Context(), ct.ID)
	require.NoError(t, err)
	require.Equal(t, dispatch.EndLineLost, stored.EndReason)
	require.True(t, stored.CallbackDue)
	again, err := b.store.LoseLines(t.Context(), mine.Run, noon)
	require.NoError(t, err)
	require.Empty(t, again)
}

func TestLeaseHasOneHolder(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	log := zaptest.NewLogger(t)
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	one := postgres.NewLease(b.pool, log, "relay", dispatch.NewRunID(), time.Minute)
	two := postgres.NewLease(b.pool, log, "relay", dispatch.NewRunID(), 300*time.Millisecond)
	firstCtx, stopFirst := context.WithCancel(ctx)
	wg.Go(func() {
		require.NoError(t, one.Run(firstCtx, func(ctx context.Context) error { close(first); <-ctx.Done(); return nil }))
	})
	<-first
	wg.Go(func() {
		require.NoError(t, two.Run(ctx, func(ctx context.Context) error { close(second); <-ctx.Done(); return nil }))
	})
	select {
	case <-second:
		t.Fatal("two holders")
	case <-time.After(700 * time.Millisecond): // two asked several times by now
	}
	stopFirst() // gives the lease back
	<-second
	cancel()
	wg.Wait()
}

// A run that was killed gave nothing back, and nobody else can be there.
func TestLeaseOfADeadRunIsInherited(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, err := b.pool.Exec(t.Context(), `INSERT INTO leases (name, holder, until) VALUES ('relay', $1, now() + interval '1 day')`, dispatch.NewRunID())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := postgres.NewLease(b.pool, zaptest.NewLogger(t), "relay", dispatch.NewRunID(), time.Minute)
	require.NoError(t, l.Inherit(ctx))
	held := false
	require.NoError(t, l.Run(ctx, func(context.Context) error { held = true; cancel(); return nil }))
	require.True(t, held)
}
