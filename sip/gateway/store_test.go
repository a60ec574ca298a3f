package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"nabat/dispatch"
	"nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgtest"
)

// The fake house of the other tests must not agree with our bugs: this is the
// way of a call that outlives its process, with the real store.
func TestACallOfADeadRunIsTakenOverInTheDatabase(t *testing.T) {
	needSipp(t)
	t.Parallel()
	pool, err := postgres.Open(t.Context(), pgtest.New(t), postgres.PoolOptions{})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	w := postgres.NewWriter(pool, zaptest.NewLogger(t), postgres.WriterOptions{Wake: postgres.NewWake()})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	store := postgres.NewStore(pool, w)

	// What a run that was killed left behind.
	dead, duplicate, err := store.OpenContact(t.Context(), dispatch.Contact{
		ID: dispatch.NewContactID(), Kind: dispatch.ContactCall, Key: "sip;invite;again@caller;fixed;1",
		Run: dispatch.NewRunID(), Caller: "+78120000002", Called: "112", State: dispatch.ContactRinging, ReceivedAt: moment(),
	})
	require.NoError(t, err)
	require.False(t, duplicate)

	gw := startReal(t, store)
	lost, err := store.LoseLines(t.Context(), gw.cfg.Run, moment())
	require.NoError(t, err)
	require.Len(t, lost, 1)

	sipp(t, gw.udp, "repeated", "-cid_str", "again@caller")
	settled(t, gw)
	c, err := store.Contact(t.Context(), dead.ID)
	require.NoError(t, err)
	require.Equal(t, gw.cfg.Run, c.Run)
	require.Equal(t, dispatch.EndCallerHungUp, c.EndReason)
	require.False(t, c.CallbackDue)
	require.False(t, c.AnsweredAt.IsZero())
	cards, _, err := store.OpenCards(t.Context())
	require.NoError(t, err)
	require.Len(t, cards, 1, "no second card")
	events, err := store.IncidentEvents(t.Context(), dead.Incident)
	require.NoError(t, err)
	var told []string
	for _, e := range events {
		d, err := e.Details()
		require.NoError(t, err)
		told = append(told, string(e.Kind)+" "+d.To)
	}
	require.Equal(t, []string{
		"opened ", "contact_state ended", // line_lost, at the start
		"contact_state ringing", "contact_state answered", "contact_state ended",
	}, told)

	sipp(t, gw.udp, "message")
	require.Eventually(t, func() bool {
		cards, _, err := store.OpenCards(t.Context())
		return err == nil && len(cards) == 2
	}, 10*time.Second, time.Millisecond)
}
