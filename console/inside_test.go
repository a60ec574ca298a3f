package console

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/crypto/argon2"

	"nabat/dispatch"
)

// The published vector of RFC 9106 is for secrets and associated data, which the
// library does not offer; what we can check is that our string is one that
// others read: the reference encoding of a known password.
func TestPasswordHashes(t *testing.T) {
	t.Parallel()
	h := HashPassword("пароль пароль")
	require.True(t, CheckPassword(h, "пароль пароль"))
	require.False(t, CheckPassword(h, "пароль паролЬ"))
	require.NotEqual(t, h, HashPassword("пароль пароль"), "salted")
	key := argon2.IDKey([]byte("password"), []byte("somesalt"), 2, 65536, 1, 32)
	require.Equal(t, "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", strings.TrimRight(b64(key), "="))
	require.True(t, CheckPassword("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"),
		"the reference implementation's test vector")
	for _, bad := range []string{
		"", "$", "password", "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA", "$argon2id$v=18$m=8,t=1,p=1$c29tZXNhbHQ$AAAA",
		"$argon2id$v=19$m=99999999,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=8,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$",
	} {
		require.False(t, CheckPassword(bad, ""), bad)
	}
}

// registry counts what a login looks at.
type registry struct {
	Registry
	Credentials
	accounts map[string]Account
}

func (r registry) Account(_ context.Context, login string) (Account, error) {
	if a, ok := r.accounts[login]; ok {
		return a, nil
	}
	return Account{}, dispatch.ErrNotFound
}

// An unknown login, a disabled one and a wrong password take the same way: one
// hash of the same parameters each, and the same answer. (Comparing times would
// only measure the machine.)
func TestUnknownLoginCostsTheSameWork(t *testing.T) {
	t.Parallel()
	m, err := newMetrics(nil)
	require.NoError(t, err)
	h := HashPassword("right right right")
	r := registry{accounts: map[string]Account{"known": {Login: "known", Password: h}, "off": {Login: "off", Password: h, Disabled: true}}}
	a := newAccounts(r, r, time.Now, m)
	params := func(phc string) string { return strings.Join(strings.Split(phc, "$")[:4], "$") }
	require.Equal(t, params(h), params(a.decoy), "the decoy costs what a real hash costs")
	for _, login := range []string{"known", "unknown", "off"} {
		// All slots taken: a way that needs no hash would answer nevertheless.
		for range loginSlots {
			a.slots <- struct{}{}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := a.attempt(ctx, login, "wrong wrong wrong", "10.0.0.1:1")
		require.ErrorIs(t, err, context.Canceled, "%s was answered without hashing", login)
		for range loginSlots {
			<-a.slots
		}
		_, _, err = a.attempt(t.Context(), login, "wrong wrong wrong", "10.0.0.1:1")
		require.ErrorIs(t, err, errDenied)
	}
	// Full: more than a bounded number of logins never wait.
	for range cap(a.waiters) {
		a.waiters <- struct{}{}
	}
	_, _, err = a.attempt(t.Context(), "known", "wrong wrong wrong", "10.0.0.2:1")
	require.ErrorIs(t, err, dispatch.ErrBusy)
}

func TestAttemptTablesAreBounded(t *testing.T) {
	t.Parallel()
	g := newGuesses()
	now := time.Unix(0, 0)
	for i := range maxTracked + 500 {
		g.try(fmt.Sprintf("login%d", i), fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), now)
	}
	for _, b := range []*buckets{g.pairs, g.logins, g.peers} {
		require.Len(t, b.byKey, maxTracked)
		require.Equal(t, maxTracked, b.order.Len())
	}
}

// Many machines guessing one login are held up together; the desk that this
// login came in from is not.
func TestManyPeersGuessingOneLogin(t *testing.T) {
	t.Parallel()
	g := newGuesses()
	now := time.Unix(0, 0)
	require.Zero(t, g.try("ivanova", "desk", now))
	g.right("ivanova", "desk", now)
	passed := 0
	for i := range 100 {
		if g.try("ivanova", fmt.Sprintf("bot%d", i), now) == 0 {
			passed++
		}
	}
	require.Equal(t, loginBurst, passed)
	require.Positive(t, g.try("ivanova", "elsewhere", now))
	require.Zero(t, g.try("ivanova", "desk", now))
	require.Zero(t, g.try("petrov", "elsewhere", now))
	require.Zero(t, g.try("ivanova", "bot7", now.Add(loginRefill)))
}

