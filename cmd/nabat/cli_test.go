package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/datadir"
	"nabat/dispatch/postgres/pgserver"
	"nabat/migrations"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"))
}

// call runs a command line in this process.
func call(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(args, nil, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// dataDir can be reached by the database's user; t.TempDir is closed to it.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nabat-cli-") //nolint:usetesting // see above
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestHelpIsRussianUnlessEnglishIsAskedFor(t *testing.T) {
	t.Setenv("LC_ALL", "")
	t.Setenv("LC_MESSAGES", "")
	t.Setenv("LANG", "C.UTF-8")
	code, out, _ := call(t, "--help")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Команды:")
	require.Contains(t, out, "Проверить машину")
	_, out, _ = call(t, "--help", "--lang=en")
	require.Contains(t, out, "Commands:")
	t.Setenv("LANG", "en_US.UTF-8")
	_, out, _ = call(t, "--help")
	require.Contains(t, out, "Check machine")
}

func TestHelpShowsTheDefaults(t *testing.T) {
	code, out, _ := call(t, "doctor", "--help", "--lang", "en")
	require.Equal(t, exitOK, code)
	for _, want := range []string{"--sip-udp=:5060", "--alarms-tcp=:12000", "--console-address=:8112", "--ops-address=:9112", "20000-29999", "$NABAT_SIP_UDP", "--postgres-url"} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "unsafe-settings")
}

func TestVersion(t *testing.T) {
	code, out, _ := call(t, "version")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "nabat dev")
}

func TestWrongConfigurationStopsTheStartWithFileLineAndReason(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nabat.yaml")
	require.NoError(t, os.WriteFile(path, []byte("sip:\n  upd: :5060\n"), 0o600))
	code, _, errOut := call(t, "doctor", "--config", path)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, path+`:2:3: unknown key "sip.upd"; did you mean "sip.udp"?`)

	for _, args := range [][]string{{"doctor", "--sip-udp", "x"}, {"nonsense"}, {"doctor", "--config", "/nowhere.yaml"}, {"doctor", "--lang", "fr"}} {
		code, _, errOut := call(t, args...)
		require.Equal(t, exitUsage, code, args)
		require.NotEmpty(t, errOut)
	}
}

func TestUnknownVariableStopsTheStart(t *testing.T) {
	t.Setenv("NABAT_SIP_UPD", ":1")
	t.Setenv("NABAT_TEST_ANYTHING", "1")
	code, _, errOut := call(t, "version")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "NABAT_SIP_UPD; did you mean NABAT_SIP_UDP?")
	require.NotContains(t, errOut, "ANYTHING")
	code, _, _ = call(t, "--help")
	require.Equal(t, exitOK, code, "who asks for help gets it")
}

// A variable of one command is no mistake for another.
func TestVariablesOfTheWholeTreeAreKnown(t *testing.T) {
	for _, env := range []string{"NABAT_DEMO_SPEED=2", "NABAT_LANG=en", "NABAT_ROLE=auditor", "NABAT_DRAIN_INTAKE=1s"} {
		name, value, _ := strings.Cut(env, "=")
		t.Setenv(name, value)
	}
	code, _, errOut := call(t, "version")
	require.Equal(t, exitOK, code, errOut)
}

func TestEveryFlagMayStandInTheFile(t *testing.T) {
	t.Setenv("LC_ALL", "")
	t.Setenv("LC_MESSAGES", "")
	t.Setenv("LANG", "C.UTF-8")
	path := filepath.Join(t.TempDir(), "nabat.yaml")
	write := func(yaml string) { require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600)) }

	write("lang: en\nspeed: 3\nrole: auditor\nlife: 1h\ndry_run: true\n")
	code, out, errOut := call(t, "--config", path, "--help")
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, out, "Commands:", "the file's language")
	_, out, _ = call(t, "--config", path, "--help", "--lang", "ru")
	require.Contains(t, out, "Команды:", "the command line wins")

	for yaml, says := range map[string]string{
		"lang: fr\n":                            ":1:7: ",
		"config: x\n":                           `:1:1: unknown key "config"`,
		"help: true\n":                          `:1:1: unknown key "help"`,
		"data: x\ndrain: {intake: -5s}\n":       ":2:17: drain.intake: ",
		"data: x\nspeed: 0\nlog: {level: info}": ":2:8: speed: ",
	} {
		write(yaml)
		code, _, errOut := call(t, "demo", "--config", path)
		require.Equal(t, exitUsage, code, yaml)
		require.Contains(t, errOut, path+says)
	}
}

