// Package sipwire is a small SIP client of the simulators' own: messages, one
// transport to one peer over UDP or TCP, and client transactions with their
// timers (RFC 3261 §17.1). It shares no code with the engine's SIP side, so that
// the two ends of a test do not agree on the same mistake.
//
// It is a tool for sending, not a general stack: a single peer, no DNS, no
// authentication, no TLS. What arrives and belongs to no call is answered 481.
//
// Endpoint.Run owns the one reader goroutine. A Call belongs to one goroutine,
// which sends and receives in turn; nothing here calls back from elsewhere. A
// call's inbox is bounded: when its owner does not read, further messages are
// dropped and counted, and the peer repeats what matters.
package sipwire
