// Command bench measures a running engine, each figure beside a ceiling from the
// same run on the same processors with the same generator.
//
// It starts the engine that --engine names on a fresh data directory with its
// own PostgreSQL (fsync on) and broker, registers the made-up city, and measures
// in this order, because each leaves a larger database behind:
//
//  1. wire → Kafka: from the octets of a fire alarm to its record in the hands of
//     an independent consumer; beside one durable commit plus one produce-and-wait.
//  2. alarms acknowledged per second: the city's mix from registered accounts,
//     one frame in flight on each connection; beside E, a bare responder that
//     checks the frame and answers, and C, COPY of the same rows into a table with
//     the same columns and indexes, in batches and by writers as the engine's.
//     One processor does first the one and then the other, so the ceiling of both
//     is 1/(1/E + 1/C).
//  3. INVITEs per second, raised until something fails or is late; beside a bare
//     answering machine on the same SIP library, and the rows of a call committed
//     without any SIP.
//
// The generators and the bare responders are lean on purpose: on two processors
// whatever they spend is taken from the engine. Everything is measured in slices
// and told as lowest, median and highest, because machines are noisy; of the
// ceilings one slice stands beside each slice of the engine.
//
// After each part the database is asked: an acknowledged signal that is missing,
// or stored twice as an original, is a problem, and the exit code is 1.
//
// The responders are this program started again under another name («responder»,
// «answerer»), so that they are processes of their own as the engine is;
// --profile DIR starts the engine in the same way («engine») to see where its
// time goes.
package main
