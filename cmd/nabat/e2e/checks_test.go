package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// What the chapters of the story look at: the topics, the API, the screen.

// stillTheSamePage proves that nobody reloaded it.
func (s *tale) stillTheSamePage() {
	s.t.Helper()
	var mark string
	s.operator.run(`globalThis.mark ?? ''`, &mark)
	require.Equal(s.t, "never reloaded", mark)
}

// only is the one card that is in the first board and in none of the others.
func (s *tale) only(board map[string]card, known ...string) string {
	s.t.Helper()
	for _, k := range known {
		delete(board, k)
	}
	require.Len(s.t, board, 1)
	for id := range board {
		return id
	}
	return ""
}

// published waits for the first record of an incident in a service's topic and
// checks what every record must have.
func (s *tale) published(service, incident string) record {
	s.t.Helper()
	topic := "nabat.incidents." + service
	all := await(s.t, topic+" to have "+incident, func() ([]record, error) {
		all, err := records(s.t, s.broker, topic)
		if err != nil {
			return nil, err
		}
		var mine []record
		for _, r := range all {
			s.valid(service, r)
			if r.Key == incident {
				mine = append(mine, r)
			}
		}
		if len(mine) == 0 {
			return nil, fmt.Errorf("%d other records", len(all))
		}
		return mine, nil
	})
	for _, r := range all {
		require.Equal(s.t, all[0].Partition, r.Partition, "one incident stays in one partition")
	}
	return all[0]
}

func (s *tale) valid(service string, r record) {
	s.t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(r.Payload))
	require.NoError(s.t, err)
	require.NoError(s.t, s.schema.Validate(doc), r.Payload)
	e := r.Event
	require.Equal(s.t, "1.0", e.SpecVersion)
	require.NoError(s.t, uuid.Validate(e.ID))
	require.Equal(s.t, r.Key, e.Subject, "the key is the incident's id")
	require.Equal(s.t, "city.nabat.incident."+e.Data.Kind+".v1", e.Type)
	require.Equal(s.t, "/nabat/incidents/"+service, e.Source)
	require.Equal(s.t, "application/json", e.ContentType)
	require.Equal(s.t, service, e.Data.Service)
	require.Equal(s.t, []string{"content-type", "application/cloudevents+json; charset=UTF-8"}, r.Headers)
}

// silent checks that a service has heard of none but these incidents. What it
// must not hear would have been published before what others have heard since.
func (s *tale) silent(service string, but ...string) {
	s.t.Helper()
	all, err := records(s.t, s.broker, "nabat.incidents."+service)
	require.NoError(s.t, err)
	for _, r := range all {
		require.Contains(s.t, but, r.Key, "%s hears of %s", service, r.Payload)
	}
}

func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "routing/kafka/schemas", name))
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(name, doc))
	compiled, err := c.Compile(name)
	require.NoError(t, err)
	return compiled
}

// incident is what the API tells of a card.
type incident struct {
	ID          string `json:"id"`
	State       string `json:"state"`
	CloseReason string `json:"closeReason"`
	Assignments []struct {
		Service     string `json:"service"`
		State       string `json:"state"`
		OrderNumber string `json:"orderNumber"`
	} `json:"assignments"`
	Contacts []struct {
		State     string `json:"state"`
		EndReason string `json:"endReason"`
	} `json:"contacts"`
}

func (s *tale) ask(path string, into any) {
	s.t.Helper()
	body, err := get(s.t, s.engine.console()+"/api/v1/"+path, s.token)
	require.NoError(s.t, err)
	require.NoError(s.t, json.Unmarshal(body, into))
}

func (s *tale) incident(id string) (i incident) {
	s.t.Helper()
	s.ask("incidents/"+id, &i)
	return i
}

// open is the board as the API tells it.
func (s *tale) open() map[string]card {
	s.t.Helper()
	var list struct {
		Items []incident `json:"items"`
	}
	s.ask("incidents?status=open&limit=500", &list)
	board := map[string]card{}
	for _, i := range list.Items {
		c := card{State: i.State, Services: map[string]string{}}
		for _, a := range i.Assignments {
			c.Services[a.Service] = a.State
		}
		board[i.ID] = c
	}
	return board
}

// agree waits until a screen shows what the API tells, and every assignment has
// gone out.
func (s *tale) agree(p *person) map[string]card {
	s.t.Helper()
	return await(s.t, "the screen to show what the database holds", func() (map[string]card, error) {
		want, seen := s.open(), p.board()
		for _, c := range want {
			for service, state := range c.Services {
				if state == "added" {
					return nil, fmt.Errorf("%s is on its way", service)
				}
			}
		}
		if fmt.Sprint(want) != fmt.Sprint(seen) {
			return nil, fmt.Errorf("screen %v, API %v", seen, want)
		}
		return want, nil
	})
}
