package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"nabat/dispatch"
	"nabat/dispatch/postgres"
)

func (b bench) run(t *testing.T, log *zap.Logger) (*postgres.Runs, dispatch.RunID) {
	t.Helper()
	id := dispatch.NewRunID()
	r := postgres.NewRuns(b.pool, b.store, log, postgres.RunsOptions{ID: id, Node: "test", Clock: func() time.Time { return noon }})
	require.NoError(t, r.Announce(t.Context()))
	return r, id
}

// look is a heartbeat and a look for the dead.
func look(t *testing.T, r *postgres.Runs) {
	t.Helper()
	require.NoError(t, r.Beat(t.Context()))
	require.NoError(t, r.Look(t.Context()))
}

// silent makes a run look as if it had been heard last so long ago.
func (b bench) silent(t *testing.T, id dispatch.RunID, d time.Duration) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), `UPDATE runs SET seen_at = clock_timestamp() - make_interval(secs => $2) WHERE id = $1`, id, d.Seconds())
	require.NoError(t, err)
}

// watching makes a run look as if it had been heard without a gap for so long.
func (b bench) watching(t *testing.T, id dispatch.RunID, d time.Duration) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), `UPDATE runs SET heard_since = clock_timestamp() - make_interval(secs => $2) WHERE id = $1`, id, d.Seconds())
	require.NoError(t, err)
}

func (b bench) callOf(t *testing.T, key string, run dispatch.RunID) dispatch.ContactID {
	t.Helper()
	c := call(key)
	c.Run = run
	stored, _, err := b.store.OpenContact(t.Context(), c)
	require.NoError(t, err)
	return stored.ID
}

func (b bench) contact(t *testing.T, id dispatch.ContactID) dispatch.Contact {
	t.Helper()
	c, err := b.store.Contact(t.Context(), id)
	require.NoError(t, err)
	return c
}

func TestASecondNodeLeavesTheCallsOfTheFirstAlone(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, one := b.run(t, zap.NewNop())
	id := b.callOf(t, "a", one)
	second, two := b.run(t, zap.NewNop())
	b.watching(t, two, time.Hour)
	require.NoError(t, second.Sweep(t.Context()))
	look(t, second)
	require.Equal(t, dispatch.ContactRinging, b.contact(t, id).State)

	// It dies, and within the term the caller is to be called back.
	b.silent(t, one, postgres.RunTerm-time.Second)
	look(t, second)
	require.Equal(t, dispatch.ContactRinging, b.contact(t, id).State, "not yet")
	b.silent(t, one, postgres.RunTerm+time.Second)
	look(t, second)
	c := b.contact(t, id)
	require.Equal(t, dispatch.EndLineLost, c.EndReason)
	require.True(t, c.CallbackDue)

	// It lived after all: it says so, and judges nobody before it has listened.
	log, said := observer.New(zap.ErrorLevel)
	first := postgres.NewRuns(b.pool, b.store, zap.New(log), postgres.RunsOptions{ID: one, Node: "test"})
	b.silent(t, two, postgres.RunTerm+time.Second)
	look(t, first)
	require.Equal(t, 1, said.FilterMessageSnippet("DECLARED DEAD").Len())
	look(t, first)
	require.Equal(t, 1, said.Len(), "said once")
	later := b.callOf(t, "b", one)
	look(t, second)
	require.Equal(t, dispatch.ContactRinging, b.contact(t, later).State)
}

// After a pause of the database everybody has been silent: whoever is back first
// must not end the others.
func TestAPauseOfTheDatabaseKillsNobody(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, one := b.run(t, zap.NewNop())
	id := b.callOf(t, "a", one)
	second, two := b.run(t, zap.NewNop())
	b.watching(t, two, time.Hour)
	b.silent(t, one, time.Hour)
	b.silent(t, two, time.Hour)
	require.NoError(t, second.Look(t.Context()), "before its own first heartbeat")
	look(t, second)
	look(t, second)
	require.Equal(t, dispatch.ContactRinging, b.contact(t, id).State)
}

