package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

func TestFromTheWireToTheScreen(t *testing.T) {
	t.Run("apache kafka", func(t *testing.T) {
		dir := workplace(t)
		tell(t, dir, apacheKafka(t, dir))
	})
	t.Run("embedded broker", func(t *testing.T) { tell(t, workplace(t), "") })
}

// workplace is a short path that PostgreSQL's user may pass.
func workplace(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nabat-e2e-") //nolint:usetesting // t.TempDir is closed to other users
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what is left: %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	return dir
}

const (
	school = "A1B2"
	clinic = "C3D4"
)

// The registry as an administrator keeps it.
const (
	facilities = `facility_id,name,category,address,district
sh-239,Школа № 239,education,"Санкт-Петербург, ул. Кирочная, д. 8, лит. А",Центральный
cl-37,Поликлиника № 37,health,"Санкт-Петербург, Гороховая ул., д. 6",Центральный
`
	accounts = `account,facility_id
` + school + `,sh-239
` + clinic + `,cl-37
`
)

// tale is one telling of the story.
type tale struct {
	t      *testing.T
	engine *engine
	broker string
	token  string
	schema *jsonschema.Schema

	operator, duty *person
	line           *telephone // on the line until the operator ends it

	alarm, call, sms, panic, text string // incidents
}

const (
	operatorsWord = "slovo-operatora-17"
	dutysWord     = "slovo-dezhurnogo-17"
)

// tell is the story; each chapter needs the ones before it. With no broker given
// the engine brings its own.
func tell(t *testing.T, dir, broker string) {
	pictures := dir
	if kept := os.Getenv("NABAT_E2E_ARTIFACTS"); kept != "" {
		pictures = filepath.Join(kept, strings.ReplaceAll(t.Name(), "/", "-"))
		require.NoError(t, os.MkdirAll(pictures, 0o755))
	}
	peer(t, "kcat", "kcat")
	peer(t, "sipp", "sip-tester")
	var flags []string
	if broker != "" {
		flags = append(flags, "--kafka-brokers="+broker)
	}
	s := &tale{t: t, engine: newEngine(t, dir, flags...), schema: schema(t, "incident.v1.json")}
	screens := newBrowser(t, pictures)
	s.operator, s.duty = screens.person("operator"), screens.person("duty")

	s.start()
	s.prepare()
	s.operatorComesIn()
	s.alarmArrives()
	s.smsAndCallArrive()
	s.callIsSent()
	s.smsIsClosedWithoutResponse()
	s.operatorHangsUp()
	s.serviceAcceptsOverKafka()
	s.dutyOfficerAcceptsWithOneKey()
	s.engineFreezesAndComesBack()
	s.tabDiesWithTypedText()
	boris := screens.person("boris")
	s.twoOperatorsOneDraft(boris)
	s.engineIsKilledWhileSending(boris)
	s.nothingWasLostOrBuried()
	s.engineIsRestarted(screens.person("later"))
	screens.quiet()
	s.engine.stop()
}

func (s *tale) start() {
	s.t.Helper()
	s.engine.start()
	s.broker = s.engine.at.Kafka[0] // the given one, or its own at another port each time
}

// prepare makes people and a token and imports the registry, all on the running
// engine.
func (s *tale) prepare() {
	e := s.engine
	e.command(operatorsWord+"\n", "user", "add", "anna", "--role", "operator", "--name", "Анна Смирнова")
	e.command(dutysWord+"\n", "user", "add", "igor", "--role", "duty:fire", "--name", "Игорь Пожарский")
	s.token = e.command("", "token", "create", "--role", "auditor", "--name", "e2e")
	tables := []string{filepath.Join(s.t.TempDir(), "facilities.csv"), filepath.Join(s.t.TempDir(), "accounts.csv")}
	require.NoError(s.t, os.WriteFile(tables[0], []byte(facilities), 0o600))
	require.NoError(s.t, os.WriteFile(tables[1], []byte(accounts), 0o600))
	e.command("", "facility", "import", tables[0], tables[1])
	e.says("registry taken over", `"panels":2`)
}

