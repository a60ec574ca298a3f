// Package engine puts the house together: one process's worth of receivers,
// store, relay and consoles on sockets, a database and brokers that are handed
// in. It decides nothing itself.
//
// New does everything that must be so before anybody is answered: the schema,
// the months' partitions, the rules, the registry, the memory of repeats, the
// lines that a dead process lost. Stages are then run in order by package
// lifecycle and stopped in the opposite one: SIP and alarms first, so that
// nothing new comes in; then the relay and the consoles; the writer last, after
// it has committed what was queued.
//
// The broker may be away at any time, also at the start: the relay waits for it
// and the rows stay in the journal. The database must be there at the start; when
// it goes later, panels are not acknowledged, callers ring, screens say that
// their data may be old, and everything goes on when it is back.
package engine
