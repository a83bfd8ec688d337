// Command envoy is `make bench-envoy`: what a call through the real Envoy costs with
// our filters, beside the same chain with filters that decide nothing, and beside
// Envoy alone. All of them run at once and are measured in turn, round after round,
// because a time alone says more about the machine than about the code; each figure is
// the median of the rounds' ratios.
//
//	BENCH <name> ours=<x> floor=<y> ratio=<z> unit=<u>
//
// The no-op filters (noop.go) take the same messages in the same modes, and answer
// with the same routes and headers; routes, clusters and access log are ours in both.
// So what is between the two is reading, deciding, holding, journaling and settling.
//
// Open main.go first; stage.go is what runs, load.go who calls.
package main
