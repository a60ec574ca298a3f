// Package day lets the demo city live: its 6,406 panels with their link tests
// and notifications, its callers and text messages, and, if addresses of a
// console and of Kafka are given, the people who work: call-takers, a supervisor
// and the duty services. It is what `nabat demo` starts beside the engine, and
// what `nabatsim day` runs alone.
//
// The pace is the real city's mean (figures in pace.go), times Speed; link tests
// keep the period that is agreed for each panel whatever the speed, spread over
// it from the start. The first call comes within seconds, the first fire alarm
// within 15 s, the first SMS within half a minute, so that a newcomer need not
// wait.
//
// Everything speaks the public protocols only. City.Run owns every goroutine it
// starts and returns when all have gone; live calls are hung up first, which
// takes at most about two seconds.
//
// Bounds: link tests go through 16 UDP sockets and 64 workers, at most 100 alarms
// and 200 calls are under way; what would be more is left out and counted.
package day
