// Package operator plays the people at the consoles: call-takers and a shift
// supervisor. They use the public API and websocket and nothing else, as the
// browser's application does: login, snapshot, numbered deltas, commands with
// ids of their own.
//
// A call-taker looks for drafts of calls and text messages, lets a moment pass
// as a person does, and then either sends the card with a filled form or closes
// it without a response. Several call-takers share the drafts out by the
// incident's id, without talking to each other. A draft on which somebody has
// begun to type is left to that person; a call that ended before it was answered
// is closed as dropped. A supervisor closes cards whose services have reported
// their end, and after a longer while those that every service refused.
//
// A command is sent again with the same id, over reconnections too, until its
// result came; «busy» is no result. The board follows the protocol: a delta whose
// prev is not the number held last, or another epoch, asks for a new snapshot.
//
// Person.Run owns its connection's one reader goroutine; everything else happens
// in Run itself. It reconnects after any failure, logs in again after 4001, and
// returns nil when ctx ends.
package operator
