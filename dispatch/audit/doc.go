// Package audit proves that the journal is what it was (promise P6).
//
// Each event's hash covers the one before it of the same incident, so a changed,
// removed or swapped line inside an incident shows by itself. What does not show
// by itself, a cut tail or an incident that is gone with all its lines, shows
// against signed heads: statements «up to line Seq the journal had Events lines
// with the running digest Digest», signed with Ed25519 (RFC 8032) and appended
// to a file outside the database, at least daily, at start and at every clean
// stop. The running digest of line n is SHA-256(digest of line n-1, hash of line
// n), beginning with 32 zero octets.
//
// The database remembers the number and signature of the last head (Memory), so
// that a file which was shortened or taken away shows as well. A journal whose
// heads are gone is not signed again until a person says so.
//
// The private key lies beside the heads, mode 0600: it keeps apart whoever may
// write the database from whoever may write the engine's directory. Copy the
// heads elsewhere to be safe from both.
package audit
