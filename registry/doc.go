// Package registry is what we were told: tenants, teams, apps and their keys,
// providers, models, deployments, prices, budgets, gateways. It reads the file
// that operators write, turns what changed in it into events, and folds those
// events into immutable snapshots behind one atomic pointer.
//
// It refuses to guess. A file is read whole or not at all, every problem in it
// is reported with its line and column, and an entry of the journal that cannot
// be read stops the fold. It knows no clock but the one it is given, and it never
// says what somebody has spent: that is the ledger's.
//
// Start at snapshot.go for what a decision reads, file.go and check.go for what
// an operator may write, fold.go for how the journal becomes a snapshot, and
// apply.go for the road from the one to the other.
package registry