// A connection on which nothing comes any more, while the database is well, makes
// nobody take a living node for dead.
func TestAConnectionThatWentDumbKillsNobody(t *testing.T) {
	t.Parallel()
	const term = 12 * time.Second
	b, door, _ := behind(t)
	one := dispatch.NewRunID()
	first := postgres.NewRuns(b.pool, b.store, zap.NewNop(), postgres.RunsOptions{ID: one, Node: "a", Term: term})
	require.NoError(t, first.Announce(t.Context()))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- first.Run(ctx) }()
	direct, err := postgres.Open(t.Context(), door.behind, postgres.PoolOptions{})
	require.NoError(t, err)
	defer direct.Close()
	beats := func() (at time.Time) {
		require.NoError(t, direct.QueryRow(t.Context(), `SELECT seen_at FROM runs WHERE id = $1 AND ended_at IS NULL`, one).Scan(&at))
		return at
	}
	announced := beats()
	require.Eventually(t, func() bool { return beats().After(announced) }, term, 10*time.Millisecond)
	door.swallow()
	last := beats()
	require.Eventually(t, func() bool { return beats().After(last) }, term, 10*time.Millisecond,
		"heard again before anybody could take it for dead")
	stop()
	door.recover(true) // what hangs on the dumb connections is let go
	require.NoError(t, <-done)
}

func TestARunThatEndedInOrderIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	first, one := b.run(t, zap.NewNop())
	id := b.callOf(t, "a", one)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, first.Run(ctx))
	second, _ := b.run(t, zap.NewNop())
	look(t, second)
	require.True(t, b.contact(t, id).CallbackDue)
}

func TestNobodyElseCanBeThere(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, one := b.run(t, zap.NewNop())
	id := b.callOf(t, "a", one)
	second, two := b.run(t, zap.NewNop())
	mine := b.callOf(t, "b", two)
	require.NoError(t, second.Inherit(t.Context()))
	require.NoError(t, second.Sweep(t.Context()))
	require.True(t, b.contact(t, id).CallbackDue)
	require.Equal(t, dispatch.ContactRinging, b.contact(t, mine).State)
}

// A caller that rings again while the call is being taken for lost keeps its line.
func TestACallThatMovedOnIsNotLost(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	id := b.callOf(t, "a", dispatch.NewRunID())
	c := b.contact(t, id)
	p := dispatch.Progress{ID: id, Incident: c.Incident, State: dispatch.ContactEnded, At: noon, Reason: dispatch.EndLineLost, CallbackDue: true}
	_, err := b.w.Do(t.Context(), postgres.Unit{
		Key: "x", Progress: &p, Incident: c.Incident, Decide: dispatch.NoteProgress(p, dispatch.System),
		Still: func(dispatch.Contact) bool { return false },
	})
	require.ErrorIs(t, err, dispatch.ErrUnchanged)
	require.Equal(t, dispatch.ContactRinging, b.contact(t, id).State)
	events, err := b.store.IncidentEvents(t.Context(), c.Incident)
	require.NoError(t, err)
	require.Len(t, events, 1)
}

// A sender that lost the answer says the same again.
func TestTheSameProgressTwiceIsOneEvent(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	id := b.callOf(t, "a", dispatch.NewRunID())
	c := b.contact(t, id)
	answered := dispatch.Progress{ID: id, Incident: c.Incident, State: dispatch.ContactAnswered, At: noon.Add(time.Second)}
	ended := dispatch.Progress{ID: id, Incident: c.Incident, State: dispatch.ContactEnded, At: noon.Add(time.Minute), Reason: dispatch.EndCallerHungUp}
	for _, p := range []dispatch.Progress{answered, answered, ended, ended} {
		require.NoError(t, b.store.Progress(t.Context(), p, dispatch.System))
	}
	_, err := b.w.Do(t.Context(), postgres.Unit{Key: "x", Progress: &ended, Incident: c.Incident, Decide: dispatch.NoteProgress(ended, dispatch.System)})
	require.ErrorIs(t, err, dispatch.ErrUnchanged)
	events, err := b.store.IncidentEvents(t.Context(), c.Incident)
	require.NoError(t, err)
	require.Len(t, events, 3, "opened, answered, ended")
	after := b.contact(t, id)
	require.Equal(t, c.After(answered).After(ended), after)
}
