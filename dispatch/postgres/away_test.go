package postgres_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"nabat/dispatch"
	"nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgtest"
)

// doorway stands before a server. While it recovers everybody is told so, as
// PostgreSQL does after a crash, and who was in is thrown out.
type doorway struct {
	URL    string // through it
	behind string // past it
	target string

	mu         sync.Mutex
	recovering bool
	turnedAway int
	changed    chan struct{} // closed and replaced at each one turned away
	in         map[net.Conn]bool
	valves     []*valve
	breaking   bool // the next answer that goes by is lost with its connection
}

// answers carries what the server says.
type answers struct {
	net.Conn
	of *doorway
}

func (a answers) Write(b []byte) (int, error) {
	a.of.mu.Lock()
	lost := a.of.breaking
	a.of.breaking = false
	a.of.mu.Unlock()
	if lost {
		return 0, io.ErrClosedPipe
	}
	return a.Conn.Write(b)
}

// loseNext loses the next answer of the server.
func (d *doorway) loseNext() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.breaking = true
}

// valve swallows what is written once it is shut.
type valve struct {
	net.Conn
	shut atomic.Bool
}

func (v *valve) Write(b []byte) (int, error) {
	if v.shut.Load() {
		return len(b), nil
	}
	return v.Conn.Write(b)
}

// swallow makes every connection that stands dumb; new ones work.
func (d *doorway) swallow() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.valves {
		v.shut.Store(true)
	}
}

func newDoorway(t *testing.T, database string) *doorway {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &doorway{behind: database, target: u.Host, in: map[net.Conn]bool{}, changed: make(chan struct{})}
	u.Host = ln.Addr().String()
	d.URL = u.String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { d.admit(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		d.recover(true)
		all.Wait()
	})
	return d
}

func (d *doorway) recover(yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recovering = yes
	for c := range d.in {
		if yes {
			c.Close()
		}
	}
}

// refuses waits until so many were turned away; half a minute is forever.
func (d *doorway) refuses(n int) {
	for forever := time.After(30 * time.Second); ; {
		d.mu.Lock()
		enough, changed := d.turnedAway >= n, d.changed
		d.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-changed:
		case <-forever:
			return // the test's own claims tell what went wrong
		}
	}
}

func (d *doorway) admit(c net.Conn) {
	defer c.Close()
	back := pgproto3.NewBackend(c, c)
	hello, err := back.ReceiveStartupMessage()
	if err != nil {
		return
	}
	d.mu.Lock()
	if d.recovering {
		d.turnedAway++
		close(d.changed)
		d.changed = make(chan struct{})
		d.mu.Unlock()
		back.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "the database system is in recovery mode"})
		_ = back.Flush() // whoever has gone need not hear it
		return
	}
	d.in[c] = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.in, c)
		d.mu.Unlock()
	}()
	server, err := net.Dial("tcp", d.target)
	if err != nil {
		return
	}
	defer server.Close()
	front := pgproto3.NewFrontend(server, server)
	front.Send(hello)
	if front.Flush() != nil {
		return
	}
	go func() { _, _ = io.Copy(answers{c, d}, server); c.Close() }() // either end ends both
	v := &valve{Conn: server}
	d.mu.Lock()
	d.valves = append(d.valves, v)
	d.mu.Unlock()
	_, _ = io.Copy(v, c)
}

func behind(t *testing.T) (bench, *doorway, func() error) {
	t.Helper()
	d := newDoorway(t, pgtest.New(t))
	pool, err := postgres.Open(t.Context(), d.URL, postgres.PoolOptions{})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	w := postgres.NewWriter(pool, zaptest.NewLogger(t), postgres.WriterOptions{})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	end := sync.OnceValue(func() error { stop(); return <-done })
	t.Cleanup(func() { require.NoError(t, end()) })
	return bench{pool: pool, w: w, store: postgres.NewStore(pool, w)}, d, end
}

// While PostgreSQL stops, recovers and starts again nobody is refused who has the
// patience: units wait, each is stored once.
func TestUnitsWaitForADatabaseInRecovery(t *testing.T) {
	t.Parallel()
	b, door, _ := behind(t)
	_, _, err := b.store.OpenContact(t.Context(), call("before"))
	require.NoError(t, err)
	door.recover(true)
	const n = 40
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			_, _, err := b.store.OpenContact(t.Context(), call(strconv.Itoa(i)))
			require.NoError(t, err)
		})
	}
	door.refuses(6)
	door.recover(false)
	all.Wait()
	cards, _, err := b.store.OpenCards(t.Context())
	require.NoError(t, err)
	require.Len(t, cards, n+1)
}

