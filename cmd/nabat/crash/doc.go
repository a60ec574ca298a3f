// Package crash is the kill test: it proves promises P1 and P2 on the built
// binary, and holds nothing that runs in production.
//
// An engine with its embedded database and broker is killed with SIGKILL at
// random moments while panels, callers, an SMS gateway, people at consoles and
// the services' own systems work with it from outside, in half of the rounds together with every process of
// its PostgreSQL in the same instant; then it is started again on the same data
// and everybody goes on. The outside remembers what it was told, repeats what
// was not acknowledged as the real peers do, and in the end the database, the
// journal and the topics are held against that memory. Some answers are lost on
// their way back, so that much is stored which was not acknowledged: a restart
// must recognise it when it comes again.
//
//	TestKill                       the proof: 20 kills in `make test`, 200 in
//	                               `make kill` and `make soak` (KILLS, -kills)
//	TestForgetfulDatabaseIsFound   the proof of the proof: on a database that
//	                               confirms before it has written, the same
//	                               checker must report lost signals
//
// # What counts as acknowledged
//
// An ACK of DC-09; a 200 to a MESSAGE; a 180 or a 200 to an INVITE; the result of
// a command, «ok» or refused, but for «busy».
//
// # Who is at the consoles
//
// Two call-takers, two supervisors and a duty officer of each service, on the
// websocket and nothing else. They save drafts, send them, send again with other
// words, close without response, cancel, close what is worked, and answer for
// their service where its own system does not. Each command is sent with the same
// id until its result came, over restarts too; after each restart some that were
// answered earlier are sent once more and must be answered as before. A board
// whose delta does not follow what was held, and a duty officer's board with
// another service's card on it, end the test.
//
// # What is checked
//
//   - each acknowledged signal is stored as an original exactly once, and no
//     signal twice within the window of repeats, acknowledged or not;
//   - each signal that belongs to a card is told on exactly one card, once;
//   - each acknowledged call and text has one contact and one card, and no call
//     has two; lines that went with a killed engine are ended line_lost and due
//     for a call back;
//   - each command that was done is in the journal exactly once, under its
//     person's name, and its outcome is stored; one that was refused is not;
//   - `nabat audit verify` is content, signed heads included;
//   - each event of the journal is on nabat.journal and on the topics of the
//     services that it concerns, in the order of its incident; what is there
//     twice is the same to the byte; nothing is there that the database does not
//     hold;
//   - each reply that the broker confirmed is applied once; in the dead letters
//     are only replies for assignments that a supervisor had withdrawn.
//
// The test ends as soon as anybody outside complains, the engine ends by itself,
// nothing is acknowledged for half a minute, or a check sees the house come no
// further for twenty seconds.
//
// Killing the engine alone proves little about durability, because PostgreSQL
// finishes what it has confirmed: hence the double kills. The backends of
// PostgreSQL are sessions of their own, so they are found by their parent.
//
// The outside's goroutines end before each test does; whatever processes are
// left are killed by number when it fails.
package crash
