package crash

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nabat/alarms"
	alarmsdb "nabat/alarms/postgres"
	"nabat/console"
	consoledb "nabat/console/postgres"
	"nabat/dispatch/postgres"
)

var (
	kills    = flag.Int("kills", number0("NABAT_TEST_KILLS", 20), "how often TestKill kills the engine (NABAT_TEST_KILLS)")
	seed     = flag.Uint64("seed", uint64(number0("NABAT_TEST_SEED", 0)), "what the moments and the load are drawn from (NABAT_TEST_SEED); 0: a new one")
	ready    = flag.String("nabat", os.Getenv("NABAT_TEST_BINARY"), "a built engine (NABAT_TEST_BINARY); empty: build one")
	settings = flag.String("unsafe-settings", "", "have TestKill run on a database with these settings: it should fail")
)

// forgetful confirms a commit up to ten seconds before it writes it.
const forgetful = "synchronous_commit=off;wal_writer_delay=10s;wal_writer_flush_after=1GB"

func number0(env string, other int) int {
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil {
		return n
	}
	return other
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	if code == 0 {
		err := goleak.Find(
			goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
			goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).triggerHealthCheck.func1"),
		)
		if err != nil {
			fmt.Fprintln(os.Stderr, "crash:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func theSeed(t *testing.T) uint64 {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64N(1e9) + 1
	}
	t.Logf("seed %d", s)
	return s
}

const (
	calmPace  = 150 * time.Millisecond
	burst     = 250 * time.Millisecond // how long before a kill everybody hurries
	firstAck  = 30 * time.Second
	calmLimit = 45 * time.Second // an INVITE that nobody answers takes 32 s
)

// settle starts the first engine of a house and gives it its panels and people;
// later ones find them: the registry is read at a start.
func settle(t *testing.T, h *house, c crew) {
	t.Helper()
	e := h.launch()
	require.NoError(t, e.listening())
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	require.NoError(t, e.serving(ctx), h.tail())
	pool, err := postgres.Open(ctx, e.run.Postgres, postgres.PoolOptions{MaxConns: 2, Name: "crash"})
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, alarmsdb.NewStore(pool, nil).Upsert(ctx, registry(c), time.Now()))
	for _, s := range c.seats {
		s.token, err = console.CreateToken(ctx, consoledb.New(pool, nil), s.name, s.role, 0, time.Now())
		require.NoError(t, err)
	}
	pool.Close()
	require.NoError(t, h.stop())
}

// registry gives each panel that is no stranger a facility of its own.
func registry(c crew) []alarms.Panel {
	var out []alarms.Panel
	for worker := range c.panels {
		for n := range accounts {
			a := account(worker, n, false)
			out = append(out, alarms.Panel{Account: a, Facility: alarms.Facility{
				Code: "K-" + a, Name: "Школа № " + a, Category: "education", Address: "ул. Пробная, " + a, District: "Центральный",
			}})
		}
	}
	return out
}

// TestKill is the proof.
func TestKill(t *testing.T) {
	s := theSeed(t)
	h := newHouse(t, *settings)
	c := crew{panels: 30, strangers: 2, phones: 6, gateways: 4, seats: staff()}
	settle(t, h, c)

	o := newOutside(t)
	defer o.end()
	o.pace.Store(int64(calmPace))
	o.begin(s, c)
	r := &rounds{t: t, h: h, o: o, rng: rand.New(rand.NewPCG(s, 0)), began: time.Now()}
	l := r.start()
	every := 25
	for n := 1; n <= *kills; n++ {
		l = r.round(n, l)
		if n%10 == 0 {
			r.say(fmt.Sprintf("%4d kills", n))
		}
		if n%every == 0 && n < *kills {
			r.verify(l)
		}
	}
	if l == nil {
		l = r.start()
	}
	r.verify(l)
	o.end()
	require.NoError(t, h.stop(), "the engine stops in good order after all this")
	ctx, cancel := context.WithTimeout(t.Context(), checkLimit)
	defer cancel()
	out, err := h.command(ctx, "audit", "verify")
	require.NoError(t, err, out)
	r.table()
}

// rounds counts what TestKill does.
type rounds struct {
	t     *testing.T
	h     *house
	o     *outside
	rng   *rand.Rand
	began time.Time

	alone, both, starting int
	ups                   []time.Duration
	seen                  counts
}

// start brings an engine up and the outside to it.
func (r *rounds) start() *life {
	r.t.Helper()
	e := r.h.launch()
	require.NoError(r.t, e.listening())
	r.ups = append(r.ups, e.up)
	l, err := r.o.meet(e)
	require.NoError(r.t, err)
	return l
}

// round kills the engine at a random moment and starts it again. l is nil when
// the engine that runs has not been met, because the one before it was to be
// killed on its way up.
func (r *rounds) round(n int, l *life) *life {
	r.t.Helper()
	r.sound()
	both := n%2 == 0
	switch kind := r.rng.IntN(10); {
	case kind == 0:
		// On its way up, wherever it then is.
		r.strike(both)
		e := r.h.launch()
		select {
		case <-e.done:
			require.NoError(r.t, fmt.Errorf("the engine ended while starting: %w\n%s", e.err, r.h.tail()))
		case <-time.After(time.Duration(r.rng.Int64N(int64(1500 * time.Millisecond)))):
		}
		r.starting++
		r.h.kill(r.rng.IntN(2) == 0)
		return r.start()
	case kind <= 3:
		// While the services are being told.
		r.expect(l, func() bool { return l.heard.Load() > 0 })
		r.pause(300 * time.Millisecond)
	case kind <= 6:
		// While people give commands.
		r.expect(l, func() bool { return l.done.Load() > 0 })
		r.pause(500 * time.Millisecond)
	default:
		// From the first acknowledgement on.
		r.expect(l, func() bool { return l.acks.Load() > 0 })
		r.pause(1500 * time.Millisecond)
	}
	r.strike(both)
	return r.start()
}

