// Package postgres keeps contacts, cards and the journal in PostgreSQL.
//
// # Group commit
//
// Writer is the only way by which cards and the journal change. Callers hand it
// a Unit and block until it is committed. Each of its loops owns one connection
// and puts whatever waits, up to maxBatch units, in one transaction: new
// contacts are inserted and changed cards are locked in one round trip, the pure
// dispatch.Decide functions run in memory, then everything is written with
// COPY and UNNEST and committed with one flush: three round trips in all. Rows of
// other packages come in COPY's binary form already, so that the loop only passes
// octets on. There is no linger: while one batch commits the next one gathers by
// itself.
//
// Each caller gets its own result. A unit whose Decide refuses costs its
// neighbours nothing. If the database refuses the batch, it is rolled back and
// every unit runs again in a transaction of its own, so only the bad one fails.
//
// A commit whose answer was lost is looked up: every batch leaves its number in
// the loop's row of table writers, and after reconnecting that row says whether
// the batch is there. If that cannot be learned in time the callers get
// dispatch.ErrBusy, do not answer their peers, and the peers' repeats are
// recognised by their keys. A batch whose connection turns out to be dead before
// COMMIT was sent runs once more on a new one: after a restart of the database
// nobody is refused because a loop had lain idle.
//
// While the database stops, recovers or cannot be reached, and nothing of a batch
// can have been stored, its units wait for it, each as long as its caller does;
// whoever has gone meanwhile is left out. A writer that is told to stop waits no
// more. Patiently does the same for what is harmless when it is done twice.
//
// Full? Do waits for room until its context ends and then returns
// dispatch.ErrBusy: panels are not acknowledged and repeat, a SIP leg keeps
// ringing and tries again, a console shows that its command is not confirmed.
//
// # Journal order
//
// Event numbers become visible in their order, because a trigger takes one
// advisory lock before the first number is drawn and holds it until the commit
// is visible; events are therefore the last thing that a batch writes. «seq
// greater than mine» is safe for every reader. Wake tells readers that there is
// something new: at once for this process's commits, by NOTIFY (sent after the
// commit, from outside the transaction) for other nodes'; readers poll besides.
//
// # Lives
//
// Every engine announces its life (Runs) and is heard every five seconds, by the
// database's clock. The calls of a run that said it is over, or was not heard for
// RunTerm, are ended as line_lost, due for a call back, by whichever node finds
// it. A node alone with its database ends the run before it at once.
//
// A Progress that its contact has heard already changes nothing and adds no
// event: its sender had lost the answer.
//
// # Goroutines
//
// Writer.Run and Wake.Run own theirs and return when their context ends. A
// writer first commits what was queued before it was told to stop.
package postgres