func TestDemoRefusesASpeedThatIsNone(t *testing.T) {
	for _, speed := range []string{"0", "-1", "NaN", "Inf", "x"} {
		code, _, errOut := call(t, "demo", "--speed="+speed)
		require.Equal(t, exitUsage, code, speed)
		require.Contains(t, errOut, "--speed", speed)
	}
}

func TestMigrateAndDatabaseWithoutAnEngine(t *testing.T) {
	data := dataDir(t)
	code, out, errOut := call(t, "migrate", "--data", data, "--lang", "en")
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, out, "this version's schema")

	a, stop, err := openDatabase(t.Context(), config.Base{Data: data}, zap.NewNop())
	require.NoError(t, err)
	n, err := migrations.Pending(t.Context(), a.engine)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, stop())
}

// With an engine on the directory a command uses the engine's server, and does
// not stop it.
func TestDatabaseOfARunningEngine(t *testing.T) {
	data := dataDir(t)
	dir, err := datadir.Hold(data)
	require.NoError(t, err)
	defer dir.Release()
	s, err := pgserver.Start(t.Context(), pgserver.Options{Data: data})
	require.NoError(t, err)
	defer s.Stop(context.WithoutCancel(t.Context()))
	require.NoError(t, dir.Announce(datadir.Run{Postgres: s.URL(), Owner: s.OwnerURL()}))

	_, _, err = openDatabase(t.Context(), config.Base{Data: data}, zap.NewNop())
	require.ErrorContains(t, err, "nabat migrate", "a command must not migrate under a running engine")
	code, _, errOut := call(t, "migrate", "--data", data)
	require.Equal(t, exitOK, code, errOut)

	a, stop, err := openDatabase(t.Context(), config.Base{Data: data}, zap.NewNop())
	require.NoError(t, err)
	require.Equal(t, s.URL(), a.engine)
	require.NoError(t, stop())
	require.NoError(t, pgserver.CheckDurability(t.Context(), a.engine), "still up")
}

// doctor on a machine that has nothing yet makes nothing.
func TestDoctorOnlyLooks(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	args := []string{"doctor", "--lang", "en", "--data", data, "--postgres-port", "0", "--kafka-port", "0"}
	for _, l := range []string{"sip-udp", "sip-tcp", "alarms-udp", "alarms-tcp", "console-address", "ops-address"} {
		args = append(args, "--"+l, ":0")
	}
	code, out, errOut := call(t, args...)
	require.Equal(t, exitOK, code, out+errOut)
	require.Contains(t, out, "No database yet")
	require.Contains(t, out, "Faults: 0")
	require.NoDirExists(t, data)

	code, out, _ = call(t, append(args, "--postgres-url", "postgres://nobody@127.0.0.1:1/x")...)
	require.Equal(t, exitFailure, code)
	require.Contains(t, out, "FAIL  postgres")
}

// A misspelt --data makes no empty database that then looks whole.
func TestReadingCommandsMakeNoDatabase(t *testing.T) {
	for _, args := range [][]string{{"audit", "verify"}, {"rules", "show"}, {"facility", "export", "facilities"}} {
		dir := filepath.Join(dataDir(t), "typo")
		code, _, errOut := call(t, append(args, "--data", dir, "--lang", "en")...)
		require.Equal(t, 1, code)
		require.Contains(t, errOut, "there is no engine's data in")
		require.NoDirExists(t, dir)
	}
}