// slowHouse needs a while to read everything open.
type slowHouse struct{ takes time.Duration }

func (h slowHouse) OpenCards(ctx context.Context) ([]dispatch.Card, int64, error) {
	select {
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	case <-time.After(h.takes):
		return []dispatch.Card{{Incident: dispatch.Incident{ID: dispatch.NewIncidentID(), Number: 7, State: dispatch.Draft}}}, 5, nil
	}
}

func (slowHouse) Events(context.Context, int64, int) ([]dispatch.Event, error) { return nil, nil }

func (slowHouse) IncidentContacts(context.Context, []dispatch.IncidentID) ([]dispatch.Contact, error) {
	return nil, nil
}

// heard is what a console was told, and when.
type heard struct {
	mu     sync.Mutex
	frames []heardFrame
}

type heardFrame struct {
	T         string `json:"t"`
	Stale     bool   `json:"stale"`
	Incidents []struct {
		Number int64 `json:"number"`
	} `json:"incidents"`
	at time.Time
}

func (h *heard) Send(b []byte) {
	f := heardFrame{at: time.Now()}
	if err := json.Unmarshal(b, &f); err != nil {
		panic(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frames = append(h.frames, f)
}

func (h *heard) End(End) {}

// A full board takes longer to read than one turn of the journal may. Consoles
// are told «stale» meanwhile, and get it in the end.
func TestBoardThatTakesLongToLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, err := newMetrics(nil)
		require.NoError(t, err)
		house := slowHouse{takes: 10 * time.Second}
		h := newHub(house, nil, house, nil, zap.NewNop(), m)
		screen := &heard{}
		began := time.Now()
		seat := h.Join(Person{Login: "x", Role: Operator, Expires: began.Add(time.Hour)}, screen)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); h.run(ctx) }()
		time.Sleep(house.takes + 3*time.Second) // virtual
		stop()
		<-done
		seat.Leave()

		boards, early, late := 0, 0, 0
		for _, f := range screen.frames {
			since := f.at.Sub(began)
			switch {
			case f.T == "snapshot":
				boards++
				require.Equal(t, house.takes, since)
				require.Len(t, f.Incidents, 1)
				require.EqualValues(t, 7, f.Incidents[0].Number)
			case f.T == "beat" && since < house.takes:
				early++
				require.True(t, f.Stale, "after %s", since)
			case f.T == "beat" && since > house.takes+beatLook:
				late++
				require.False(t, f.Stale, "after %s", since)
			}
		}
		require.Equal(t, 1, boards)
		require.GreaterOrEqual(t, early, 9)
		require.GreaterOrEqual(t, late, 2)
	})
}

func TestPeers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"10.0.0.1:5": "10.0.0.1", "[::ffff:10.0.0.1]:5": "10.0.0.1", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::]:6": "2001:db8:1:2::/64", "[fe80::1%eth0]:5": "fe80::/64", "pipe": "pipe",
	} {
		require.Equal(t, want, peerOf(in))
	}
}

func TestSelfSignedCertificate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tls")
	now := time.Now()
	hosts := []string{"127.0.0.1", "nabat.local"}
	first, made, err := SelfSigned(dir, hosts, now)
	require.NoError(t, err)
	require.True(t, made)
	info, err := os.Stat(filepath.Join(dir, keyFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	again, made, err := SelfSigned(dir, hosts, now.Add(24*time.Hour))
	require.NoError(t, err)
	require.False(t, made)
	require.Equal(t, first.Certificate, again.Certificate)
	_, made, err = SelfSigned(dir, append(hosts, "10.0.0.7"), now)
	require.NoError(t, err)
	require.True(t, made, "another host needs another certificate")
	_, made, err = SelfSigned(dir, hosts, now.Add(certLife))
	require.NoError(t, err)
	require.True(t, made, "one that ends is made anew")
	require.NoError(t, os.WriteFile(filepath.Join(dir, certFile), []byte("mine"), 0o600))
	_, _, err = SelfSigned(dir, hosts, now)
	require.Error(t, err, "a file that we cannot read is not overwritten")
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
