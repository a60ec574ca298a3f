// Package alarms is the alarm side of the house: what a panel's message means,
// whether it was heard before, and what becomes of it.
//
// # The way of a message
//
// Read turns a DC-09 frame into a Message: account, events in the house's words
// (Class, Condition), times. Further protocols will have readers of their own
// beside it and share everything after. Receiver.Take makes a Notification of
// each event, recognises repeats, decides, and returns only when everything is
// committed. Receiver.AnswerAll does both for the frames that one sender sent
// without waiting, and writes the replies in their order; Verdict.Reply is the
// whole map from what happened to what the panel hears.
//
// # What is promised
//
//   - A panel is acknowledged after the commit and never before (promise P1).
//     Whatever is our fault is silence, because silence makes the panel repeat.
//   - A repeat is a message of the same account and content within Window of its
//     original, on whatever path, unless the opposite condition came between. Its
//     row is stored with Duplicate set. It is answered only when its original
//     has committed; if that failed it takes its place, under the same id, so
//     that an original whose commit we could not learn of is never doubled
//     (promise P2). The keys of the window come from the database before the
//     first frame: Receiver is silent until Load has run.
//   - The alarms of Opens open a card by themselves, in the same transaction as
//     their row. Nothing urgent waits for a person (promise P3), except that an
//     account nobody registered gets a draft, which is never routed by itself.
//   - At most MaxStrangers such drafts are open at once. Beyond that the urgent
//     alarms of unknown accounts are stored and acknowledged all the same, and
//     gather in one draft: its description counts them, its journal and its
//     notifications name each. It is never routed by itself either; once a person
//     has made something of it, the next strangers open another. Registered
//     panels are never affected.
//   - A further alarm of the same facility and class within JoinWithin of the
//     card's last signal goes to that card as long as it is open; a restore is
//     noted on it and never closes it.
//   - Heartbeats and good frames move «last seen» in memory; Run flushes it in
//     batches. They have no row.
//   - Each notification stores a sentence that says why it was treated so.
//
// # Goroutines and bounds
//
// Receiver owns one goroutine, in Run. Take works on its caller's; AnswerAll has
// one more for each further account of a batch, and waits for them. The frames
// of one account keep their order and share commits. The memory of
// the window is bounded: when it is full the oldest key goes early, and is
// counted. Open cards are bounded by facilities and classes; those of unknown
// accounts are forgotten once no alarm would join them and there are too many.
package alarms
