package audit_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"nabat/dispatch"
	"nabat/dispatch/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is a journal and its cards in memory.
type ledger struct {
	mu     sync.Mutex
	events []dispatch.Event
	cards  map[dispatch.IncidentID]dispatch.Card
	signed []string
}

func (l *ledger) LastSigned(context.Context) (int, string, error) {
	if len(l.signed) == 0 {
		return 0, "", nil
	}
	return len(l.signed), l.signed[len(l.signed)-1], nil
}

func (l *ledger) NoteSigned(_ context.Context, number int, _ time.Time, _ int64, sig string) error {
	l.signed = append(l.signed[:number-1], sig)
	return nil
}

func (l *ledger) Events(_ context.Context, after int64, limit int) ([]dispatch.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []dispatch.Event
	for _, e := range l.events {
		if e.Seq > after && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

func (l *ledger) Heads(_ context.Context, each func(dispatch.IncidentID, int, [32]byte) error) error {
	for id, c := range l.cards {
		if err := each(id, c.Version, c.Head); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) change(t *testing.T, id dispatch.IncidentID, d dispatch.Decide) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.cards[id]
	c.ID = id
	c, events, err := d(c)
	require.NoError(t, err)
	for _, e := range events {
		e = e.Seal(c.Version+1, c.Head)
		c.Version, c.Head = e.Version, e.Hash
		e.Seq = int64(len(l.events)+1) * 3 // gaps are legal: rolled-back transactions leave them
		l.events = append(l.events, e)
	}
	l.cards[id] = c
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// filled is a ledger of ten incidents, sealed after the fifth and at the end.
func filled(t *testing.T, dir string) *ledger {
	t.Helper()
	l := &ledger{cards: map[dispatch.IncidentID]dispatch.Card{}}
	heads, err := audit.OpenHeads(dir)
	require.NoError(t, err)
	s := audit.NewSealer(l, l, heads, zaptest.NewLogger(t), time.Hour)
	for i := range 10 {
		id := dispatch.NewIncidentID()
		l.change(t, id, dispatch.OpenFromContact(dispatch.Contact{ID: dispatch.NewContactID(), Kind: dispatch.ContactCall, ReceivedAt: noon}))
		l.change(t, id, dispatch.SaveDraft(dispatch.Form{Place: new("Невский пр., 1")}, "operator:a", noon))
		if i == 4 || i == 9 {
			require.NoError(t, s.Seal(t.Context()))
		}
	}
	return l
}

func verify(t *testing.T, l *ledger, dir string) audit.Report {
	t.Helper()
	h, err := audit.OpenHeads(dir)
	require.NoError(t, err)
	heads, err := h.Read()
	require.NoError(t, err)
	rep, err := audit.Verify(t.Context(), l, l, heads)
	require.NoError(t, err)
	return rep
}

func TestWholeJournalVerifies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rep := verify(t, filled(t, dir), dir)
	require.Empty(t, rep.Broken)
	require.EqualValues(t, 20, rep.Events)
	require.EqualValues(t, 10, rep.Incidents)
	require.Equal(t, 2, rep.Heads)
}

// A house that was set up a minute ago verified as «broken» for its first hour:
// the head at start covers nothing and the next came an hour later.
func TestNewHouseIsSealedSoonAfterItsFirstLine(t *testing.T) {
	dir := t.TempDir()
	l := &ledger{cards: map[dispatch.IncidentID]dispatch.Card{}}
	synctest.Test(t, func(t *testing.T) {
		heads, err := audit.OpenHeads(dir)
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- audit.NewSealer(l, l, heads, zap.NewNop(), time.Hour).Run(ctx) }()
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		l.change(t, dispatch.NewIncidentID(), dispatch.OpenFromContact(dispatch.Contact{ID: dispatch.NewContactID(), Kind: dispatch.ContactCall, ReceivedAt: noon}))
		time.Sleep(time.Minute)
		synctest.Wait()
		rep := verify(t, l, dir)
		require.Empty(t, rep.Broken)
		require.Equal(t, 1, rep.Heads)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		require.Equal(t, 1, verify(t, l, dir).Heads, "no news, no head")
		stop()
		require.NoError(t, <-done)
	})
}

func TestErasedDataKeepTheChain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := filled(t, dir)
	l.events[3].Data = nil
	require.Empty(t, verify(t, l, dir).Broken)
}

