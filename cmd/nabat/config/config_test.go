package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load reads a configuration the way a command does.
func load(t *testing.T, yaml string, args ...string) (Config, error) {
	t.Helper()
	var c Config
	app, err := kong.New(&c, Help(LangEnglish))
	require.NoError(t, err)
	if yaml != "" {
		path := filepath.Join(t.TempDir(), "nabat.yaml")
		require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
		f, err := Load(path, app.Model.Node)
		if err != nil {
			return c, err
		}
		require.NoError(t, kong.Resolvers(f).Apply(app))
		_, err = app.Parse(args)
		return c, f.Locate(err)
	}
	_, err = app.Parse(args)
	return c, err
}

// tree is the flags of an engine's configuration.
func tree(t *testing.T) *kong.Node {
	t.Helper()
	var c Config
	app, err := kong.New(&c, Help(LangEnglish))
	require.NoError(t, err)
	return app.Model.Node
}

func TestDefaultsAreLoopbackAndTheDocumentedPorts(t *testing.T) {
	c, err := load(t, "")
	require.NoError(t, err)
	require.Equal(t, "./data", c.Data)
	require.Equal(t, "127.0.0.1:5060", c.Bind(c.SIP.UDP))
	require.Equal(t, "127.0.0.1:5060", c.Bind(c.SIP.TCP))
	require.Equal(t, "127.0.0.1:12000", c.Bind(c.Alarms.UDP))
	require.Equal(t, "127.0.0.1:12000", c.Bind(c.Alarms.TCP))
	require.Equal(t, "127.0.0.1:8112", c.Bind(c.Console.Address))
	require.Equal(t, "127.0.0.1:9112", c.Bind(c.Ops.Address))
	require.Equal(t, PortRange{20000, 29999}, c.RTP.Ports)
	require.Equal(t, Port(5433), c.Postgres.Port)
	require.Equal(t, Port(9092), c.Kafka.Port)
	require.Equal(t, 30*time.Second, c.Drain.Database)
	require.False(t, c.ConsoleTLS())
}

// Not parallel: the environment is the process's.
func TestCommandLineOverEnvironmentOverFileOverDefault(t *testing.T) {
	const yaml = "data: /file\nsip:\n  udp: :1\n  tcp: :1\nlog: {level: warn}\n"
	t.Setenv("NABAT_SIP_UDP", ":2")
	t.Setenv("NABAT_SIP_TCP", ":2")
	c, err := load(t, yaml, "--sip-udp", ":3")
	require.NoError(t, err)
	require.Equal(t, ":3", c.SIP.UDP.String())
	require.Equal(t, ":2", c.SIP.TCP.String())
	require.Equal(t, "/file", c.Data)
	require.Equal(t, "warn", c.Log.Level)
	require.Equal(t, ":12000", c.Alarms.UDP.String())
}

