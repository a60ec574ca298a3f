package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// cards is more than the board paints at once.
const cards = 32

// TestEveryRolesScreen runs console/web/e2e/smoke.mjs, the look through every
// role's console, in both languages and four sizes, on an engine of its own with
// more than a screenful of cards.
func TestEveryRolesScreen(t *testing.T) {
	node, chromium, web := screenPeers(t)
	dir := workplace(t)
	e := newEngine(t, dir)
	e.start()

	type user struct {
		Login    string   `json:"login"`
		Role     string   `json:"role"`
		Password string   `json:"password"`
		Langs    []string `json:"langs,omitempty"` // both, when not said
	}
	access := struct {
		Console string `json:"console"`
		Cards   bool   `json:"cards"`
		Search  string `json:"search"` // all cards but Unlike have it
		Unlike  int    `json:"unlike"`
		Users   []user `json:"users"`
	}{Console: e.console() + "/", Cards: true, Search: "гимназия", Unlike: 1}
	for _, u := range []user{
		{Login: "anna", Role: "operator"}, {Login: "igor", Role: "duty:fire"}, {Login: "nina", Role: "supervisor"},
		// These see the supervisor's page without its buttons.
		{Login: "root", Role: "admin", Langs: []string{"ru"}}, {Login: "vera", Role: "auditor", Langs: []string{"en"}},
	} {
		u.Password = "slovo-" + u.Login + "-17"
		e.command(u.Password+"\n", "user", "add", u.Login, "--role", u.Role, "--name", "Александра Константинопольская")
		access.Users = append(access.Users, u)
	}
	file := filepath.Join(dir, "access.json")
	text, err := json.Marshal(access)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))

	var facilities, accounts strings.Builder
	facilities.WriteString("facility_id,name,category,address,district\n")
	accounts.WriteString("account,facility_id\n")
	for n := range cards {
		name := fmt.Sprintf("Гимназия № %d", n+1)
		if n == 0 {
			name = "Центр творчества юных"
		}
		fmt.Fprintf(&facilities, "f%d,%s,education,\"Санкт-Петербург, Краснопутиловская ул., д. %d, лит. А\",Красногвардейский\n", n, name, n+1)
		fmt.Fprintf(&accounts, "%04X,f%d\n", 0xB000+n, n)
	}
	tables := []string{filepath.Join(t.TempDir(), "facilities.csv"), filepath.Join(t.TempDir(), "accounts.csv")}
	require.NoError(t, os.WriteFile(tables[0], []byte(facilities.String()), 0o600))
	require.NoError(t, os.WriteFile(tables[1], []byte(accounts.String()), 0o600))
	e.command("", "facility", "import", tables[0], tables[1])
	e.says("registry taken over", fmt.Sprintf(`"panels":%d`, cards))
	for n := range cards {
		p := newPanel(t, e.at.Listen["alarms_tcp"], fmt.Sprintf("%04X", 0xB000+n))
		require.Equal(t, p.send([]string{"1110 01 005", "1151 01 005"}[n%2]), p.hear())
		p.conn.Close()
	}

	cmd := exec.CommandContext(t.Context(), node, "e2e/smoke.mjs", file)
	cmd.Dir, cmd.Env = web, append(os.Environ(), "CHROMIUM="+chromium)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", tailOf(string(out)))
	e.stop()
}

// tailOf is the last line.
func tailOf(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}
