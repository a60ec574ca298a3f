package duty

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// record is what we need of an incident's record; unknown fields are passed over.
type record struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject"`
	Time        time.Time `json:"time"`
	Data        struct {
		Kind string `json:"kind"`
		Card struct {
			Number int64  `json:"number"`
			Type   string `json:"type"`
			Place  string `json:"place"`
		} `json:"card"`
	} `json:"data"`
}

// Kinds of record that matter here.
const (
	assigned  = "assigned"
	cancelled = "cancelled"
	closed    = "closed"
)

var errRecord = errors.New("not an incident's record")

func parseRecord(value []byte) (record, error) {
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("%w: %w", errRecord, err)
	}
	if r.SpecVersion != "1.0" || r.ID == "" || r.Subject == "" {
		return r, fmt.Errorf("%w: no CloudEvent with id and subject", errRecord)
	}
	return r, nil
}

// reply is a service's answer.
type reply struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject"`
	Time        time.Time `json:"time"`
	ContentType string    `json:"datacontenttype"`
	Data        replyData `json:"data"`
}

type replyData struct {
	Status      string    `json:"status"`
	OrderNumber string    `json:"orderNumber,omitempty"`
	Comment     string    `json:"comment,omitempty"`
	At          time.Time `json:"at"`
}

// replySpace is the namespace of reply ids (RFC 9562 §5.5).
var replySpace = uuid.MustParse("6e616261-742d-8475-9479-7265706c7921")

// newReply makes a reply whose id depends on the event and the status alone.
func newReply(service string, event, incident, status, order, comment string, now time.Time) reply {
	now = now.UTC().Truncate(time.Microsecond)
	return reply{
		SpecVersion: "1.0", ID: uuid.NewSHA1(replySpace, []byte(service+"/"+event+"/"+status)).String(),
		Source: "/simulators/duty/" + service, Type: "city.nabat.reply.v1", Subject: incident, Time: now,
		ContentType: "application/json",
		Data:        replyData{Status: status, OrderNumber: order, Comment: comment, At: now},
	}
}
