// Package xds_test has the real Envoy take what adapters/envoy/xds makes, without the
// rest of the house: a made-up filter says the order, so that every turn that a try can
// take is had at will, and the providers are of every kind that a registry knows. What
// a whole installation does with it is integration/envoy's. Open lab_test.go first.
package xds_test