func TestEveryTamperingShows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tamper func(l *ledger)
		says   string
	}{
		"a line before the first": {func(l *ledger) {
			e := l.events[6]
			e = dispatch.Event{ID: dispatch.NewEventID(), Incident: e.Incident, Kind: e.Kind, At: e.At, Actor: "forged", Data: e.Data}.
				Seal(e.Version+1, e.Hash)
			e.Seq = -1
			l.events = slices.Insert(l.events, 0, e)
		}, "before the journal's begin"},
		"a changed actor":        {func(l *ledger) { l.events[5].Actor = "operator:b" }, "was altered"},
		"changed data":           {func(l *ledger) { l.events[5].Data = []byte(`{}`) }, "data were altered"},
		"a removed line":         {func(l *ledger) { l.events = slices.Delete(l.events, 4, 5) }, "missing or doubled"},
		"a cut tail":             {func(l *ledger) { l.cut(2) }, "lines were removed"},
		"a removed incident":     {func(l *ledger) { l.remove(l.events[6].Incident) }, "lines were removed"},
		"a removed card":         {func(l *ledger) { delete(l.cards, l.events[6].Incident) }, "card is gone"},
		"a card put back":        {func(l *ledger) { c := l.cards[l.events[6].Incident]; c.Version--; l.cards[c.ID] = c }, "goes on to version 2"},
		"a card ahead":           {func(l *ledger) { c := l.cards[l.events[6].Incident]; c.Version++; l.cards[c.ID] = c }, "ends at version 2"},
		"a card with other head": {func(l *ledger) { c := l.cards[l.events[6].Incident]; c.Head[0]++; l.cards[c.ID] = c }, "head is not"},
		"a card without a line":  {func(l *ledger) { id := dispatch.NewIncidentID(); l.cards[id] = dispatch.Card{} }, "no line"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := filled(t, dir)
			c.tamper(l)
			rep := verify(t, l, dir)
			require.NotEmpty(t, rep.Broken)
			var all string
			for _, b := range rep.Broken {
				all += b.String() + "\n"
			}
			require.Contains(t, all, c.says)
		})
	}
}

// cut removes the last n lines and the cards' memory of them, as somebody would
// who owns the database.
func (l *ledger) cut(n int) {
	for _, e := range l.events[len(l.events)-n:] {
		delete(l.cards, e.Incident)
	}
	l.events = l.events[:len(l.events)-n]
}

func (l *ledger) remove(id dispatch.IncidentID) {
	delete(l.cards, id)
	l.events = slices.DeleteFunc(l.events, func(e dispatch.Event) bool { return e.Incident == id })
}

func TestForgedHeadIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	filled(t, dir)
	path := filepath.Join(dir, "heads.jsonl")
	body, err := os.ReadFile(path)
	require.NoError(t, err)
	forged := []byte(string(body[:20]) + "9" + string(body[21:]))
	require.NoError(t, os.WriteFile(path, forged, 0o600))
	h, err := audit.OpenHeads(dir)
	require.NoError(t, err)
	_, err = h.Read()
	require.Error(t, err)
}

func TestTornLastLineIsLeftOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := filled(t, dir)
	f, err := os.OpenFile(filepath.Join(dir, "heads.jsonl"), os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(`{"at":"2026-`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Empty(t, verify(t, l, dir).Broken)

	// The next head is written after what is whole.
	l.change(t, l.events[0].Incident, dispatch.SaveDraft(dispatch.Form{Place: new("Садовая ул., 2")}, "operator:a", noon))
	h, err := audit.OpenHeads(dir)
	require.NoError(t, err)
	require.NoError(t, audit.NewSealer(l, l, h, zaptest.NewLogger(t), time.Hour).Seal(t.Context()))
	rep := verify(t, l, dir)
	require.Empty(t, rep.Broken)
	require.Equal(t, 3, rep.Heads)
}

// Heads that were cut off, taken away or replaced show against the database's
// memory, and nothing is signed over the hole.
func TestMissingHeadsShowAndAreNotSignedOver(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(path string) error{
		"cut":      func(path string) error { return os.Truncate(path, 0) },
		"one less": cutLastLine,
		"removed":  os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := filled(t, dir)
			require.NoError(t, harm(filepath.Join(dir, "heads.jsonl")))
			h, err := audit.OpenHeads(dir)
			require.NoError(t, err)
			heads, err := h.Read()
			require.NoError(t, err)
			require.ErrorIs(t, audit.CheckMemory(t.Context(), heads, l), audit.ErrHeadsGone)
			require.ErrorIs(t, audit.NewSealer(l, l, h, zaptest.NewLogger(t), time.Hour).Seal(t.Context()), audit.ErrHeadsGone)
		})
	}
}

func cutLastLine(path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	end := bytes.LastIndexByte(bytes.TrimSuffix(body, []byte("\n")), '\n') + 1
	return os.Truncate(path, int64(end))
}
