// Package printed_test holds what `signalbox envoy` prints, and the files in
// deploy/envoy, to the real Envoy: each loads, and does with a service that is away,
// slow or broken what it says of itself. The service here is a fake that does as it
// is told; the whole box is tried in the package above.
package printed_test
