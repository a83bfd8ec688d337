// Package proxy is the gateway for those who have none: it takes a caller's own
// request, asks the decision, sends the call to a provider as the answer says,
// relays what comes back, and reports what it used.
//
// It is a gateway like any other. It builds a decision.Request, obeys the answer
// to the letter, and settles with a decision.Report; it knows no prices, no
// budgets and no rules, and it refuses to read more of a body than where the
// model's name stands. It never follows a redirect, never sends a call twice
// where the first try may have been billed and is not paid for, and never lets a
// caller see the end of an answer before the answer is settled.
//
// Open proxy.go, which takes one call through its stages: read.go reads it,
// failover.go chooses who is tried and attempt.go tries, relay.go passes the
// answer on, ending.go says what becomes of one that breaks off, and report.go
// what the decision is told of all that. headers.go is the list of what crosses
// in each direction, transport.go the connections.
package proxy
