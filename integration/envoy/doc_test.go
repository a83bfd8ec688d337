// Package envoy_test is everything at once: the real Envoy, as `signalbox envoy
// bootstrap` and `signalbox envoy filter` print its configuration, the real binary
// behind its filters, and two simulated providers behind its clusters, which record
// who showed them what.
//
// The table of what the official SDKs do is played through the same Envoy beside
// this, in integration/sdk. Start at lab_test.go, then failover_test.go.
package envoy_test
