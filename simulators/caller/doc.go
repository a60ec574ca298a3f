// Package caller plays people who ring 112: SIP calls with sound.
//
// A call is INVITE, the answer, ACK, sound both ways for a while, BYE. The
// caller sends G.711 A-law every 20 ms (a quiet hum) and listens: it counts the
// packets it hears and tells a prompt from silence. It can also give up while it
// rings (CANCEL), repeat its INVITE as a bad network does, and let the other
// side hang up.
//
// Signalling is package sipwire's, not the engine's library: the two ends share
// no code. Each call is one goroutine of Caller.Ring, plus one that sends sound
// and one that hears it; all three have ended when Ring returns. Load runs many
// calls at a rate with a bound on how many are held at once.
//
// Every call ends with one Result; Ring never leaves a dialog open that it could
// still end: a call that is stopped halfway is cancelled or hung up first.
package caller
