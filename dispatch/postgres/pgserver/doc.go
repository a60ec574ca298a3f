// Package pgserver runs a real PostgreSQL for an engine that was given none.
//
// The server's binaries are those of the machine (Debian's
// /usr/lib/postgresql/*/bin, PATH, pg_config); the newest from version 15 on is
// used, or the one that made the cluster. It listens on loopback alone, offers
// no Unix socket, and lets nobody in without a SCRAM password. The passwords
// are generated once into <data>/postgres.json, mode 0600: one of the cluster's
// superuser, for bootstrap; one of nabat_owner, which owns the database and is
// used by migrations alone; one of nabat, the engine's role, which owns nothing,
// so that it cannot disable the journal's triggers. In a cluster made when nabat
// owned everything, what it owns goes to nabat_owner at the next start.
//
// Rights: PostgreSQL refuses to run as root, so a root engine starts it as
// postgres or nobody. When that user cannot walk into the data directory,
// because a parent is closed to it, the cluster lies in
// /var/lib/nabat/<hash of the data directory>; rights of directories that were
// there before are never changed. A relocated cluster steps aside only for a
// data directory in which no engine has worked yet; when just postgres.json was
// lost, new passwords are set in single-user mode, wherever the cluster lies.
//
// Processes: the server has a process group of its own and writes to its own
// log file, so Ctrl-C reaches only the engine, and an engine that was killed
// leaves no half-open pipe behind. Such an orphan is found by its
// postmaster.pid, verified through /proc, and stopped before a new server
// starts on the same files. A lock file keeps a second engine out.
//
// Durability: Start refuses a server on which fsync, full_page_writes or
// synchronous_commit is off, asked through SQL as the engine's own role, and says
// where that setting comes from; readiness asks again in a new session each time. Only
// Options.WaiveDurability, meant for tests, goes past that.
//
// Goroutines: one per Server, waiting for its process; Stop ends it.
package pgserver