func (s *tale) operatorComesIn() {
	o := s.operator
	o.login(s.engine.console()+"/", "anna", operatorsWord)
	require.Empty(s.t, o.board())
	// The mark is in the page's memory: a reload would lose it.
	o.run(`globalThis.mark = 'never reloaded'`, nil)
	o.picture("empty-board")

	// Chromium takes the cookie over plain HTTP from loopback, prefix and all.
	var jar []struct {
		Name     string  `json:"name"`
		Domain   string  `json:"domain"`
		Path     string  `json:"path"`
		Secure   bool    `json:"secure"`
		HTTPOnly bool    `json:"httpOnly"`
		SameSite string  `json:"sameSite"`
		Expires  float64 `json:"expires"`
	}
	require.NoError(s.t, json.Unmarshal(o.do(step{Do: "cookies"}), &jar))
	require.Len(s.t, jar, 1)
	c := jar[0]
	require.Equal(s.t, []any{"__Host-nabat", "127.0.0.1", "/", true, true, "Strict"},
		[]any{c.Name, c.Domain, c.Path, c.Secure, c.HTTPOnly, c.SameSite})
	var visible string
	o.run(`document.cookie`, &visible)
	require.Empty(s.t, visible, "no script may read the session")
}

func (s *tale) alarmArrives() {
	p := newPanel(s.t, s.engine.at.Listen["alarms_tcp"], school)
	want := p.send("1110 01 005")
	require.Equal(s.t, want, p.hear())

	row := id("incident-row", `[data-state="dispatched"]`)
	require.Contains(s.t, s.operator.text(row), "Школа № 239")
	s.stillTheSamePage()
	s.alarm = s.only(s.operator.board())
	s.operator.picture("alarm")

	r := s.published("fire", s.alarm)
	d := r.Event.Data
	require.Equal(s.t, "assigned", d.Kind)
	require.Equal(s.t, "alarm", d.Card.Origin)
	require.Equal(s.t, "fire", d.Card.Type)
	require.Equal(s.t, "sh-239", d.Card.FacilityID)
	require.Contains(s.t, d.Card.Place, "Кирочная")
	for _, other := range []string{"police", "gas", "medical"} {
		s.silent(other)
	}
	// A repeat is answered again and changes nothing.
	p.seq--
	require.Equal(s.t, p.send("1110 01 005"), p.hear())
	s.only(s.operator.board())
}

func (s *tale) smsAndCallArrive() {
	dial(s.t, s.engine.at.Listen["sip_udp"], "sms").over()
	s.operator.see(id("incident-row", `[data-state="draft"] `) + id("origin", ""))
	s.sms = s.only(s.operator.board(), s.alarm)

	s.line = dial(s.t, s.engine.at.Listen["sip_udp"], "call")
	s.operator.see(id("incident-row", `[data-state="draft"] `) + id("live-call", ""))
	s.call = s.only(s.operator.board(), s.alarm, s.sms)
	s.stillTheSamePage()
	s.operator.picture("sms-and-call")
}

func (s *tale) callIsSent() {
	o := s.operator
	card := o.card(s.call)
	require.Contains(s.t, o.text(card), "+79210000012", "the number that the network vouches for")
	o.choose(card+id("form-type", ""), "gas")
	o.fill(card+id("form-place", ""), "Литейный пр., д. 20, кв. 7")
	o.fill(card+id("form-description", ""), "Сильный запах газа на лестнице, третий этаж")
	o.picture("form-filled")
	s.line.talking()
	for _, service := range []string{"gas", "fire", "medical", "police"} {
		all, err := records(s.t, s.broker, "nabat.incidents."+service)
		require.NoError(s.t, err)
		for _, r := range all {
			require.NotEqual(s.t, s.call, r.Key, "a draft is never routed")
		}
	}
	o.click(card + id("send", ""))
	o.see(id("card", fmt.Sprintf("[data-incident=%q][data-state=\"dispatched\"]", s.call)))
	for _, service := range []string{"gas", "fire"} {
		c := s.published(service, s.call).Event.Data.Card
		require.Equal(s.t, []string{"call", "gas", "Литейный пр., д. 20, кв. 7", "Сильный запах газа на лестнице, третий этаж", "+79210000012"},
			[]string{c.Origin, c.Type, c.Place, c.Description, c.Caller})
	}
	s.silent("police")
	s.silent("medical")
	o.picture("call-sent")
}

