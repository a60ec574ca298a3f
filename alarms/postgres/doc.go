// Package postgres keeps facilities, panels, zones and notifications in
// PostgreSQL.
//
// Store hands notifications to the group-commit writer of dispatch/postgres, so
// that a notification, its card, its assignments and its events commit together,
// and many messages share one transaction; rows go in with COPY. A second row of
// one id is dispatch.ErrDuplicate, which package alarms uses to learn whether an
// earlier commit happened.
//
// Partitions makes the months of table notifications ahead of time, by the
// engine's own clock, and looks for rows in the default partition: such a row is
// stored as safely as any other, and means that making ahead failed, so it is
// counted and logged; it moves as soon as its month is made.
package postgres
