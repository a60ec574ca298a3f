// Package pgtest gives each test a PostgreSQL database of its own.
//
// The first New of a test process starts a server (package pgserver) in a
// short temporary directory on a port the kernel chose, and migrates one
// template database; every New then copies the template, which takes some tens
// of milliseconds, and drops the copy when the test ends. With
// NABAT_TEST_POSTGRES set to a superuser's URL that server is used instead.
//
// New hands out the URL of the engine's role, so that every test runs under the
// rights of production (migrations/rights.go); Owner is the URL of the schema's
// owner, for tables of a test's own, and Admin that of the superuser, for tests
// that tamper.
//
// The package's TestMain must be
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// which stops the server and looks for leaked goroutines. A test process that
// was killed leaves its server behind; the next one sweeps it away.
//
// The server runs without fsync, because no test here pulls the plug. What
// survives a crash is tested with package pgserver itself.
package pgtest