func (s *tale) smsIsClosedWithoutResponse() {
	o := s.operator
	card := o.card(s.sms)
	o.click(card + id("close-without-response", ""))
	o.choose(card+id("non-response-reason", ""), "test")
	o.picture("close-without-response")
	o.click(card + id("non-response-confirm", ""))
	o.gone(id("incident-row", fmt.Sprintf("[data-incident=%q]", s.sms)))

	i := s.incident(s.sms)
	require.Equal(s.t, "closed", i.State)
	require.Equal(s.t, "test", i.CloseReason)
	require.NotContains(s.t, o.text(card), "ещё не назначена")
	require.Empty(s.t, i.Assignments)
}

func (s *tale) operatorHangsUp() {
	s.line.talking()
	card := s.operator.card(s.call)
	s.operator.click(card + id("hang-up", ""))
	s.line.over() // sipp has had its BYE and answered it
	s.operator.see(card + id("contact", `[data-state="ended"]`))
	s.operator.gone(card + id("hang-up", ""))
	contacts := s.incident(s.call).Contacts
	require.Len(s.t, contacts, 1)
	require.Equal(s.t, "operator", contacts[0].EndReason)
}

func (s *tale) serviceAcceptsOverKafka() {
	card := s.operator.card(s.alarm)
	line := card + id("assignment", `[data-service="fire"]`)
	s.operator.see(line + `[data-state="published"]`)
	reply := map[string]any{
		"specversion": "1.0", "type": "city.nabat.reply.v1", "id": "fire-1", "source": "/duty/fire", "subject": s.alarm,
		"data": map[string]any{"status": "accepted", "orderNumber": "01-0417"},
	}
	produce(s.t, s.broker, "nabat.replies.fire", s.alarm, reply)
	s.operator.see(line + `[data-state="accepted"]`)
	text := s.operator.text(line)
	require.Contains(s.t, text, "принято")
	require.Contains(s.t, text, "01-0417")
	s.stillTheSamePage()
	s.operator.picture("accepted")

	// The same reply once more changes nothing.
	produce(s.t, s.broker, "nabat.replies.fire", s.alarm, reply)
}

func (s *tale) dutyOfficerAcceptsWithOneKey() {
	d := s.duty
	d.login(s.engine.console()+"/", "igor", dutysWord)
	d.see(id("incident-row", fmt.Sprintf("[data-incident=%q]", s.call)))
	board := d.board()
	require.Len(s.t, board, 2, "the alarm and the call are the fire service's")
	require.Equal(s.t, "accepted", board[s.alarm].Services["fire"])
	d.picture("duty-board")

	d.press("n") // the one that waits for me
	card := id("card", fmt.Sprintf("[data-incident=%q] ", s.call))
	d.see(card + id("accept", ""))
	d.picture("duty-card")
	// The key is deaf until the card has been there long enough to be looked at.
	d.run(`globalThis.seen = performance.now()`, nil)
	d.until(`performance.now() - globalThis.seen > 500`)
	d.press("a")
	d.see(card + id("duty", `[data-state="accepted"]`))

	line := s.operator.card(s.call) + id("assignment", "")
	s.operator.see(line + `[data-service="fire"][data-state="accepted"]`)
	s.operator.see(line + `[data-service="gas"][data-state="published"]`)
	s.operator.see(id("journal-line", `:has-text("igor")`))
	s.operator.picture("duty-accepted")
	s.stillTheSamePage()

	var events struct {
		Items []struct {
			Kind  string `json:"kind"`
			Actor string `json:"actor"`
			Data  struct {
				Service string `json:"service"`
				To      string `json:"to"`
			} `json:"data"`
		} `json:"items"`
	}
	s.ask("incidents/"+s.call+"/events", &events)
	var who []string
	for _, e := range events.Items {
		if e.Data.Service == "fire" && e.Data.To == "accepted" {
			who = append(who, e.Actor)
		}
	}
	require.Equal(s.t, []string{"duty:igor"}, who)
}

