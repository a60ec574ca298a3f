package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/datadir"
	journal "nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgserver"
	"nabat/dispatch/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// configured is a configuration that touches no default port.
func configured(t *testing.T, args ...string) config.Config {
	t.Helper()
	var c config.Config
	app, err := kong.New(&c, config.Help(config.LangEnglish))
	require.NoError(t, err)
	_, err = app.Parse(append([]string{
		"--data", t.TempDir(), "--sip-udp", ":0", "--sip-tcp", ":0", "--alarms-udp", ":0", "--alarms-tcp", ":0",
		"--console-address", ":0", "--ops-address", ":0", "--postgres-port", "0", "--kafka-port", "0",
	}, args...))
	require.NoError(t, err)
	return c
}

func about(all []Finding, what string) []Finding {
	var out []Finding
	for _, f := range all {
		if f.About == what {
			out = append(out, f)
		}
	}
	return out
}

func TestEverythingIsExplainedInBothLanguages(t *testing.T) {
	t.Parallel()
	all := Examine(t.Context(), Patient{Config: configured(t), Postgres: pgtest.New(t)})
	for _, what := range []string{"files", "disk", "clock", "sip.udp", "console.address", "postgres", "kafka", "certificate"} {
		require.NotEmpty(t, about(all, what), what)
	}
	for _, f := range all {
		require.NotEmpty(t, f.RU)
		require.NotEmpty(t, f.EN)
		require.NotEqual(t, f.RU, f.EN)
	}
}

func TestATakenPortIsAFault(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	c := configured(t, "--console-address", ln.Addr().String(), "--sip-udp", pc.LocalAddr().String(), "--sip-tcp", "off")
	all := ports(t.Context(), Patient{Config: c})
	require.Equal(t, Fault, about(all, "console.address")[0].Level)
	require.Contains(t, about(all, "console.address")[0].EN, "address already in use")
	require.Equal(t, Fault, about(all, "sip.udp")[0].Level)
	require.Empty(t, about(all, "sip.tcp"), "a listener that is off needs no port")
	require.Equal(t, Fine, about(all, "alarms.tcp")[0].Level)

	all = ports(t.Context(), Patient{Config: c, Running: &datadir.Run{PID: 7}})
	require.Len(t, all, 1)
	require.Equal(t, Fine, all[0].Level)
}

// The test server runs without fsync: exactly what must be found.
func TestAForgetfulDatabaseIsAFault(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	all := postgres(t.Context(), Patient{Postgres: url, Now: time.Now})
	require.Equal(t, Fault, Worst(all))
	require.Contains(t, all[1].RU, "synchronous_commit=off")

	good := pgserver.Facts{Version: "15.1", Major: 15, Encoding: "UTF8", FSync: "on", FullPageWrites: "on", SynchronousCommit: "on", Clock: time.Unix(100, 0)}
	require.Equal(t, Fine, Worst(database(good, time.Unix(101, 0))))
	require.Equal(t, Warning, Worst(database(good, time.Unix(110, 0))))
	good.Superuser = true
	require.Equal(t, Warning, Worst(database(good, time.Unix(100, 0))))
	good.Major = 14
	require.Equal(t, Fault, Worst(database(good, time.Unix(100, 0))))
}

func TestOneRoleForBothAndStrayNotifications(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	require.Equal(t, Fine, Worst(schema(t.Context(), url)))
	all := schema(t.Context(), pgtest.Owner(t, url))
	require.Equal(t, Warning, Worst(all))
	require.Contains(t, all[0].EN, "--postgres-migrate-url")

	pool, err := journal.Open(t.Context(), url, journal.PoolOptions{})
	require.NoError(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), `INSERT INTO notifications (id, received_at, account, protocol, class, condition, code, area, zone, user_no, text, raw,
		peer, seq, duplicate, dedup_key, why) VALUES (gen_random_uuid(), '2031-05-06', '1', 'dc09', 'fire', 'alarm', '', '', '', '', '', '', '', '', false, '', '')`)
	require.NoError(t, err)
	all = schema(t.Context(), url)
	require.Equal(t, Warning, Worst(all))
	require.Contains(t, all[0].EN, "1 notifications lie in the default partition, from 2031-05-06")
}

func TestDatabaseThatCannotBeReachedAndThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	require.Equal(t, Fault, Worst(postgres(t.Context(), Patient{PostgresErr: errors.New("no such host")})))
	require.Equal(t, Fault, Worst(postgres(t.Context(), Patient{Postgres: "postgres://x@127.0.0.1:1/x", Now: time.Now})))
	require.Equal(t, Fine, Worst(postgres(t.Context(), Patient{})))
}

type fakeBrokers struct {
	ru, en []string
	err    error
}

func (f fakeBrokers) Check(context.Context) ([]string, []string, error) { return f.ru, f.en, f.err }

func TestBrokers(t *testing.T) {
	t.Parallel()
	require.Equal(t, Fine, Worst(brokers(t.Context(), Patient{})))
	require.Equal(t, Fine, Worst(brokers(t.Context(), Patient{Brokers: fakeBrokers{}})))
	require.Equal(t, Warning, Worst(brokers(t.Context(), Patient{Brokers: fakeBrokers{ru: []string{"одна копия"}, en: []string{"one copy"}}})))
	require.Equal(t, Fault, Worst(brokers(t.Context(), Patient{Brokers: fakeBrokers{err: errors.New("refused")}})))
}

func TestClock(t *testing.T) {
	t.Parallel()
	require.Equal(t, Fine, clockFinding(unix.TIME_OK, unix.Timex{Maxerror: 5000}, nil).Level)
	require.Equal(t, Warning, clockFinding(unix.TIME_OK, unix.Timex{Maxerror: 2e6}, nil).Level)
	require.Equal(t, Warning, clockFinding(unix.TIME_ERROR, unix.Timex{}, nil).Level)
	require.Equal(t, Warning, clockFinding(unix.TIME_OK, unix.Timex{Status: unix.STA_UNSYNC}, nil).Level)
	require.Equal(t, Warning, clockFinding(0, unix.Timex{}, errors.New("forbidden")).Level)
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		from, until time.Duration
		want        Level
	}{
		{-time.Hour, 90 * 24 * time.Hour, Fine},
		{-time.Hour, 24 * time.Hour, Warning},
		{-2 * time.Hour, -time.Hour, Fault},
		{time.Hour, 90 * 24 * time.Hour, Fault},
	} {
		cert, key := makeCert(t, at.Add(c.from), at.Add(c.until))
		p := Patient{Config: configured(t, "--console-cert", cert, "--console-key", key), Now: func() time.Time { return at }}
		require.Equal(t, c.want, Worst(certificate(t.Context(), p)), c)
	}
	now := func() time.Time { return at }
	require.Equal(t, Fine, Worst(certificate(t.Context(), Patient{Config: configured(t), Now: now})))
	require.Equal(t, Warning, Worst(certificate(t.Context(), Patient{Config: configured(t, "--listen", "0.0.0.0"), Now: now})))
	missing := configured(t, "--console-cert", "/nowhere.crt", "--console-key", "/nowhere.key")
	require.Equal(t, Fault, Worst(certificate(t.Context(), Patient{Config: missing, Now: now})))
}

func makeCert(t *testing.T, from, until time.Time) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nabat"}, NotBefore: from, NotAfter: until,
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &k.PublicKey, k)
	require.NoError(t, err)
	kb, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kb}), 0o600))
	return cert, key
}
