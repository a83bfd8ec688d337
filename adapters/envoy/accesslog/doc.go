// Package accesslog is Envoy's gRPC access log service: it settles calls by what Envoy
// logs of them when they are over.
//
// For ext_authz it is the one that settles, because that filter sees no answer; for
// ext_proc it is the fallback where the stream broke off before it had settled. Both
// report the same token, and whoever comes first, the higher rank stands. A log's
// figures are exact only where Envoy's filters have read all of them and the answer
// ended well; what is not known is not zero. A call of a dialect of ours that passed, or
// was refused, without a decision is written down as such.
//
// It refuses to end a stream because of what an entry says, to log what a caller sent,
// and to believe an entry that a gateway sends which was not let in.
//
// Open server.go first, then report.go for what an entry means, and ending.go for how
// Envoy says that a call ended.
package accesslog
