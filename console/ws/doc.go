// Package ws is the consoles' websocket: the transport of what package console
// decides to tell and to do.
//
// A console gets hello, a snapshot, then numbered deltas of the board with the
// epoch of this server's life, and a beat each second. «prev» of a delta is the
// number that this very console heard last; if it is not, or the epoch is
// another, the console asks for «resync» and gets a snapshot. Commands carry an
// id made by the client and are answered by «result»; sending one again is
// harmless. «watch» opens a card's journal.
//
// The form of save and send holds the fields to change, each with the value that
// it grew from:
//
//	{"t":"cmd","id":"…","kind":"save","incident":"…",
//	 "form":{"place":"Садовая ул., 2","base":{"place":"Садовая"}}}
//
// A base that is no longer what is stored makes the result a conflict that names
// the field and brings the card; package console has the rules.
//
// # Who gets in
//
// The handshake must show a session cookie and an Origin that names our host, or
// a bearer token. Every command is checked against the person's role and looks
// the session up afresh. When a session ends, by time, by hand or because its
// owner's role changed, the socket is closed with 4001.
//
// # Bounds
//
// At most MaxSockets connections, and maxPerPerson of one person or program,
// however many sessions they have. A message is at most console.MaxCommand
// (512 KiB) of text: a command that is too long but within that is answered
// «invalid», above it the connection is closed (1009), and the client gives that
// command up. More than some tens of messages a second end the connection (1008).
// Commands wait in a queue of their own; one that finds it full is answered «busy»
// and may be sent again. Frames to a console wait in a queue of 256: a console that
// does not read is closed with 4008 and resumes by a snapshot, so that it never
// holds up the others.
//
// # Goroutines
//
// ServeHTTP reads, and owns one goroutine that writes and one that carries out
// commands; it returns after both. Run ends every connection (1001) when its
// context ends and returns when all have gone; http.Server.Shutdown does not
// know hijacked connections.
package ws
