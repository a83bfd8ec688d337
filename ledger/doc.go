// Package ledger knows who has spent, holds and may still spend.
//
// Replicas are symmetric: each folds the same log, and the order of the log is
// the arbiter. A replica asks the log for leases of meters, learns what it was
// granted by reading its own ask back, and holds money for calls from the leases
// it has in hand, on all meters of a call or on none. Only the fold says what was
// granted; only the holder's word frees money; clocks, pauses and acknowledgements
// never touch safety, only how soon things happen.
//
// Book (book.go) is the pure fold of one key's entries and the only place where
// money moves. Keeper (keeper.go) is the one per replica that asks, holds,
// settles and returns. Labels of calendar windows are window.go's, from time
// zone rules that are compiled in.
//
// The package refuses to know prices, deployments and policies: a demand arrives
// as an amount that depends on nothing but the output limit. It never appends a
// grant, because there is no such entry: an ask is granted by being folded.
//
// Open book.go first, then hold.go, then keeper.go.
package ledger
