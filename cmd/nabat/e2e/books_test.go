package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// The same cards in five books: the database asked past the engine, the API, the
// services' topics, the journal's topic, the screen.

// entry is a card as the database holds it.
type entry struct {
	ID          string       `json:"id"`
	State       string       `json:"state"`
	Type        string       `json:"type"`
	Place       string       `json:"place"`
	Description string       `json:"description"`
	Version     int          `json:"version"`
	Events      int          `json:"events"` // how many the journal holds
	Assignments []assignment `json:"assignments"`
}

type assignment struct {
	Service     string `json:"service"`
	State       string `json:"state"`
	Rule        string `json:"rule"`
	Ruleset     int    `json:"ruleset"`
	OrderNumber string `json:"orderNumber"`
}

const openCards = `SELECT coalesce(json_agg(c), '[]') FROM (
	SELECT i.id, i.state, i.type, i.place, i.description, i.version,
		(SELECT count(*) FROM events e WHERE e.incident_id = i.id) AS events, coalesce((
		SELECT json_agg(json_build_object('service', a.service, 'state', a.state, 'rule', a.rule, 'ruleset', a.ruleset,
			'orderNumber', a.order_number) ORDER BY a.service) FROM assignments a WHERE a.incident_id = i.id), '[]') AS assignments
	FROM incidents i WHERE i.state NOT IN ('closed', 'cancelled') ORDER BY i.id) c`

// query asks the engine's PostgreSQL through its own client.
func (e *engine) query(t *testing.T, sql string, into any) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), peer(t, "psql", "postgresql-client"), "-XAtq", "-d", e.at.Postgres, "-c", sql).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, json.Unmarshal(out, into), "%s", out)
}

// balance compares the books card by card. Nothing may be under way any more.
func (s *tale) balance(p *person) {
	s.t.Helper()
	s.agree(p)
	var held, told []entry
	s.engine.query(s.t, openCards, &held)
	require.NotEmpty(s.t, held)
	var list struct {
		Items []entry `json:"items"`
	}
	s.ask("incidents?status=open&limit=500", &list)
	for _, i := range list.Items {
		e := s.entry(i.ID)
		e.Events = s.events(i.ID)
		told = append(told, e)
	}
	require.ElementsMatch(s.t, sorted(held), sorted(told), "the API tells what the database holds")

	var classifier struct {
		Types []struct{ Type, RU string }
	}
	s.ask("classifier", &classifier)
	names := map[string]string{}
	for _, c := range classifier.Types {
		names[c.Type] = c.RU
	}
	s.journalled(held)
	for _, c := range held {
		for _, a := range c.Assignments {
			s.relayed(c, a)
		}
		s.painted(p, c, names[c.Type])
	}
}

func (s *tale) entry(id string) (e entry) {
	s.t.Helper()
	s.ask("incidents/"+id, &e)
	return e
}

func (s *tale) events(id string) int {
	s.t.Helper()
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	s.ask("incidents/"+id+"/events?limit=500", &list)
	return len(list.Items)
}

// journalled waits until the journal's topic has every event of the cards. A
// repeat of a record is allowed, an event too many is not.
func (s *tale) journalled(held []entry) {
	s.t.Helper()
	want := map[string]int{}
	for _, c := range held {
		want[c.ID] = c.Events
	}
	await(s.t, "the journal's topic to tell all", func() (none struct{}, _ error) {
		all, err := records(s.t, s.broker, "nabat.journal")
		if err != nil {
			return none, err
		}
		events, seen := map[string]bool{}, map[string]int{}
		for _, r := range all {
			if want[r.Key] > 0 && !events[r.Event.ID] {
				events[r.Event.ID] = true
				seen[r.Key]++
			}
		}
		for id, n := range seen {
			require.LessOrEqual(s.t, n, want[id], "the topic tells more of %s than happened", id)
		}
		if !maps.Equal(want, seen) {
			return none, fmt.Errorf("it has %v, the database %v", seen, want)
		}
		return none, nil
	})
}

func sorted(all []entry) []string {
	out := make([]string, len(all))
	for n, e := range all {
		services := map[string]assignment{}
		for _, a := range e.Assignments {
			services[a.Service] = a
		}
		e.Assignments = nil
		out[n] = fmt.Sprintf("%+v %+v", e, services)
	}
	return out
}

// relayed looks at a card's records in the topic of one of its services, after the
// last of them shows the card as it is.
func (s *tale) relayed(c entry, a assignment) {
	s.t.Helper()
	mine := await(s.t, a.Service+" to hear of "+c.ID, func() (mine []record, _ error) {
		all, err := records(s.t, s.broker, "nabat.incidents."+a.Service)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if r.Key == c.ID {
				mine = append(mine, r)
			}
		}
		if len(mine) == 0 {
			return nil, fmt.Errorf("%d records of others", len(all))
		}
		card := mine[len(mine)-1].Event.Data.Card
		if card.Type != c.Type || card.Place != c.Place || card.Description != c.Description {
			return nil, fmt.Errorf("its last record has %+v, the database %+v", card, c)
		}
		return mine, nil
	})
	version, assigned := 0, map[string]bool{}
	for _, r := range mine {
		d := r.Event.Data
		require.GreaterOrEqual(s.t, d.Version, version, "records of one card keep their order")
		require.LessOrEqual(s.t, d.Version, c.Version)
		version = d.Version
		if d.Kind == "assigned" {
			assigned[r.Event.ID] = true
			require.NotNil(s.t, d.Assignment, r.Payload)
			require.Equal(s.t, []any{a.Rule, a.Ruleset}, []any{d.Assignment.Rule, d.Assignment.Ruleset}, r.Payload)
		}
	}
	require.Len(s.t, assigned, 1, "%s of %s is assigned once", a.Service, c.ID)
}

// painted opens the card and reads what a person reads.
func (s *tale) painted(p *person, c entry, typeName string) {
	s.t.Helper()
	card := p.card(c.ID)
	p.see(id("card", fmt.Sprintf("[data-incident=%q][data-state=%q][data-version=\"%d\"]", c.ID, c.State, c.Version)))
	require.Contains(s.t, p.text(card+"h2"), typeName)
	require.Equal(s.t, c.Place, p.text(card+`[data-fact="place"]`))
	p.until(fmt.Sprintf(`document.querySelectorAll('[data-testid=journal-line]').length === %d`, c.Events))
	for _, a := range c.Assignments {
		line := card + id("assignment", fmt.Sprintf("[data-service=%q][data-state=%q]", a.Service, a.State))
		text := p.text(line)
		require.Contains(s.t, text, a.OrderNumber)
		require.Contains(s.t, text, fmt.Sprintf("правило %s, набор правил %d", a.Rule, a.Ruleset))
	}
}

// everyTopic holds the records of its own service's cards and of no other. It is
// looked at when the journal has been relayed to its end.
func (s *tale) everyTopic() {
	s.t.Helper()
	s.silent("fire", s.alarm, s.call, s.text)
	s.silent("gas", s.call)
	s.silent("police", s.panic)
	s.silent("medical")
}
