package kafka_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"pgregory.net/rapid"

	"nabat/dispatch"
	"nabat/routing"
	"nabat/routing/kafka"
)

func document(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	require.NoError(t, yaml.UnmarshalWithOptions(kafka.AsyncAPI, &doc, yaml.Strict()))
	raw, err := json.Marshal(doc) // one set of Go types for numbers and maps
	require.NoError(t, err)
	doc = nil
	require.NoError(t, json.Unmarshal(raw, &doc))
	return doc
}

// resolve follows a JSON pointer.
func resolve(doc any, pointer string) (any, bool) {
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		m, ok := doc.(map[string]any)
		if !ok {
			return nil, false
		}
		if doc, ok = m[step]; !ok {
			return nil, false
		}
	}
	return doc, true
}

// refs lists every $ref below a node.
func refs(node any) []string {
	var out []string
	switch n := node.(type) {
	case map[string]any:
		for k, v := range n {
			if s, ok := v.(string); ok && k == "$ref" {
				out = append(out, s)
			}
			out = append(out, refs(v)...)
		}
	case []any:
		for _, v := range n {
			out = append(out, refs(v)...)
		}
	}
	return out
}

func TestAsyncAPIRefsResolve(t *testing.T) {
	t.Parallel()
	doc := document(t)
	require.Equal(t, "3.0.0", doc["asyncapi"])
	all := refs(doc)
	require.NotEmpty(t, all)
	files := map[string]bool{}
	for _, ref := range all {
		if pointer, local := strings.CutPrefix(ref, "#"); local {
			_, ok := resolve(doc, pointer)
			require.True(t, ok, "%s leads nowhere", ref)
			continue
		}
		name := path.Clean(ref)
		_, err := kafka.Schemas.ReadFile(name)
		require.NoError(t, err, "%s leads nowhere", ref)
		files[name] = true
	}
	// Every schema is somebody's payload.
	entries, err := kafka.Schemas.ReadDir("schemas")
	require.NoError(t, err)
	for _, f := range entries {
		require.Contains(t, files, "schemas/"+f.Name())
	}
}

// Every topic in code is a channel with the same partitions, and the other way.
func TestAsyncAPIHasEveryTopic(t *testing.T) {
	t.Parallel()
	type channel struct {
		partitions int
		used       bool
	}
	channels := map[string]*channel{}
	found, _ := resolve(document(t), "/channels")
	for name, c := range found.(map[string]any) {
		address, _ := resolve(c, "/address")
		partitions, ok := resolve(c, "/bindings/kafka/partitions")
		require.True(t, ok, name)
		channels[address.(string)] = &channel{partitions: int(partitions.(float64))}
	}
	for _, topic := range kafka.Topics(services) {
		c := channels[topic.Name]
		for _, s := range services {
			if c == nil {
				c = channels[strings.TrimSuffix(topic.Name, string(s))+"{service}"]
			}
		}
		require.NotNil(t, c, "%s is not in the document", topic.Name)
		require.Equal(t, c.partitions, int(topic.Partitions), topic.Name)
		c.used = true
	}
	for address, c := range channels {
		require.True(t, c.used, "%s is in the document and not in code", address)
	}
}

// The names of schemas and types in code are those of the schema files.
func TestSchemasHaveTheNamesOfCode(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"incident": routing.IncidentSchema, "journal": routing.JournalSchema,
		"reply": routing.ReplySchema, "deadletter": routing.DeadLetterSchema,
	} {
		require.NotNil(t, schema(t, name))
		raw, err := kafka.Schemas.ReadFile("schemas/" + name + ".v1.json")
		require.NoError(t, err)
		var s struct {
			ID   string `json:"$id"`
			Defs struct {
				Data struct {
					ID string `json:"$id"`
				} `json:"data"`
			} `json:"$defs"`
		}
		require.NoError(t, json.Unmarshal(raw, &s))
		require.Equal(t, want, s.Defs.Data.ID)
		require.Equal(t, "urn:nabat:schema:"+name+":v1", s.ID)
	}
}