// sound ends the test as soon as anybody outside has complained.
func (r *rounds) sound() {
	r.t.Helper()
	if r.t.Failed() {
		require.FailNow(r.t, "somebody outside complained", r.h.tail())
	}
}

// expect waits for something that the running engine must come to.
func (r *rounds) expect(l *life, ok func() bool) {
	r.t.Helper()
	require.NoError(r.t, until(firstAck, func() (bool, error) {
		select {
		case <-r.h.live.done:
			return false, fmt.Errorf("the engine ended by itself: %w", r.h.live.err)
		default:
			return ok(), nil
		}
	}), "life %d: acknowledged %d, records heard %d, commands done %d\n%s", l.n, l.acks.Load(), l.heard.Load(), l.done.Load(), r.h.tail())
}

// pause lets the engine work for a random while.
func (r *rounds) pause(most time.Duration) {
	wait(r.t.Context(), time.Duration(r.rng.Int64N(int64(most))))
}

// strike has everybody hurry, and kills in the middle of it.
func (r *rounds) strike(both bool) {
	r.o.pace.Store(0)
	r.pause(burst)
	r.h.kill(both)
	r.o.pace.Store(int64(calmPace))
	r.o.bury()
	if both {
		r.both++
	} else {
		r.alone++
	}
}

// verify lets everybody finish and holds the house against the ledger.
func (r *rounds) verify(l *life) {
	r.t.Helper()
	var f findings
	var err error
	began := time.Now()
	r.sound()
	require.NoError(r.t, r.o.calm(calmLimit, r.h.live.done, func() {
		f, r.seen, err = r.o.check(r.t.Context(), r.h, l, everything()...)
	}), r.h.tail())
	require.NoError(r.t, err)
	require.Empty(r.t, f, "%s\n%s", f, r.h.tail())
	r.say(fmt.Sprintf("  checked in %s", time.Since(began).Round(time.Millisecond)))
}

func (r *rounds) say(what string) {
	t := r.o.ledger.totals()
	r.t.Logf("%s after %s: signals %d, calls %d, texts %d, commands %d, acknowledged %d, repeats %d, replies %d; up in %s",
		what, time.Since(r.began).Round(time.Second), t.signals, t.calls, t.texts, t.orders, t.acked, t.repeats, t.replies, median(r.ups))
}

func (r *rounds) table() {
	t, c := r.o.ledger.totals(), r.seen
	r.t.Logf(`
kills of the engine alone            %8d
kills of engine and PostgreSQL       %8d
… and on the way up besides          %8d
time                                 %8s   from start to listeners: median %s, worst %s
signals / calls / texts sent         %8d / %d / %d
commands given / done / sent again   %8d / %d / %d
acknowledged                         %8d   lost: 0
sent again                           %8d
originals / repeats stored           %8d / %d   doubled: 0
repeats after the window             %8d
contacts / of them lost lines        %8d / %d
cards                                %8d
events of the journal                %8d   chains and signed heads verified
records on Kafka / there again       %8d / %d   missing: 0
replies sent / applied / too late    %8d / %d / %d
events by kind                       %s`,
		r.alone, r.both, r.starting, time.Since(r.began).Round(time.Second), median(r.ups), slices.Max(r.ups).Round(time.Millisecond),
		t.signals, t.calls, t.texts, c.orders, c.done, c.resent, t.acked, t.repeats, c.originals, c.duplicates, c.late, c.contacts, c.lines,
		c.incidents, c.events, c.records, c.again, t.replies, c.replies, c.tooLate, c.byKind())
}

func median(ds []time.Duration) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	s := slices.Clone(ds)
	slices.Sort(s)
	return s[len(s)/2].Round(time.Millisecond)
}

// TestForgetfulDatabaseIsFound is the proof of the proof.
func TestForgetfulDatabaseIsFound(t *testing.T) {
	s := theSeed(t)
	h := newHouse(t, forgetful)
	c := crew{panels: 32}
	settle(t, h, c)

	o := newOutside(t)
	defer o.end()
	o.begin(s, c)
	rng := rand.New(rand.NewPCG(s, 1))
	const tries = 12
	for n := 1; n <= tries; n++ {
		e := h.launch()
		require.NoError(t, e.listening())
		l, err := o.meet(e)
		require.NoError(t, err)
		select {
		case <-l.first:
		case <-e.done:
			require.Fail(t, "the engine ended by itself", h.tail())
		case <-time.After(firstAck):
			require.Fail(t, "nothing is acknowledged", h.tail())
		}
		if n > 1 {
			var f findings
			var seen counts
			require.NoError(t, o.calm(calmLimit, e.done, func() { f, seen, err = o.check(t.Context(), h, l, (*check).signals) }), h.tail())
			require.NoError(t, err)
			if len(f[lost]) > 0 {
				t.Logf("found after %d double kills, %d originals stored: %s", n-1, seen.originals, f)
				return
			}
		}
		wait(t.Context(), 200*time.Millisecond+time.Duration(rng.Int64N(int64(time.Second))))
		h.kill(true)
		o.bury()
	}
	require.Failf(t, "a database that forgets was not found out", "after %d double kills", tries)
}
