package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// browser is Chromium, driven through browser.mjs. Each name is a person with
// cookies and storage of their own.
type browser struct {
	t    *testing.T
	dir  string // for screenshots
	in   io.WriteCloser
	out  *bufio.Scanner
	shot int
}

// step is one line to browser.mjs.
type step struct {
	Do       string `json:"do"`
	Name     string `json:"name,omitempty"`
	URL      string `json:"url,omitempty"`
	Selector string `json:"selector,omitempty"`
	Text     string `json:"text,omitempty"`
	File     string `json:"file,omitempty"`
	Timeout  int64  `json:"timeout"`
}

// screenPeers finds what a test with screens needs: Node, Chromium, and the folder
// whose packages drive it.
func screenPeers(t *testing.T) (node, chromium, web string) {
	t.Helper()
	node = peer(t, "node", "nodejs, or npm package node")
	chromium = peer(t, "chromium", "chromium")
	web = filepath.Join(root, "console/web")
	for _, name := range []string{"playwright-core", "@axe-core/playwright"} {
		if _, err := os.Stat(filepath.Join(web, "node_modules", name, "package.json")); err != nil {
			lacking(t, "npm package "+name+" is missing in console/web")
		}
	}
	return node, chromium, web
}

func newBrowser(t *testing.T, dir string) *browser {
	t.Helper()
	node, chromium, web := screenPeers(t)
	// Not bound to the test's context: the last screenshots are taken after it.
	cmd := exec.Command(node, "browser.mjs", web, chromium)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	errs, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said := make(chan []byte, 1)
	go func() {
		text, _ := io.ReadAll(errs)
		said <- text
	}()
	b := &browser{t: t, dir: dir, in: in, out: bufio.NewScanner(out)}
	b.out.Buffer(nil, 16<<20)
	t.Cleanup(func() {
		if t.Failed() {
			b.tell()
		}
		in.Close()
		end := time.AfterFunc(patience, func() { cmd.Process.Signal(syscall.SIGTERM) })
		defer end.Stop()
		text := <-said // the end of its stderr is its own end
		if err := cmd.Wait(); err != nil || len(text) > 0 {
			t.Logf("browser.mjs: %v: %s", err, text)
		}
	})
	return b
}

// try takes one step and gives what it found.
func (b *browser) try(s step) (json.RawMessage, error) {
	s.Timeout = patience.Milliseconds()
	line, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("browser.mjs is gone: %w", err)
	}
	if !b.out.Scan() {
		return nil, fmt.Errorf("browser.mjs is gone: %w", b.out.Err())
	}
	var answer struct {
		Value json.RawMessage `json:"value"`
		Error string          `json:"error"`
	}
	if err := json.Unmarshal(b.out.Bytes(), &answer); err != nil {
		return nil, fmt.Errorf("browser.mjs says %q: %w", b.out.Text(), err)
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("%s %s %s: %s", s.Name, s.Do, s.Selector, answer.Error)
	}
	return answer.Value, nil
}

// said is what each page wrote to its console.
func (b *browser) said() (map[string][]string, error) {
	value, err := b.try(step{Do: "said"})
	if err != nil {
		return nil, err
	}
	var said map[string][]string
	err = json.Unmarshal(value, &said)
	return said, err
}

// quiet checks that no script failed and that the pages' policy stopped nothing.
func (b *browser) quiet() {
	b.t.Helper()
	said, err := b.said()
	require.NoError(b.t, err)
	for name, lines := range said {
		for _, line := range lines {
			require.NotContains(b.t, line, "pageerror:", name)
			require.NotContains(b.t, line, "Content Security Policy", name)
		}
	}
}

// tell puts everything into the log that explains a failure.
func (b *browser) tell() {
	said, err := b.said()
	if err != nil {
		b.t.Log(err)
	}
	for name, lines := range said {
		if len(lines) > 30 {
			lines = lines[len(lines)-30:]
		}
		for _, line := range lines {
			b.t.Logf("%s's page says: %s", name, line)
		}
		file := filepath.Join(b.dir, "failed-"+name+".png")
		if _, err := b.try(step{Do: "shot", Name: name, File: file}); err == nil {
			b.t.Logf("%s saw: %s", name, file)
		}
	}
}

