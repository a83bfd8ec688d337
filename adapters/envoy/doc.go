// Package envoy is what Envoy's filters are told in common, whichever of them asks.
//
// Two profiles stand before a call, authz (ext_authz) and proc (ext_proc); both
// answer an allowed call with the same dynamic metadata, a Call: where to try it, in
// which order, with which path and which edits of the body, and the token to settle
// it with. Routes and clusters that xds has made follow it; accesslog reads it back
// when the call is over. Routes of somebody's own follow the header
// x-signalbox-deployment instead (Profile).
//
// It refuses to know gRPC, streams, or Envoy's services: those are the packages
// beside it. Open call.go first.
package envoy
