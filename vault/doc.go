// Package vault keeps secrets: the cluster's own, from which others are derived,
// and the providers' credentials, which rotate while we run. It refuses to print
// one: every type here hides itself from logs, from errors and from whatever
// marshals. It does not know what a credential is for; the registry names it, and
// whoever writes the provider's header asks for it.
//
// Start at credentials.go, or at cluster.go for the cluster's secret.
package vault
