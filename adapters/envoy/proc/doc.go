// Package proc is Envoy's external processor (ext_proc v3): it sees a call's request
// with its body and the answer as it passes, so it can change both.
//
// One stream of messages is one call. The request's headers and its whole body become
// a decision.Request; a refusal or a cached answer is the caller's at once, and a plan
// goes on as a changed body, a few headers and dynamic metadata (adapters/envoy: Call).
// The answer's head says which deployments were tried and what they said; its body
// passes through follow, which reads what was used, and the call is settled before the
// caller has its end.
//
// Whole is an answer whose end_of_stream was seen, and nothing else: Envoy ends a
// stream in the same ways whether the caller hung up, the provider broke off or all
// went well. A stream that ends before its call was settled settles it by what was
// seen.
//
// It refuses to route, to retry and to hold a credential: those are Envoy's, by what
// xds told it. It never lets a call on that it has not judged, and never takes a reply
// that Envoy wrote itself for a provider's.
//
// Open stream.go, which takes one call through its messages: request.go reads it,
// goon.go lets it out, immediate.go answers in its place; answer.go reads the answer's
// head, body.go passes its body on, tries.go says who was tried, and report.go what the
// decision is told of all that. flights.go counts the streams and ends them.
package proc
