// Package console is the server half of the consoles: the HTTP API, accounts and
// roles, commands, and what each screen is sent.
//
// # HTTP
//
// Handler answers everything on the console's address: the application (/), the
// API (/api/v1/…, described in OpenAPI 3.1 at /api/openapi.json) and, handed in
// by package console/ws, the websocket (/ws). Lists answer {items, next}, newest
// first, by a cursor over (time, id); unknown, repeated and empty parameters are
// refused. Errors are application/problem+json with a code, in Russian and
// English. A notification's raw frame is shown as lower-case hex.
//
// # Who may do what
//
//	operator       every incident; save, send, closeWithoutResponse, hangUp
//	duty:<service> incidents that have its assignment, trimmed; reply for its own
//	supervisor     everything
//	admin, auditor read everything, change nothing
//
// A duty officer sees who else got a card and how far they are, but not the other
// services' words, order numbers and officers, and of the calls behind the card what
// the card itself shows: how the first of them came and from which number.
//
// Passwords are argon2id (19 MiB, 2 passes, 1 lane) in PHC format. A session is a
// random cookie that lives for a shift; the database holds its SHA-256 only. A
// login that does not exist costs the same work and is answered with the same
// words as a wrong password, and attempts are limited per login and peer in
// bounded memory. Requests that change something must come from our own page
// (Origin) when a cookie goes along; a bearer token needs no Origin, but a
// foreign one is refused.
//
// # Commands
//
// A command carries an id made by its client. Its outcome, a refusal by the
// state rules included, is stored in the transaction of its effect, so a resend
// is answered from there and two sendings that race have one effect. «busy»
// alone is no outcome: send again. Hanging up is the one effect outside the
// database; doing it twice is harmless.
//
// A form holds only the fields that change; an absent one is left alone. Each may
// carry its base, the stored value that the new text grew from: if somebody else
// has changed that field meanwhile, the whole command is refused as a conflict
// that names it, and the result brings the card as it stands, so that a person
// can choose. Two people at one draft so lose no word of either. A field without a
// base is set, which is what programs do.
//
// # Screens
//
// The Hub holds every open card in memory. It follows the journal, re-reads the
// cards that changed, and sends each seat what its audience may see: a snapshot,
// then deltas numbered by journal position, with the epoch of this life of the
// server. A delta's «prev» is what that seat heard last. A beat goes out every
// second from a goroutine that reads no database; when the journal was not read
// to its end for a second it says «stale», so that a screen can show that its
// data may be old although its socket lives.
//
// # Goroutines and failure
//
// Server.Run owns the hub's two goroutines and the one that sweeps sessions;
// requests run in their own. Without the database the server goes on: it beats
// «stale», lets logins, requests and commands wait up to ten seconds, so that a
// restart of PostgreSQL costs nobody an answer, then refuses them as «busy», and
// catches up by itself. No screen can hold up another: Screen.Send must not block.
//
// Door bounds how many may connect; Serve gives up whoever says nothing (headers in
// 10 s, a request in 30 s, idle for 2 min). A connection without a place is closed
// at accept, counted, and costs no goroutine.
package console
