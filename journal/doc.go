// Package journal is the facts, in the order they happened. Everything else in
// the house (ledger, registry, analytics) is a view of it and can be thrown away
// and folded again.
//
// It holds the closed set of events as plain Go values, and nothing that knows
// how they travel: journal/kafka turns them into protobuf and carries them, over
// a broker or over the in-process one. It refuses to know what an event means:
// who may spend is the ledger's to say, who may call is the registry's.
//
// Start at topic.go, then ledger.go for the money and decided.go for the calls.
package journal
