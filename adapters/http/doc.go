// Package http is the HTTP door: /v1/decide and /v1/report for gateways that
// speak JSON, the admin API for operators and the command line, and the handlers
// that operations look at. Callers who have no gateway are its package proxy's.
//
// It reads a question strictly: what it does not know or cannot read exactly is
// refused with the field's name, because a gateway that misspells a field must
// not find out on its bill. It refuses to judge a call, to look into a caller's
// body, and to answer 500 for anything that came from outside.
//
// Open server.go first, then request.go for the way in and answer.go for the way
// out; admin.go is the operators' side, ops.go the monitors'.
package http
