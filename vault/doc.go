// Package vault keeps secrets: now the cluster's own, from which the others are
// derived. It refuses to print one: every type here hides itself from logs, from
// errors and from JSON.
//
// Start at cluster.go.
package vault
