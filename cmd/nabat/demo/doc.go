// Package demo fills an empty engine with a made-up St. Petersburg and lets
// simulated people live in it.
//
// Prepare writes the registry, one login for each role, a token for programs and
// a day of made-up past, straight into the store and before the engine starts;
// it does each of them only once. The past is not published: the outbox cursors
// are set behind it, because no duty service should get yesterday's fires.
//
// Everything that happens afterwards comes from package simulators over the same
// public ways that a city's own systems would use: SIP, DC-09, the console's API,
// Kafka.
package demo
