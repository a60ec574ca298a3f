// Package simulators is a map of the outside world of Nabat; it holds no code.
//
//	city      the made-up St. Petersburg: facilities, districts, a past, stories
//	panel     alarm panels that speak DC-09, one or thousands
//	caller    people who ring: SIP and sound
//	sms       an SMS gateway
//	duty      a service that reads its Kafka topic and answers
//	operator  call-takers and a supervisor at the public console API
//	day       all of them at the real city's pace
//	sipwire   the small SIP client below caller and sms
//	tally     what was sent, acknowledged, lost, and how long it took
//
// The simulators know the engine by its public protocols alone and write them
// with hands of their own where they can: two programs that share a codec agree
// on its mistakes. Nothing in the engine imports them but `nabat demo`, which
// brings its city along; `nabatsim` has them on the command line.
package simulators
