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
	store, pool := startStore(t)

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
	var body []byte
	var kind string
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT body, content_type FROM contacts WHERE kind = 'sms'`).Scan(&body, &kind))
	require.Equal(t, "Пожар, Садовая 5\r\n", string(body), "as it came")
	require.Equal(t, "text/plain;charset=UTF-8", kind)
}

// What made us sure that a caller is gone stands in the card's journal.
func TestACallerThatVanishedStandsInTheJournal(t *testing.T) {
	t.Parallel()
	store, _ := startStore(t)
	gw := startReal(t, store)
	k := dial(t, gw.tcp)
	k.call("127.0.0.1:9")
	require.Eventually(t, func() bool { return gw.logs.FilterMessage("acknowledged").Len() > 0 }, 10*time.Second, time.Millisecond)
	k.reset()
	settled(t, gw)
	cards, _, err := store.OpenCards(t.Context())
	require.NoError(t, err)
	require.Len(t, cards, 1)
	events, err := store.IncidentEvents(t.Context(), cards[0].ID)
	require.NoError(t, err)
	d, err := events[len(events)-1].Details()
	require.NoError(t, err)
	require.Equal(t, "line_lost", d.Reason)
	require.Equal(t, "соединение TCP со звонящим потеряно; на OPTIONS нет ответа / the caller's TCP connection was lost; no answer to OPTIONS", d.Why)
}

func startStore(t *testing.T) (*postgres.Store, *postgres.Pool) {
	pool, err := postgres.Open(t.Context(), pgtest.New(t), postgres.PoolOptions{})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	w := postgres.NewWriter(pool, zaptest.NewLogger(t), postgres.WriterOptions{Wake: postgres.NewWake()})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	return postgres.NewStore(pool, w), pool
}
