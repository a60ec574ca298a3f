// Package media carries the sound of a call: RTP over UDP with G.711, the SDP
// that agrees on it, and the recorded prompt that a waiting caller hears.
//
// Protocols: RTP and its audio profile (RFC 3550, 3551), SDP offer/answer
// (RFC 4566, 3264), telephone-event is agreed to and skipped (RFC 4733). G.711
// passes end to end: nothing is transcoded, the prompt exists in A-law and is
// turned into µ-law by a table.
//
// A Pool hands out Sessions, one UDP socket each, from a port range or from the
// kernel. A closed port rests for the quarantine, so that late packets of the
// last call never reach the next one; when no other is free, the one that has
// rested longest serves after two seconds. No free port is ErrNoPort; the caller
// decides to wait.
//
// Session.Run owns two goroutines (reader, player) and returns when its context
// ends, with the socket closed. It is never the reason why a call ends: silence
// from the other side is counted and logged once per spell, nothing more.
//
// Symmetric RTP: sound goes to the address in the SDP until the first valid
// packet arrives; from then on to and from that packet's source alone, unless the
// address in the SDP itself speaks up. Packets from any other source are counted
// and dropped, until a re-INVITE names another address. So are those of the call
// that had the port before (its source with its SSRC), unless the SDP names that
// very address: nobody hears or is heard in a stranger's call.
//
// The RTCP port is not opened: no reports are sent or read yet.
package media

//go:generate ./prompt/generate.sh
