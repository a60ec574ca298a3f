// Package gateway is the telephone line: it takes calls and messages by SIP over
// UDP and TCP and hands them to the house.
//
// It is the one importer of sipgo and uses it for parsing, transports and
// transactions only. The dialog layer is ours, because sipgo's repeats a 2xx in
// the wrong rhythm, sends no BYE when the ACK never comes, and trips over a
// request that overtakes the ACK.
//
// # A call
//
//	INVITE → 100 at once
//	       → contact and draft card committed → 180
//	       → place and RTP port → 200 with SDP, repeated until the ACK (RFC 3261 §13.3.1.4)
//	       → recorded prompt until BYE from either side
//
// The states are sip.Leg's; this package turns packets and timers into its
// events and its actions into packets and facts.
//
// # Promises
//
//   - A caller hears ringing after its contact has committed, however long that
//     takes: whoever rang is never forgotten by a crash. A call is answered only
//     after the commit. A MESSAGE gets its 200 only then; otherwise 503, and
//     the sender repeats.
//   - A repeated INVITE makes no second card: within its transaction sipgo absorbs
//     it, on another path it gets 482 (§8.2.2.2), after a restart of ours the
//     contact's key is found in the database and the call is taken over with the
//     contact it has.
//   - A caller that vanished is found out. We ask by an OPTIONS within the dialog
//     (RFC 3261 §11) when nothing has come from it for Config.Silence, when its TCP
//     connection is gone (then by a new one, to its Contact or route), when it did
//     not refresh the session that it asked for (RFC 4028), and again every
//     Config.Silence while the doubt lasts, one question at a time with the
//     transaction's 32 s. 481, 408 or no answer end the call: line_lost, callback
//     due, the reason in the journal. Any other answer is life, and so is sound:
//     silence alone never ends a call, and no call that is heard is cut off but by
//     the other side's own 481.
//   - A call that ended is told to the house exactly once, with its reason, also
//     when the commit of the contact was still on its way.
//   - Nothing that came from outside is echoed when it holds a bare line feed.
//
// # Full?
//
//   - Database slow or away: after Config.Slow, or as soon as an attempt to commit
//     failed, the caller's network gets 182 Queued, repeated every minute
//     (§13.3.1.1). It is no 180, which says that the call cannot be forgotten any
//     more, and no 503: a network that has no other way would drop the call on it,
//     while here the commit is tried again with a growing pause and the call is
//     answered when it is stored. Facts of calls that ended meanwhile wait in the
//     same way.
//   - More calls than Config.Calls, or no RTP port: stored and ringing, answered as
//     soon as one ends.
//   - More than three quarters of the legs from one source while Config.Peers is
//     empty: 503 with Retry-After, so that a flood leaves room for the others and
//     no transactions behind. More than three quarters of the places: its calls
//     ring. Who may call at all is Config.Peers' to say: below these bounds every
//     INVITE is somebody's emergency.
//   - More legs than Config.Legs, facts waiting for the database included: 503
//     with Retry-After, so that the trunk takes another way. Counted.
//   - A MESSAGE of more than 16 KiB, as it came or as UTF-8: 413, counted, logged;
//     nothing is cut. In a charset that nobody knows: 415. With octets that its
//     charset does not hold: taken, with replacement characters, and its octets are
//     kept beside the text.
//   - More messages in work than Config.Messages: 503 with Retry-After.
//   - More TCP connections than Config.Connections, or than a quarter of them from
//     one source, or from a stranger: the new one is closed. One without a request for a minute, or
//     silent for a day after it, is closed too.
//   - Out of files: accepting waits, at most a second, and tries again.
//
// # Goroutines and failure
//
// Run owns everything: sipgo's readers, one goroutine and one recorder for each
// call, two for its sound. A panic ends one call (line_lost, callback due) and
// nothing else. When Run's context ends, new INVITEs get 503, live calls get
// their BYE and their end «shutdown» with a callback due, within Config.Drain;
// what could not be stored by then is found by the next start as line_lost.
package gateway