const watchBanner = `(() => {
	globalThis.clock = () => document.querySelector('[data-testid=clock]').innerText
	globalThis.ages = () => [...document.querySelectorAll('.age')].map((a) => a.innerText).join(' ')
	const banner = document.querySelector('[data-testid=stale-banner]')
	globalThis.banner = null
	new MutationObserver((_, observer) => {
		if (banner.dataset.on !== 'true') return
		globalThis.banner = { after: performance.now() - globalThis.lastFrame, starved: globalThis.starved }
		observer.disconnect()
	}).observe(banner, { attributes: true })
})()`

func (s *tale) engineFreezesAndComesBack() {
	o := s.operator
	p := newPanel(s.t, s.engine.at.Listen["alarms_tcp"], clinic)
	var ack string
	// The page counts from the last frame that it had. A page that was itself not
	// given the processor proves nothing and is asked again.
	for try := 1; ; try++ {
		o.run(watchBanner, nil)
		s.engine.signal(syscall.SIGSTOP)
		o.see(id("stale-banner", `[data-on="true"]`))
		o.see(id("desk", `[data-stale="true"]`))
		var seen struct{ After, Starved float64 }
		o.run(`globalThis.banner`, &seen)
		s.t.Logf("the banner stood %.0f ms after the last frame (the page waited %.0f ms for the processor)", seen.After, seen.Starved)
		if try == 1 {
			// What cannot be known is not seen to grow older.
			o.run(`globalThis.then = { ages: ages(), clock: clock() }`, nil)
			o.until(`clock() !== globalThis.then.clock`)
			o.run(`globalThis.then.clock = clock()`, nil)
			o.until(`clock() !== globalThis.then.clock`)
			var ages [2]string
			o.run(`[globalThis.then.ages, ages()]`, &ages)
			require.NotEmpty(s.t, ages[0])
			require.Equal(s.t, ages[0], ages[1], "ages go on under the banner")
			o.picture("stale")
			ack = p.send("1120 00 001")
		}
		s.engine.signal(syscall.SIGCONT)
		o.see(id("connection", `[data-state="live"]`))
		if seen.After <= 2000 {
			break
		}
		require.True(s.t, seen.Starved > 200 && try < 4, "the banner came %.0f ms after the last frame", seen.After)
	}
	var on string
	o.run(`document.querySelector('[data-testid=stale-banner]').dataset.on`, &on)
	require.Equal(s.t, "false", on)
	require.Equal(s.t, ack, p.hear(), "what came while we slept is answered after it")
	now := s.agree(o)
	s.panic = s.only(now, s.alarm, s.call)
	s.published("police", s.panic)
	s.stillTheSamePage()
	o.picture("fresh-again")
}

// nothingWasLostOrBuried looks at the books.
func (s *tale) nothingWasLostOrBuried() {
	s.balance(s.operator)
	s.everyTopic()
	buried, err := records(s.t, s.broker, "nabat.deadletter")
	require.NoError(s.t, err)
	require.Empty(s.t, buried)
	s.engine.command("", "audit", "seal")
	s.engine.command("", "audit", "verify")
}

func (s *tale) engineIsRestarted(later *person) {
	before := s.agree(s.operator)
	require.Len(s.t, before, 4)
	s.engine.stop()
	s.operator.see(id("stale-banner", `[data-on="true"]`))
	s.start()
	require.Equal(s.t, before, s.open())

	// The session outlives the engine: the cookie still opens the board.
	s.operator.open(s.engine.console() + "/")
	s.operator.atWork("anna")
	require.Equal(s.t, before, s.agree(s.operator))
	s.balance(s.operator)
	s.everyTopic()
	s.operator.picture("after-restart")
	later.login(s.engine.console()+"/", "igor", dutysWord)
	require.Len(s.t, later.board(), 3)
}