// ParseReply and the published schema say the same of every record, so a
// service can check its records before it sends them.
func TestParseReplyAgreesWithItsSchema(t *testing.T) {
	t.Parallel()
	id := dispatch.NewIncidentID().String()
	good := map[string]string{
		"specversion": `"1.0"`, "id": `"1"`, "source": `"/dds"`, "type": `"city.nabat.reply.v1"`,
		"subject": `"` + id + `"`, "data": "",
	}
	// values holds for each field what is worth trying; "" leaves it out.
	values := map[string][]string{
		"specversion": {"", `"0.3"`, `1.0`}, "id": {"", `""`, `1`, `"` + strings.Repeat("я", 128) + `"`, `"` + strings.Repeat("я", 129) + `"`, `"a\u0000"`},
		"source": {"", `""`, `"x"`, `null`}, "type": {"", `"x"`, `"city.nabat.reply.v2"`},
		"subject": {"", `"x"`, `"` + strings.ToUpper(id) + `"`, `"00000000-0000-0000-0000-000000000000"`, `"urn:uuid:` + id + `"`},
		"data":    {"", `null`, `[]`, `"x"`}, "Status": {"", `"accepted"`}, "extension": {"", `1`},
	}
	fields := map[string][]string{
		"status":      {`"received"`, `"accepted"`, `"refused"`, `"work_refused"`, `"en_route"`, "", `""`, `"added"`, `"Accepted"`, `7`},
		"orderNumber": {"", `""`, `"7"`, `7`, `"` + strings.Repeat("я", 64) + `"`, `"` + strings.Repeat("я", 65) + `"`, `"\u0000"`},
		"comment":     {"", `""`, `" "`, `"нет"`, `null`, `"` + strings.Repeat("я", 2001) + `"`},
		"at":          {"", `"2026-03-01T12:00:00Z"`, `"2026-03-01T12:00:00.123456+03:00"`, `"yesterday"`, `"2026-13-01T12:00:00Z"`, `12`},
		"order":       {"", `1`}, "Status": {"", `"accepted"`},
	}
	compiled := schema(t, "reply")
	rapid.Check(t, func(t *rapid.T) {
		var data []string
		for name, vs := range fields {
			pool := vs[:min(2, len(vs))]
			if rapid.IntRange(0, 3).Draw(t, "wild "+name) == 0 {
				pool = vs
			}
			if v := rapid.SampledFrom(pool).Draw(t, name); v != "" {
				data = append(data, fmt.Sprintf("%q:%s", name, v))
			}
		}
		var parts []string
		spoiled := rapid.SampledFrom([]string{"", "", "", "specversion", "id", "source", "type", "subject", "data", "Status", "extension"}).Draw(t, "spoiled")
		for name := range values {
			v := good[name]
			if name == "data" {
				v = "{" + strings.Join(data, ",") + "}"
			}
			if name == spoiled {
				v = rapid.SampledFrom(values[name]).Draw(t, "spoiled value")
			}
			if v != "" {
				parts = append(parts, fmt.Sprintf("%q:%s", name, v))
			}
		}
		value := []byte("{" + strings.Join(parts, ",") + "}")
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
		require.NoError(t, err)
		bySchema := compiled.Validate(doc)
		_, byCode := routing.ParseReply(value)
		require.Equal(t, bySchema == nil, byCode == nil, "%s\nschema: %v\ncode: %v", value, bySchema, byCode)
	})
}

func TestTopicsAreCreatedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.fake.Close()
		cl := r.client()
		defer cl.Close()
		adm := kadm.NewClient(cl)
		for _, topic := range kafka.Topics(services) {
			meta, err := adm.ListTopics(t.Context(), topic.Name)
			require.NoError(t, err)
			require.Len(t, meta[topic.Name].Partitions, int(topic.Partitions))
			require.Equal(t, 3, meta[topic.Name].Partitions.NumReplicas())
			configs, err := adm.DescribeTopicConfigs(t.Context(), topic.Name)
			require.NoError(t, err)
			rc, err := configs.On(topic.Name, nil)
			require.NoError(t, err)
			set := map[string]string{}
			for _, c := range rc.Configs {
				set[c.Key] = c.MaybeValue()
			}
			require.Equal(t, "2", set["min.insync.replicas"])
			if topic.MaxBytes > 0 {
				require.Equal(t, "4194304", set["max.message.bytes"])
			}
		}
		// Again, with one service more: only its topics are new.
		warnings, err := r.c.EnsureTopics(t.Context(), append(services, "ambulance-2"))
		require.NoError(t, err)
		require.Empty(t, warnings)
	})
}

func TestOneBrokerIsWarnedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		defer r.fake.Close()
		warnings, err := r.c.Check(t.Context(), append(services, "new"))
		require.NoError(t, err)
		require.Len(t, warnings, 3) // one broker, two topics that are missing
		require.Contains(t, warnings[0].EN, "three brokers")
		require.Contains(t, warnings[1].String(), "nabat.incidents.new")
	})
}

func TestNewChecksAddresses(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]string{nil, {"kafka"}, {"127.0.0.1:9092", ":::"}} {
		_, err := kafka.New(kafka.Options{Brokers: bad})
		require.Error(t, err)
	}
}
