// Package embedded runs ClickHouse's engine where no server is configured: the
// library libchdb.so, loaded without cgo in a child process that speaks enough of
// ClickHouse's HTTP protocol for clickhouse-go and curl.
//
// A child, because a crash of the engine must not take decisions with it and
// because a process can be locked in: it gets no network and no files but its
// own. It refuses to be a database for anybody else: one loopback socket, one
// random token, no users. What SQL may say is judged above, in analytics.
//
// Start at engine.go (the parent's side), then serve.go (the child's).
package embedded
