// Package decision answers the one question a gateway asks before each call, and
// takes its one report after it.
//
// Decide is the pipeline: authenticate, inspect, gather, policy, redact, route,
// reserve, conclude; each stage is the file of its name. All reading comes first,
// then pure deciding, then one write: the hold. Settle is the way back.
//
// It refuses to know a gateway (adapters do), a policy language (decision/opa
// does), a broker (journal/kafka does) or a provider's API beyond the few fields
// that bear on money and policy (decision/llm does). It never waits for a
// database or a broker while the leases it needs are in hand.
//
// Start at decide.go.
package decision
