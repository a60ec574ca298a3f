package routing

import (
	"strings"

	"nabat/dispatch"
)

// Topics of the house. The service is part of the name, so that the broker's
// access rules decide who may read or speak for whom.
const (
	JournalTopic    = "nabat.journal"
	DeadLetterTopic = "nabat.deadletter"
	// NotificationsTopic is made at start, so that access rules and readers can be
	// set up for it; nothing is published to it yet.
	NotificationsTopic = "nabat.notifications"

	incidentsPrefix = "nabat.incidents."
	repliesPrefix   = "nabat.replies."
)

// IncidentsTopic is what a service reads.
func IncidentsTopic(s dispatch.Service) string { return incidentsPrefix + string(s) }

// RepliesTopic is what a service writes.
func RepliesTopic(s dispatch.Service) string { return repliesPrefix + string(s) }

// repliesOf is the service that a replies topic belongs to.
func repliesOf(topic string) (dispatch.Service, bool) {
	name, ok := strings.CutPrefix(topic, repliesPrefix)
	s := dispatch.Service(name)
	return s, ok && s.Valid()
}
