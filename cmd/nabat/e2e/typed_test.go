package e2e

import (
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/stretchr/testify/require"
)

// Typed text: no word of it is lost, whoever dies.

const (
	keptPlace = "Невский пр., д. 100, двор"
	keptText  = "Дым из подвала, слышны хлопки, люди выходят сами"
	lateText  = keptText + "; двое остались на третьем этаже"
)

func has(field, text string) string {
	return fmt.Sprintf(`document.querySelector('[data-testid=form-%s]')?.value === %q`, field, text)
}

// saved waits until the server has the text.
func (s *tale) saved(place, description string) {
	s.t.Helper()
	await(s.t, "the typed text in the database", func() (none struct{}, _ error) {
		if e := s.entry(s.text); e.Place != place || e.Description != description {
			return none, fmt.Errorf("place %q, description %q", e.Place, e.Description)
		}
		return none, nil
	})
}

// tabDiesWithTypedText: what was typed never left the tab, and the tab is killed.
func (s *tale) tabDiesWithTypedText() {
	o := s.operator
	dial(s.t, s.engine.at.Listen["sip_udp"], "sms").over()
	o.see(id("incident-row", `[data-state="draft"]`))
	s.text = s.only(o.board(), s.alarm, s.call, s.panic)
	card := o.card(s.text)
	before := s.entry(s.text).Description
	o.run(`globalThis.mute = true`, nil)
	o.fill(card+id("form-description", ""), keptText)
	o.do(step{Do: "crash"})
	require.Equal(s.t, before, s.entry(s.text).Description, "not a letter reached the server")

	o.open(s.engine.console() + "/")
	o.atWork("anna")
	o.card(s.text)
	o.until(has("description", keptText))
	o.picture("after-the-tab-died")
	s.saved(s.entry(s.text).Place, keptText)
	o.run(`globalThis.mark = 'never reloaded'`, nil)
}

// twoOperatorsOneDraft: each types in another field before hearing of the other.
func (s *tale) twoOperatorsOneDraft(boris *person) {
	s.engine.command(operatorsWord+"\n", "user", "add", "boris", "--role", "operator", "--name", "Борис Ветров")
	boris.login(s.engine.console()+"/", "boris", operatorsWord)
	o := s.operator
	theirs := boris.card(s.text)
	mine := o.card(s.text)
	for _, p := range []*person{o, boris} {
		p.run(`globalThis.deaf = true`, nil)
	}
	o.fill(mine+id("form-description", ""), lateText)
	boris.fill(theirs+id("form-place", ""), keptPlace)
	s.saved(keptPlace, lateText)
	for _, p := range []*person{o, boris} {
		p.run(`globalThis.deaf = false`, nil)
		p.see(id("connection", `[data-state="live"]`))
		p.until(has("place", keptPlace))
		p.until(has("description", lateText))
	}
	o.picture("two-at-one-draft")
	s.stillTheSamePage()
}

// engineIsKilledWhileSending: the send is carried out, its answer never comes, the
// engine is gone while the next words are typed. Another screen hears every frame
// until then, and says how soon it doubts.
func (s *tale) engineIsKilledWhileSending(boris *person) {
	o := s.operator
	// The browser knows its engine by address: the next life gets the same.
	_, port, err := net.SplitHostPort(s.engine.at.Listen["console"])
	require.NoError(s.t, err)
	s.engine.flags = append(s.engine.flags, "--console-address=:"+port)

	card := o.card(s.text)
	o.choose(card+id("form-type", ""), "fire")
	await(s.t, "the type in the database", func() (none struct{}, _ error) {
		if e := s.entry(s.text); e.Type != "fire" {
			return none, fmt.Errorf("type %q", e.Type)
		}
		return none, nil
	})
	// A form waits for the answer to the one before it.
	o.see(card + id("draft-state", `[data-state="saved"]`))
	o.run(`globalThis.deaf = true`, nil)
	o.click(card + id("send", ""))
	await(s.t, "the card to be sent", func() (none struct{}, _ error) {
		if e := s.entry(s.text); e.State != "dispatched" {
			return none, fmt.Errorf("state %q", e.State)
		}
		return none, nil
	})
	last := lateText + ". Просят поторопиться"
	o.fill(card+id("form-description", ""), last)
	boris.see(id("connection", `[data-state="live"]`))
	boris.run(watchBanner, nil)
	s.engine.murder()
	last += ", второй подъезд"
	o.fill(card+id("form-description", ""), last)
	boris.see(id("stale-banner", `[data-on="true"]`))
	var seen struct{ After, Starved float64 }
	boris.run(`globalThis.banner`, &seen)
	s.t.Logf("the banner stood %.0f ms after the last frame of a killed engine", seen.After)
	require.True(s.t, seen.After <= 2000 || seen.Starved > 200, "the banner came %.0f ms after the last frame", seen.After)
	o.see(id("stale-banner", `[data-on="true"]`))
	o.picture("engine-killed")
	o.run(`globalThis.deaf = false`, nil)
	s.start()
	o.see(id("connection", `[data-state="live"]`))
	o.see(id("card", fmt.Sprintf("[data-incident=%q][data-state=\"dispatched\"]", s.text)))
	o.until(has("description", last))
	o.until(`document.querySelector('[data-testid=unsent]') === null`)
	// The form has moved within the card; whoever types is still in the same field.
	o.until(`document.activeElement?.dataset.testid === 'form-description'`)
	o.picture("after-the-engine-died")
	s.stillTheSamePage()
	// A registered card is changed by a person's word only: the text waits in the form.
	require.Equal(s.t, lateText, s.entry(s.text).Description)
	o.click(card + id("send", ""))
	s.saved(keptPlace, last)

	var events struct {
		Items []struct {
			Kind string `json:"kind"`
			Data struct {
				Service string `json:"service"`
			} `json:"data"`
		} `json:"items"`
	}
	s.ask("incidents/"+s.text+"/events?limit=500", &events)
	var sent []string
	for _, e := range events.Items {
		if e.Kind == "registered" || e.Kind == "assigned" {
			sent = append(sent, strings.TrimSpace(e.Kind+" "+e.Data.Service))
		}
	}
	require.Equal(s.t, []string{"registered", "assigned fire"}, sent, "sent exactly once")

	// The services are heard again.
	produce(s.t, s.broker, "nabat.replies.fire", s.text, map[string]any{
		"specversion": "1.0", "type": "city.nabat.reply.v1", "id": "fire-2", "source": "/duty/fire", "subject": s.text,
		"data": map[string]any{"status": "accepted", "orderNumber": "01-0418"},
	})
	o.see(card + id("assignment", `[data-service="fire"][data-state="accepted"]`))
}

// murder is kill -9 of the engine alone; what it started is left to its next life.
func (e *engine) murder() {
	e.t.Helper()
	e.signal(syscall.SIGKILL)
	<-e.exited
	e.cmd = nil
}
