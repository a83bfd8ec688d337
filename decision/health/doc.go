// Package health remembers which deployments are not worth trying at the moment,
// from what they answered: a provider that says "not before 10:04" is believed,
// one that fails again and again is left alone for a while, and both come back
// little by little. What nobody complained of is healthy and takes no memory.
//
// It only advises. A deployment that is out goes to the end of a call's order and
// not from it, because a bad deployment is better than none. It refuses to make
// requests of its own: real calls are the only probes, so nothing is spent on
// asking. The board has no goroutine and no clock but the one it is given.
//
// Start at board.go; standing.go has the rules, limits.go reads the headers. spread.go
// tells other replicas by the journal, and joined.go is what two know together.
package health