// Who has less patience is told at its end, and its unit is not stored later.
func TestAnImpatientUnitIsNotStoredBehindItsBack(t *testing.T) {
	t.Parallel()
	b, door, _ := behind(t)
	door.recover(true)
	ctx, giveUp := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() {
		_, _, err := b.store.OpenContact(ctx, call("a"))
		answered <- err
	}()
	door.refuses(3)
	giveUp()
	require.ErrorIs(t, <-answered, dispatch.ErrBusy)
	door.recover(false)
	_, duplicate, err := b.store.OpenContact(t.Context(), call("a"))
	require.NoError(t, err)
	require.False(t, duplicate)
}

func TestAWriterThatIsToStopWaitsForNoDatabase(t *testing.T) {
	t.Parallel()
	b, door, stop := behind(t)
	door.recover(true)
	answered := make(chan error, 1)
	go func() {
		_, _, err := b.store.OpenContact(t.Context(), call("a"))
		answered <- err
	}()
	door.refuses(3)
	require.NoError(t, stop())
	require.ErrorIs(t, <-answered, dispatch.ErrBusy)
}

func TestReadsWaitForADatabaseInRecovery(t *testing.T) {
	t.Parallel()
	b, door, _ := behind(t)
	door.recover(true)
	read := func(ctx context.Context) (n int, err error) {
		err = postgres.Patiently(ctx, func(ctx context.Context) error {
			return b.pool.QueryRow(ctx, `SELECT 7`).Scan(&n)
		})
		return n, err
	}
	ctx, giveUp := context.WithCancel(t.Context())
	impatient := make(chan error, 1)
	go func() {
		_, err := read(ctx)
		impatient <- err
	}()
	door.refuses(3)
	giveUp()
	require.ErrorIs(t, <-impatient, dispatch.ErrBusy)
	go func() {
		door.refuses(6)
		door.recover(false)
	}()
	n, err := read(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, n)
	_, err = b.pool.Exec(t.Context(), `SELECT 1/0`)
	require.Error(t, err)
	require.False(t, postgres.Away(err))
}

func TestAwayIsWhatComesBack(t *testing.T) {
	t.Parallel()
	for code, away := range map[string]bool{
		"57P01": true, "57P02": true, "57P03": true, "53300": true, "08006": true,
		"57014": false, "57P04": false, "53100": false, "28P01": false, "3D000": false, "23505": false,
	} {
		require.Equal(t, away, postgres.Away(&pgconn.PgError{Code: code}), code)
	}
	for err, away := range map[error]bool{
		io.ErrUnexpectedEOF: true, &net.OpError{Op: "read", Err: errors.New("reset")}: true,
		context.Canceled: false, context.DeadlineExceeded: false, dispatch.ErrNotFound: false,
	} {
		require.Equal(t, away, postgres.Away(err), err)
	}
}

// COMMIT was done, its answer is lost, and the look-up is refused because somebody
// holds the lock that it needs: nothing is known, so nobody hears that it is stored
// and nothing of the batch is run again.
func TestACommitOfWhichNothingIsKnownIsNotRunAgain(t *testing.T) {
	t.Parallel()
	b, door, _ := behind(t)
	direct, err := postgres.Open(t.Context(), door.behind, postgres.PoolOptions{})
	require.NoError(t, err)
	defer direct.Close()
	ct, _, err := b.store.OpenContact(t.Context(), call("card"))
	require.NoError(t, err)

	free := make(chan struct{})
	var holder sync.WaitGroup
	_, err = b.w.Do(t.Context(), postgres.Unit{
		Key: "card", Incident: ct.Incident, Decide: dispatch.AddSignal(dispatch.Signal{
			Notification: dispatch.NewNotificationID(), Account: "1234", Class: "fire", Condition: "alarm", Text: "дым", At: noon,
		}),
		Then: func(ctx context.Context, tx pgx.Tx, _ dispatch.Card) error {
			var loop string
			if err := tx.QueryRow(ctx, `SELECT id::text FROM writers ORDER BY at DESC LIMIT 1`).Scan(&loop); err != nil {
				return err
			}
			// Somebody waits for the loop's row, and has it as soon as the batch is
			// committed: before the look-up.
			holder.Go(func() {
				ctx := context.WithoutCancel(ctx)
				hold, err := direct.Begin(ctx)
				require.NoError(t, err)
				_, err = hold.Exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`)
				require.NoError(t, err)
				_, err = hold.Exec(ctx, `SELECT FROM writers WHERE id = $1 FOR UPDATE`, loop)
				require.NoError(t, err)
				<-free
				require.NoError(t, hold.Rollback(ctx))
			})
			for waiting := false; !waiting; {
				if err := direct.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
					AND wait_event_type = 'Lock' AND query LIKE '%FROM writers%')`).Scan(&waiting); err != nil {
					return err
				}
			}
			door.loseNext()
			return nil
		},
	})
	close(free)
	holder.Wait()
	require.ErrorIs(t, err, dispatch.ErrBusy)
	events, err := b.store.IncidentEvents(t.Context(), ct.Incident)
	require.NoError(t, err)
	require.Len(t, events, 2, "opened, and the signal once")
}
