// Package xds programs Envoys: routes, clusters and credentials over delta ADS.
//
// An Envoy whose routes come from here reaches what the registry names and nothing
// else. Each deployment is a cluster with its host, its authority and its credential
// in one piece, so that no order of tries can carry one provider's key to another.
// What a try at it needs beside that stands in the call's metadata, and upstream.lua,
// which runs in every cluster, obeys it.
//
// Build is a pure function of what we were told; a Server pushes what it makes, when
// it is whole, and knows what every connected Envoy has taken. What it cannot make is
// left out and named, and the last good configuration stays.
//
// It refuses to give anything to an Envoy that has not proven which gateway it is,
// because credentials of providers are in it. It does not decide calls, and does not
// listen: whoever has a grpc server registers it. Open build.go first, then server.go.
package xds
