// Package conformance_test sends the same calls through every door of one running box:
// POST /v1/decide and its gRPC twin, with a gateway behind them that does what the
// contract says; the proxy; and the services that an Envoy asks (ext_authz over gRPC and
// HTTP, ext_proc, the access log), with a far end that speaks Envoy's own messages. The
// same decision must come of each call, the provider must see the same request, and the
// same money must be charged: in the audit, in usage, and in the budget.
//
// A story in testdata is one call: who asks for what, what the provider does, what is
// decided, and what it costs. Where a gateway cannot change bodies, as ext_authz cannot
// before somebody's own routes, "fixed" says what comes of it there.
//
// Open conformance_test.go first, then stories_test.go; a door is a file of its name.
package conformance_test
