package proxy

import (
	"strings"

	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// credential is what a deployment's provider wants to see. Without it the
// deployment cannot be used; the operators are told which it is, and the callers
// only that nobody could be reached.
func (c *call) credential(d *registry.Deployment) (vault.Secret, bool) {
	p := d.ProviderRef
	if p == nil {
		return vault.Secret{}, false // removed while the call was decided
	}
	if p.Credential == "" {
		return vault.Secret{}, true // such as a model of one's own
	}
	secret, ok := c.p.Credentials.Credential(p.Credential)
	if ok {
		return secret, true
	}
	c.p.Observe.Tried(c.ctx, Try{Provider: p.Name, Deployment: d.Name, Outcome: noCredential})
	if c.p.seldom.May("credential " + p.Credential) {
		c.p.Log.ErrorContext(c.ctx, "a deployment cannot be used: its provider's credential is missing",
			"deployment", d.Name, "provider", p.Name, "credential", p.Credential)
	}
	return vault.Secret{}, false
}

// complain says in the operators' log what went wrong with a try.
func (c *call) complain(a *attempt, outcome string) {
	if !c.p.seldom.May(a.deployment.Name + " " + outcome) {
		return
	}
	c.p.Log.WarnContext(c.ctx, "a deployment did not answer a call", "deployment", a.deployment.Name, "provider", a.provider.Name,
		"outcome", outcome, "status", statusOf(a), "err", unquoted(a.err), "decision", c.answer.DecisionID)
}

// unquoted is what an error says without what it quotes. Where a provider, or what
// stands in its place, does not speak HTTP, net/http quotes what it wrote instead,
// and that may be the call it was sent, with the credential in it.
func unquoted(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if from, to := strings.IndexByte(text, '"'), strings.LastIndexByte(text, '"'); from < to {
		return text[:from] + "(…)" + text[to+1:]
	}
	return text
}
