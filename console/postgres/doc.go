// Package postgres keeps operators, their sessions, bearer tokens and the
// outcomes of commands in PostgreSQL, and reads the pages of the console's
// lists.
//
// It writes only its own tables: operators, sessions, tokens and commands.
// Incidents, contacts, notifications, facilities, panels and zones belong to
// others and are only read. A command's outcome is written in the transaction of
// its effect, through the group-commit writer of dispatch/postgres: both are
// there or neither.
//
// Of a session and a token only the SHA-256 is stored; of a password only its
// argon2id hash.
//
// Every list is a keyset page over (time, id), newest first: rows that come in
// while somebody walks the pages neither hide nor repeat one.
package postgres
