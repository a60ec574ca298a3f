package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nabat/cmd/nabat/datadir"
	"nabat/dispatch/postgres/pgserver"
	"nabat/migrations"
)

// engineDir is a data directory whose server runs, as an engine would run it.
func engineDir(t *testing.T) string {
	t.Helper()
	data := dataDir(t)
	dir, err := datadir.Hold(data)
	require.NoError(t, err)
	t.Cleanup(func() { dir.Release() })
	s, err := pgserver.Start(t.Context(), pgserver.Options{Data: data})
	require.NoError(t, err)
	t.Cleanup(func() { s.Stop(context.WithoutCancel(t.Context())) })
	_, err = migrations.Run(t.Context(), s.OwnerURL(), s.URL())
	require.NoError(t, err)
	require.NoError(t, dir.Announce(datadir.Run{Postgres: s.URL(), Owner: s.OwnerURL()}))
	return data
}

func TestTokensAndPeople(t *testing.T) {
	data := engineDir(t)
	in := func(lang string, args ...string) (int, string, string) {
		t.Helper()
		return call(t, append(args, "--data", data, "--lang", lang, "--log-level", "error")...)
	}

	seen := map[string]bool{}
	for range 3 {
		code, out, errOut := in("en", "token", "create", "--role", "auditor")
		require.Equal(t, exitOK, code, errOut)
		require.Len(t, strings.Fields(out), 1, "the token alone, for a script")
		_, name, found := strings.Cut(strings.TrimSpace(errOut), "the token's name: ")
		require.True(t, found, errOut)
		require.False(t, seen[name], name)
		seen[name] = true
	}
	for name := range seen {
		code, _, errOut := in("en", "token", "revoke", name)
		require.Equal(t, exitOK, code, errOut)
	}

	named := []string{"token", "create", "--role", "auditor", "--name", "city"}
	code, _, errOut := in("en", named...)
	require.Equal(t, exitOK, code, errOut)
	require.Empty(t, errOut, "its maker knows the name")

	for _, c := range []struct {
		args   []string
		ru, en string
	}{
		{named, "имя жетона «city» занято", `a token named "city" exists`},
		{[]string{"token", "revoke", "nobody"}, "жетона «nobody» нет", `no token "nobody"`},
		{[]string{"token", "create", "--role", "king"}, "роль: бывает", `role "king"`},
		{[]string{"token", "create", "--role", "duty:nonesuch"}, "службы «nonesuch» нет; есть police, fire, gas, medical", `no service "nonesuch"; there are police, fire, gas, medical`},
		{[]string{"user", "add", "boris", "--role", "duty:nonesuch"}, "службы «nonesuch» нет; есть police", `no service "nonesuch"`},
		{[]string{"token", "create", "--role", "admin", "--name", "Я"}, "имя жетона: от 1", "name: must be"},
		{[]string{"user", "add", "Я", "--role", "admin"}, "имя для входа: от 1", "login: must be"},
		{[]string{"user", "passwd", "nobody"}, "входа «nobody» нет", `nobody has the login "nobody"`},
	} {
		code, out, errOut := in("ru", c.args...)
		require.Equal(t, exitFailure, code, c.args)
		require.Empty(t, out)
		require.Contains(t, errOut, c.ru)
		_, _, errOut = in("en", c.args...)
		require.Contains(t, errOut, c.en)
	}

	code, _, errOut = in("ru", "user", "add", "anna", "--role", "operator")
	require.Equal(t, exitOK, code, errOut)
	code, _, errOut = in("ru", "user", "add", "anna", "--role", "operator")
	require.Equal(t, exitFailure, code)
	require.Contains(t, errOut, "имя для входа «anna» занято")
}
