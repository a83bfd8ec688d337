// Package analytics is the view of the journal that people ask questions of: it
// copies decisions, usage and meter movements into ClickHouse, where SQL is the
// interface, and answers that SQL read-only.
//
// It refuses to decide anything: no call waits for it, and when it is gone
// nothing but reports is missing. It never keeps a fact that the journal does
// not hold, so its database can be dropped and filled again. It is the only
// importer of clickhouse-go; analytics/embedded runs the engine where no server
// is configured.
//
// Start at sink.go (journal to rows), then schema/ (what the rows are) and
// readonly.go (what a user may ask).
package analytics
