// Package listen accepts DC-09 over TCP and UDP and hands the frames to an
// Intake, which says what is answered.
//
// Listeners and packet conns are passed in. TCP.Run and UDP.Run block, own every
// goroutine they start and return nil once those are gone after ctx ended.
//
// # TCP
//
// One goroutine a connection, which reads, waits for the commit and writes: the
// replies of a connection leave in the order of its frames, and a panel that
// sends faster than the house commits is slowed by its own socket. Persistent
// and one-shot connections are the same; we never close first while a frame is
// being answered. A connection starts with a small buffer, so that idle panels
// cost little.
//
// A frame that stops half-way is given Options.Pause before its length field is
// read in the ways of panels that print it wrongly, and Options.FrameTimeout
// before the reader gives it up and goes on from the next LF. A connection that
// brings a frame's worth of junk without a frame, or begins in another protocol
// (HTTP, TLS and so on), is closed unanswered and counted.
//
// Full? Beyond Options.MaxConns a new connection is closed at once and counted:
// panels try their next path or come again. Frames are never taken and dropped.
//
// # UDP
//
// A bounded number of workers; one source always goes to the same, so its frames
// stay in order. A worker's queue that is full drops the datagram, counted: the
// panel hears nothing and repeats.
package listen
