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
// sends faster than the house commits is slowed by its own socket. Frames that a
// sender did not wait between are handed in together, up to Options.Together, and
// share commits. Persistent and one-shot connections are the same; we never close
// first while a frame is being answered. A connection starts with a small buffer,
// which grows with a burst and shrinks after it: an idle one costs about 10 kB,
// most of it the goroutine's stack.
//
// A frame that stops half-way is given Options.Pause before its length field is
// read in the ways of panels that print it wrongly, and Options.FrameTimeout
// before the reader gives it up and goes on from the next LF. A connection that
// brings a frame's worth of junk without a frame, or begins in another protocol
// (HTTP, TLS and so on), is closed unanswered and counted; so is one that has
// brought no frame within Options.FirstFrame.
//
// Full? One source (an IPv4 address, an IPv6 network of 64 bits) may hold
// Options.PerSource connections; a further one is closed at once: panels try
// their next path or come again. Beyond Options.MaxConns in all, the connection
// that is worth least makes room: one that has brought no frame, else one that
// spoke only for accounts which nobody registered, else a registered panel's that
// has been idle longest, and not under half a minute; it dials again when it has
// something to say. A connection whose frame is being answered is never closed for
// another. If there is none to close, the new one is. All of it is counted, and
// logged once in ten seconds at most. Frames are never taken and dropped.
//
// # UDP
//
// A bounded number of workers; one source always goes to the same, so its frames
// stay in order. A worker's queue that is full drops the datagram, counted: the
// panel hears nothing and repeats. A socket that is bound to all addresses of the
// host answers from the one to which the question was sent (Linux).
package listen
