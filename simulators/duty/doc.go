// Package duty plays the duty system of an emergency service: it reads the
// service's own topic nabat.incidents.<service> and answers on
// nabat.replies.<service>, as a city's systems do, knowing nothing of Nabat but
// the records (CloudEvents 1.0 JSON, key = incident id).
//
// For each incident it is given it says received, accepted, en_route, arrived,
// working, completed, with the pauses that people make; a share it refuses, with
// a reason, and a smaller share it gives up at the place. When the card is closed
// or cancelled it says no more.
//
// It keeps nothing between runs. A new run reads the topic from its beginning
// and resumes whatever has not ended there; what it decides and the ids of its
// replies are functions of the event's id, so that a reply which was sent before
// is the same reply, and the engine takes it once.
//
// Records that come twice are told by their event id, counted and ignored. The
// delay of a record is the time from its event to our reading it; records from
// before the start are not timed.
//
// A Run whose time is over before any broker answered says so: ErrNoBroker.
//
// Service.Run owns two goroutines and the client, and returns after all is gone.
// Replies that were handed to the broker get a few seconds to arrive first.
package duty