func TestEveryKeyHasAllThreeNames(t *testing.T) {
	for name, flag := range keys(tree(t)) {
		if flag.Hidden {
			continue
		}
		require.Equal(t, []string{"NABAT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}, flag.Tag.Envs, name)
		require.NotEmpty(t, flag.Help, name)
	}
}

func TestWholeFile(t *testing.T) {
	c, err := load(t, `
# a city
data: /srv/nabat
listen: 0.0.0.0
postgres:
  url: "postgres://nabat@db/nabat"
kafka:
  brokers:
    - k1:9092
    - k2:9092
sip: {udp: "10.0.0.1:5060", tcp: off}
rtp:
  ports: 30000-30999
drain:
  intake: 1m30s
`)
	require.NoError(t, err)
	require.Equal(t, []HostPort{"k1:9092", "k2:9092"}, c.Kafka.Brokers)
	require.Equal(t, "10.0.0.1:5060", c.Bind(c.SIP.UDP))
	require.Empty(t, c.Bind(c.SIP.TCP))
	require.Equal(t, "0.0.0.0:12000", c.Bind(c.Alarms.TCP))
	require.Equal(t, 90*time.Second, c.Drain.Intake)
	require.True(t, c.ConsoleTLS())
}

func TestTheLinesLimits(t *testing.T) {
	t.Parallel()
	c, err := load(t, "sip: {peers: [192.0.2.0/24, 198.51.100.7], calls: 10, legs: 10, silence: 30s, announce_port: 5070}")
	require.NoError(t, err)
	require.Equal(t, []Network{Network(netip.MustParsePrefix("192.0.2.0/24")), Network(netip.MustParsePrefix("198.51.100.7/32"))}, c.SIP.Peers)
	require.Equal(t, SIP{
		UDP: c.SIP.UDP, TCP: c.SIP.TCP, Peers: c.SIP.Peers,
		AnnouncePort: 5070, Calls: 10, Legs: 10, Silence: 30 * time.Second, Slow: 2 * time.Second,
	}, c.SIP)
	for _, bad := range []string{"peers: [192.0.2.1/24]", "peers: [trunk.example]", "calls: 0", "legs: 100", "silence: 0s", "slow: -1s"} {
		_, err := load(t, "sip: {"+bad+"}")
		require.Error(t, err, bad)
	}
}

func TestFaultsCarryLineColumnAndReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		yaml         string
		line, column int
		says         string
	}{
		{"data: x\nsip:\n  upd: :5060\n", 3, 3, `unknown key "sip.upd"; did you mean "sip.udp"?`},
		{"colour: red\n", 1, 1, `unknown key "colour"`},
		{"sip:\n  udp: nowhere\n", 2, 8, `"nowhere" is not an address`},
		{"sip:\n  udp: :70000\n", 2, 8, "is not a port"},
		{"sip:\n  udp: example.org:5060\n", 2, 8, "is not an IP address"},
		{"listen: everywhere\n", 1, 9, "listen"},
		{"drain:\n  intake: 10 apples\n", 2, 11, "drain.intake"},
		{"log:\n  level: loud\n", 2, 10, "is none of debug, info, warn, error"},
		{"rtp:\n  ports: 30000\n", 2, 10, "range of ports"},
		{"data:\n  - a\n  - b: c\n", 2, 3, "expected a plain value"},
		{"data: a\ndata: b\n", 2, 1, ""},
		{"data: [a\n", 1, 7, ""},
		{"just text\n", 1, 1, "expected keys and values"},
		{"kafka:\n  brokers: [k1]\n", 2, 12, "is not an address like broker1:9092"},
		{"sip-udp: :5060\n", 1, 1, "unknown key"},
	} {
		_, err := parse("nabat.yaml", []byte(c.yaml), keys(tree(t)))
		fault, ok := errors.AsType[*FileError](err)
		require.True(t, ok, "%q: %v", c.yaml, err)
		require.Equal(t, c.line, fault.Line, "%q: %v", c.yaml, err)
		require.Equal(t, c.column, fault.Column, "%q: %v", c.yaml, err)
		require.Contains(t, fault.Reason, c.says)
		require.Contains(t, err.Error(), "nabat.yaml:")
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := parse("f", []byte("one: 1\ntwo: 2\n"), keys(tree(t)))
	require.ErrorContains(t, err, "f:1:1")
	require.ErrorContains(t, err, "f:2:1")
}

// What only the whole can judge is found in the file, too, unless the value came
// from elsewhere. Not parallel: the environment is the process's.
func TestMistakesOfTheFileCarryTheirLine(t *testing.T) {
	for _, c := range []struct {
		yaml         string
		line, column int
		says         string
	}{
		{"drain: {intake: -5s}\n", 1, 17, "drain.intake: a stop needs more than -5s"},
		{"data: x\nconsole: {cert: x}\n", 2, 17, "console.cert, console.key: one goes with the other"},
		{"console:\n  key: x\n", 2, 8, "one goes with the other"},
		{"rtp:\n  announce: here\n", 2, 13, `"here" is not an IP address`},
	} {
		_, err := load(t, c.yaml)
		fault, ok := errors.AsType[*FileError](err)
		require.True(t, ok, "%q: %v", c.yaml, err)
		require.Equal(t, []int{c.line, c.column}, []int{fault.Line, fault.Column}, c.yaml)
		require.Contains(t, fault.Reason, c.says)
	}

	_, err := load(t, "drain: {intake: -5s, relay: -6s}\n")
	require.ErrorContains(t, err, "nabat.yaml:1:17: ")
	require.ErrorContains(t, err, "nabat.yaml:1:29: ")

	_, err = load(t, "drain: {intake: 1s}\n", "--drain-intake=-2s")
	require.EqualError(t, err, "--drain-intake: a stop needs more than -2s")
	t.Setenv("NABAT_DRAIN_INTAKE", "-3s")
	_, err = load(t, "drain: {intake: 1s}\n")
	require.EqualError(t, err, "--drain-intake: a stop needs more than -3s")
}

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	require.NoError(t, CheckEnvironment([]string{
		"HOME=/", "NABAT_SIP_UDP=:1", "NABAT_POSTGRES_UNSAFE_SETTINGS_THAT_LOSE_ALARMS=fsync=off", "NABAT_TEST_SEED=1", "NABAT_REQUIRE_PEERS=1",
		"NABAT_PORT=tcp://10.0.0.1:8112", "NABAT_PORT_8112_TCP_ADDR=10.0.0.1", "NABAT_SERVICE_HOST=10.0.0.1",
	}, tree(t)))
	err := CheckEnvironment([]string{"NABAT_SIP_UPD=:1", "NABAT_LISTN=1", "NABAT_COLOUR=red", "NABAT_PORT=1", "NABAT_=x"}, tree(t))
	require.EqualError(t, err, `unknown environment variable NABAT_
unknown environment variable NABAT_COLOUR
unknown environment variable NABAT_LISTN; did you mean NABAT_LISTEN?
unknown environment variable NABAT_PORT
unknown environment variable NABAT_SIP_UPD; did you mean NABAT_SIP_UDP?`)
}

func TestBadFlagsAndPairs(t *testing.T) {
	for _, args := range [][]string{
		{"--sip-udp", "x"}, {"--no-such"}, {"--listen", "host.example"}, {"--drain-intake", "0s"},
		{"--console-cert", "a.pem"}, {"--rtp-announce", "x"}, {"--log-level", "loud"}, {"--postgres-port", "-1"},
	} {
		_, err := load(t, "", args...)
		require.Error(t, err, args)
	}
}

func TestVoicePorts(t *testing.T) {
	c, err := load(t, "", "--rtp-ports", "0")
	require.NoError(t, err)
	require.Zero(t, c.RTP.Ports)
	for _, text := range []string{"0-0", "0-10", "10", "9-8", "1-2-3", "", "-"} {
		_, err := load(t, "", "--rtp-ports", text)
		require.Error(t, err, text)
	}
}

func TestLang(t *testing.T) {
	t.Parallel()
	require.Equal(t, LangRussian, Lang("", "C.UTF-8"))
	require.Equal(t, LangEnglish, Lang("", "en_GB.UTF-8"))
	require.Equal(t, LangRussian, Lang("ru_RU.UTF-8", "en_US"))
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{":5060", "127.0.0.1:0", "[::1]:5060", "off", "x:1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var a, b Address
		if a.UnmarshalText([]byte(s)) != nil {
			return
		}
		require.NoError(t, b.UnmarshalText([]byte(a.String())))
		require.Equal(t, a, b)
	})
}
