// Package journaltest says what every journal must do, as tests: Run is given one
// that can be opened and opened again, and runs the same stories against the one
// in memory, the embedded one and real brokers.
//
// Faulty wraps a journal and makes it fail as journals do: without effect, with
// it, late. It refuses to know what the records mean.
//
// Start at suite.go.
package journaltest
