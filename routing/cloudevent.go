package routing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"nabat/dispatch"
)

// Types of the records, versioned by their last word.
const (
	incidentTypePrefix = "city.nabat.incident." // + kind + .v1
	journalTypePrefix  = "city.nabat.journal."  // + kind + .v1
	typeSuffix         = ".v1"

	ReplyType      = "city.nabat.reply.v1"
	DeadLetterType = "city.nabat.deadletter.v1"
)

// Names of the data schemas in routing/kafka/schemas.
const (
	IncidentSchema   = "urn:nabat:schema:incident-data:v1"
	JournalSchema    = "urn:nabat:schema:journal-data:v1"
	ReplySchema      = "urn:nabat:schema:reply-data:v1"
	DeadLetterSchema = "urn:nabat:schema:deadletter-data:v1"
)

// cloudEvent is a CloudEvents 1.0 record in JSON structured mode. The source
// differs by topic, because source and id together name one event and each
// service has its own projection of it.
type cloudEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	DataSchema      string    `json:"dataschema"`
	Data            any       `json:"data"`
}

// JournalLine is one line of the journal for other systems. Details are the
// stored bytes, so that Hash and DataSHA can be checked; null when erased.
type JournalLine struct {
	Seq      int64               `json:"seq"`
	Incident dispatch.IncidentID `json:"incident"`
	Version  int                 `json:"version"`
	Actor    dispatch.Actor      `json:"actor"`
	Kind     dispatch.EventKind  `json:"kind"`
	Details  json.RawMessage     `json:"details"`
	DataSHA  string              `json:"dataSha"`
	PrevHash string              `json:"prevHash"`
	Hash     string              `json:"hash"`
}

// DeadLetter is a record that could not be published or taken, with the reason.
type DeadLetter struct {
	Reason    string    `json:"reason"`
	Topic     string    `json:"topic"`
	Partition *int32    `json:"partition,omitempty"` // absent: it never reached the broker
	Offset    *int64    `json:"offset,omitempty"`
	Key       []byte    `json:"key"`   // base64
	Value     []byte    `json:"value"` // base64, the record's octets
	Size      int       `json:"size"`  // of the whole value
	SHA256    string    `json:"sha256"`
	At        time.Time `json:"at"`
	// Truncated says that Value holds only the beginning, because the whole
	// did not fit into a record.
	Truncated bool `json:"truncated,omitempty"`
}

// Message is a record for the broker.
type Message struct {
	Topic string
	Key   []byte
	Value []byte
}

func message(topic string, e dispatch.Event, source, kind, schema string, data any) (Message, error) {
	value, err := json.Marshal(cloudEvent{
		SpecVersion: "1.0", ID: e.ID.String(), Source: source, Type: kind, Subject: e.Incident.String(),
		Time: e.At.UTC(), DataContentType: "application/json", DataSchema: schema, Data: data,
	})
	if err != nil {
		return Message{}, fmt.Errorf("record of event %s: %w", e.ID, err)
	}
	return Message{Topic: topic, Key: []byte(e.Incident.String()), Value: value}, nil
}

// incidentMessage is the record of an event for a service, if it must hear of it.
func incidentMessage(e dispatch.Event, s dispatch.Service) (Message, bool, error) {
	p, hears, err := Project(e, s)
	if err != nil || !hears {
		return Message{}, hears, err
	}
	m, err := message(IncidentsTopic(s), e, "/nabat/incidents/"+string(s),
		incidentTypePrefix+string(e.Kind)+typeSuffix, IncidentSchema, p)
	return m, true, err
}

// journalMessage is the record of an event for everybody who may read the journal.
func journalMessage(e dispatch.Event) (Message, bool, error) {
	m, err := message(JournalTopic, e, "/nabat/journal",
		journalTypePrefix+string(e.Kind)+typeSuffix, JournalSchema, JournalLine{
			Seq: e.Seq, Incident: e.Incident, Version: e.Version, Actor: e.Actor, Kind: e.Kind,
			Details: json.RawMessage(e.Data), DataSHA: hex.EncodeToString(e.DataSHA[:]),
			PrevHash: hex.EncodeToString(e.Prev[:]), Hash: hex.EncodeToString(e.Hash[:]),
		})
	return m, true, err
}

// maxTruncated is how much of a value a truncated dead letter still carries.
const maxTruncated = 64 << 10

// deadMessage wraps a record that failed for good. id must be the same each
// time that the same record fails.
func deadMessage(id string, d DeadLetter) (Message, error) {
	d.Size = len(d.Value)
	sum := sha256.Sum256(d.Value)
	d.SHA256 = hex.EncodeToString(sum[:])
	d.At = d.At.UTC().Truncate(time.Microsecond)
	if d.Key == nil {
		d.Key = []byte{}
	}
	if d.Value == nil {
		d.Value = []byte{}
	}
	if d.Truncated && len(d.Value) > maxTruncated {
		d.Value = d.Value[:maxTruncated]
	}
	value, err := json.Marshal(cloudEvent{
		SpecVersion: "1.0", ID: id, Source: "/nabat/deadletter", Type: DeadLetterType, Time: d.At,
		DataContentType: "application/json", DataSchema: DeadLetterSchema, Data: d,
	})
	if err != nil {
		return Message{}, fmt.Errorf("dead letter %s: %w", id, err)
	}
	return Message{Topic: DeadLetterTopic, Key: d.Key, Value: value}, nil
}
