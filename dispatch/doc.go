// Package dispatch is the domain of Nabat: contacts, incident cards, assignments
// to services, and the journal of everything that changed.
//
// Nothing here does I/O. A change is a pure method on Card: value in, value out,
// the time given. It returns the new card and the events that tell the change;
// the store (dispatch/postgres) writes both in one transaction, numbers the
// events and chains their hashes. A method that refuses leaves the caller's copy
// as it was.
//
// Words:
//
//	Contact     one approach from outside by a person: a call, an SMS
//	Incident    the card: what, where, who; has a state and a version
//	Assignment  one service's part of an incident, with its own chain of statuses
//	Card        an incident together with its assignments: the unit of change
//	Event       one line of the journal; an incident's version is its last event's
//
// Incident states (see next in incident.go for the legal moves):
//
//	draft -> registered -> dispatched -> under_way -> worked -> closed
//	draft -> closed (no response needed); any open state -> cancelled;
//	closed, cancelled -> reopened
//
// Assignment states follow promise P4: added, published, received, accepted,
// refused, en_route, arrived, working, completed, work_refused, cancelled.
//
// An empty string, a nil pointer or a zero time always means «not known»; a zero
// number is never used for that.
package dispatch
