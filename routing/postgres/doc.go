// Package postgres keeps what package routing must remember: published
// rulesets, how far each topic has been published, and which replies were taken.
//
// Cards are changed through dispatch/postgres, so that a reply, the note that it
// was taken, and the events that tell of it commit together or not at all.
package postgres
