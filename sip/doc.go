// Package sip is what a telephone call means to the house, without a socket in
// it: the states of a call leg, the key that recognises a repeated INVITE or
// MESSAGE, who is calling, what of a request we rely on and therefore check, and
// where a request of ours has to go.
//
// Protocol: RFC 3261 with 3262 (not offered), 3311 (UPDATE), 3325
// (P-Asserted-Identity), 3428 (MESSAGE), 4028 (session timers, refreshed by the
// caller, who is asked when it does not), 6026 and 6086 (INFO packages, none understood yet).
//
// Everything here is a pure function or a value with pure methods, so that every
// rule can be tried without a network. Package gateway puts it on sipgo's
// transactions, package media carries the sound.
//
// Guarantees:
//
//   - Leg never leaves a call without exactly one End, whatever order of events
//     the network and the house produce (leg_test.go tries random ones).
//   - ContactKey is the same for every copy of one INVITE or MESSAGE and differs
//     between different ones; it fits a database index.
//   - Text that leaves for the database is valid UTF-8 without control
//     characters; a header that holds a bare line feed is never echoed.
package sip
