package routing

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"nabat/dispatch"
)

// Bounds of a reply; routing/kafka/schemas/reply.v1.json repeats them.
const (
	MaxReplyBytes   = 64 << 10
	MaxReplyID      = 128
	MaxReplySource  = 2048
	MaxOrderNumber  = 64
	MaxReplyComment = 2000
)

// replyStatuses are what a service may say.
var replyStatuses = []dispatch.AssignmentState{
	dispatch.Received, dispatch.Accepted, dispatch.Refused, dispatch.EnRoute, dispatch.Arrived,
	dispatch.Working, dispatch.Completed, dispatch.WorkRefused,
}

// Reply is what a service says of its part of an incident. Which service it is
// comes from the topic alone.
//
// Source and ID together tell it from the service's other replies.
type Reply struct {
	ID          string
	Source      string
	Incident    dispatch.IncidentID
	Status      dispatch.AssignmentState
	OrderNumber string
	Comment     string
	// At is when it happened by the service's clock; zero if it did not say. The
	// assignment's own times and the 30 s clock go by ours.
	At time.Time
}

// ParseReply reads a record of a replies topic. The error is the reason for its
// dead letter. Names are matched to the letter: encoding/json alone would take
// «Status» for «status», which the schema does not.
func ParseReply(value []byte) (Reply, error) {
	var r Reply
	if len(value) > MaxReplyBytes {
		return r, fmt.Errorf("%d bytes; a reply has at most %d", len(value), MaxReplyBytes)
	}
	if !utf8.Valid(value) {
		return r, fmt.Errorf("not UTF-8")
	}
	event, err := object(value)
	if err != nil {
		return r, fmt.Errorf("not a CloudEvent in JSON: %w", err)
	}
	for _, c := range []struct{ name, must string }{{"specversion", "1.0"}, {"type", ReplyType}} {
		if v, _, err := str(event, c.name, 1, MaxReplyID); err != nil {
			return r, err
		} else if v != c.must {
			return r, fmt.Errorf("%s is %q, not %q", c.name, v, c.must)
		}
	}
	if r.ID, _, err = str(event, "id", 1, MaxReplyID); err != nil {
		return r, err
	}
	if r.Source, _, err = str(event, "source", 1, MaxReplySource); err != nil {
		return r, err
	}
	subject, _, err := str(event, "subject", 1, 36)
	if err != nil {
		return r, err
	}
	if r.Incident, err = incidentID(subject); err != nil {
		return r, err
	}
	raw, ok := event["data"]
	if !ok {
		return r, fmt.Errorf("data is missing")
	}
	data, err := object(raw)
	if err != nil {
		return r, fmt.Errorf("data: %w", err)
	}
	err = r.data(data)
	return r, err
}

func (r *Reply) data(data map[string]json.RawMessage) error {
	for name := range data {
		if !slices.Contains([]string{"status", "orderNumber", "comment", "at"}, name) {
			return fmt.Errorf("data has the unknown field %q", name)
		}
	}
	status, _, err := str(data, "status", 1, 32)
	if err != nil {
		return err
	}
	r.Status = dispatch.AssignmentState(status)
	if !slices.Contains(replyStatuses, r.Status) {
		return fmt.Errorf("status %q is none of %v", status, replyStatuses)
	}
	if r.OrderNumber, _, err = str(data, "orderNumber", 0, MaxOrderNumber); err != nil {
		return err
	}
	if r.Comment, _, err = str(data, "comment", 0, MaxReplyComment); err != nil {
		return err
	}
	if (r.Status == dispatch.Refused || r.Status == dispatch.WorkRefused) && strings.TrimSpace(r.Comment) == "" {
		return fmt.Errorf("a refusal must have a comment")
	}
	at, given, err := str(data, "at", 0, 64)
	if err != nil || !given {
		return err
	}
	if r.At, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return fmt.Errorf("at %q is not a time of RFC 3339", at)
	}
	return nil
}

func object(raw []byte) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fmt.Errorf("null")
	}
	return m, nil
}

// str reads a text field of some length in characters; least 0 makes it
// optional. U+0000 is refused: no database text can hold it.
func str(m map[string]json.RawMessage, name string, least, most int) (s string, given bool, err error) {
	raw, given := m[name]
	if !given {
		if least > 0 {
			return "", false, fmt.Errorf("%s is missing", name)
		}
		return "", false, nil
	}
	if len(raw) == 0 || raw[0] != '"' {
		return "", true, fmt.Errorf("%s is not text", name)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", true, fmt.Errorf("%s: %w", name, err)
	}
	n := utf8.RuneCountInString(s)
	switch {
	case n < least:
		return "", true, fmt.Errorf("%s is empty", name)
	case n > most:
		return "", true, fmt.Errorf("%s is longer than %d characters", name, most)
	case strings.ContainsRune(s, 0):
		return "", true, fmt.Errorf("%s holds U+0000", name)
	}
	return s, true, nil
}

func incidentID(s string) (dispatch.IncidentID, error) {
	u, err := uuid.Parse(s)
	if err != nil || u.String() != s || u == uuid.Nil {
		return dispatch.IncidentID{}, fmt.Errorf("subject %q is not an incident's id", s)
	}
	return dispatch.IncidentID(u), nil
}
