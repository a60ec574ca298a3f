// Package panel plays alarm panels that speak SIA DC-09 over TCP and UDP.
//
// The frames are written by an encoder of this package's own, not by the
// engine's codec: two independent hands have to agree on every octet. Contact ID
// (ADM-CID), SIA-DCS and link tests (NULL) are spoken in clear.
//
// A panel has one frame in flight. It waits a while for the answer, sends the
// same octets again, and after some tries gives the signal up as lost; that is
// all the standard promises of a panel, so whatever the receiver does not
// acknowledge and the panel still holds must come again. An ACK with another
// sequence number is an answer to something older and is passed over.
//
//	Frame, ParseReply   the octets
//	Event, Mix          what happens, and how often each kind
//	TCP, Shared,        ways to a receiver: a connection of one's own, one that
//	Sockets             many panels share without waiting for each other (as a
//	                    receiver passes panels on), or a few UDP sockets
//	Panel               one device: sequence numbers, tries, outcome
//	Load                many panels at once, at a rate or as fast as answered
//
// Sockets.Run and Load.Run own the goroutines they start and return after all of
// them are gone. Ending their context closes every connection at once; a signal
// that was in flight then is counted as withdrawn, neither acknowledged nor lost.
package panel