// person is somebody at a screen.
type person struct {
	*browser
	name string
}

func (b *browser) person(name string) *person { return &person{b, name} }

func (p *person) do(s step) json.RawMessage {
	p.t.Helper()
	s.Name = p.name
	value, err := p.try(s)
	require.NoError(p.t, err)
	return value
}

// id makes a selector of a test hook, with more conditions behind it.
func id(testid, more string) string { return `[data-testid="` + testid + `"]` + more }

func (p *person) open(url string)       { p.t.Helper(); p.do(step{Do: "open", URL: url}) }
func (p *person) click(selector string) { p.t.Helper(); p.do(step{Do: "click", Selector: selector}) }
func (p *person) fill(selector, text string) {
	p.t.Helper()
	p.do(step{Do: "fill", Selector: selector, Text: text})
}
func (p *person) choose(selector, text string) {
	p.t.Helper()
	p.do(step{Do: "choose", Selector: selector, Text: text})
}
func (p *person) press(key string)     { p.t.Helper(); p.do(step{Do: "press", Text: key}) }
func (p *person) see(selector string)  { p.t.Helper(); p.do(step{Do: "see", Selector: selector}) }
func (p *person) gone(selector string) { p.t.Helper(); p.do(step{Do: "gone", Selector: selector}) }

// until waits for a script's value to be true-like.
func (p *person) until(script string) { p.t.Helper(); p.do(step{Do: "until", Text: script}) }

// run evaluates a script in the page.
func (p *person) run(script string, into any) {
	p.t.Helper()
	value := p.do(step{Do: "run", Text: script})
	if into != nil {
		require.NoError(p.t, json.Unmarshal(value, into))
	}
}

// text is what stands in the first element that matches.
func (p *person) text(selector string) (text string) {
	p.t.Helper()
	p.see(selector)
	p.run(fmt.Sprintf(`document.querySelector(%q).innerText`, selector), &text)
	return text
}

// picture keeps a screenshot.
func (p *person) picture(what string) {
	p.t.Helper()
	p.browser.shot++
	p.do(step{Do: "shot", File: filepath.Join(p.dir, fmt.Sprintf("%02d-%s-%s.png", p.browser.shot, p.name, what))})
}

// login comes in through the form and waits for the live board.
func (p *person) login(url, login, password string) {
	p.t.Helper()
	p.open(url)
	p.fill(id("login-name", ""), login)
	p.fill(id("login-password", ""), password)
	p.click(id("login-submit", ""))
	p.atWork(login)
}

func (p *person) atWork(login string) {
	p.t.Helper()
	p.see(id("me", fmt.Sprintf("[data-login=%q]", login)))
	p.see(id("connection", `[data-state="live"]`))
}

// board is what the screen shows: state of each open card and of each service's
// part of it.
func (p *person) board() map[string]card {
	p.t.Helper()
	var board map[string]card
	p.run(`Object.fromEntries([...document.querySelectorAll('[data-testid=incident-row]')].map((r) => [r.dataset.incident, {
		state: r.dataset.state,
		services: Object.fromEntries([...r.querySelectorAll('[data-testid=chip]')].map((c) => [c.dataset.service, c.dataset.state])),
	}]))`, &board)
	return board
}

// card opens a card of the board.
func (p *person) card(incident string) string {
	p.t.Helper()
	p.click(id("incident-row", fmt.Sprintf("[data-incident=%q] a", incident)))
	card := id("card", fmt.Sprintf("[data-incident=%q]", incident))
	p.see(card)
	return card + " "
}

// card is one line of the board.
type card struct {
	State    string            `json:"state"`
	Services map[string]string `json:"services"`
}
