// Package routing decides which services get an incident, tells them over the
// broker, and takes their replies.
//
// # Rules
//
// A ruleset is a YAML file whose conditions are CEL over one variable, incident,
// and declared words (class.fire, type.gas, …). Compile checks all of it: an
// unknown key, fact, word or service, a condition that is not a yes-or-no, and a
// ruleset without a catch-all are refused with line and column of the YAML file.
// Every rule that matches adds its services; the first one to name a service
// gives the reason. If none matches, or if one could not be evaluated, the
// catch-all adds its own: no signal is left without a service.
//
// A fact that is not known is a CEL unknown, never a zero: a condition that
// hangs on it does not match, and Explain says on which fact it hangs.
//
// An alarm's class and a person's type may differ. A card that an alarm opened by
// itself goes by both, which then agree: type is what the class gave. When an
// operator sends the form with another type, the type alone decides: class is not
// a fact of that card any more (dispatch.Card.Facts). When the form is sent with
// the type unchanged, class stays, because it may say more than the type: carbon
// monoxide is of type gas and calls the medical service besides. Services that
// have the card already keep it whatever the new type is.
//
// Decide is pure, has no bound to wait for and may be called from anywhere.
// Holder is the swappable ruleset that the house asks.
//
// # Relay
//
// Relay follows the journal and publishes, one loop per topic, a CloudEvent for
// every event that the topic's service must hear (Project) and for every event
// at all (nabat.journal). Promise P5: in order per incident, at least once, with
// the event's id to drop repeats by. A topic's position is saved only after the
// broker confirmed everything up to it, so a crash repeats and never skips. A
// topic that is stuck holds only its own loop. A record that the broker refuses
// for good goes to nabat.deadletter and its assignment shows «not deliverable».
// Only the holder of the lease runs it; when its context ends, it stops at once.
//
// # Replies
//
// Replies takes what services answer. The service is the topic's name, never a
// field. A reply is applied once, in one transaction with the row that says so;
// the broker's offset moves only after that. What can never be applied goes to
// nabat.deadletter with its bytes and the reason and blocks nobody; a database
// that is away is waited for.
//
// The packages below hold the drivers: routing/kafka the broker, routing/postgres
// rulesets, positions and taken replies.
package routing
