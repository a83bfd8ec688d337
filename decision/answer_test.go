package decision_test

import (
	"testing"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/registry"
)

func TestActions(t *testing.T) {
	to := func(names ...string) *decision.Plan {
		p := &decision.Plan{ModelAsked: "gpt-4o"}
		for _, name := range names {
			p.Deployments = append(p.Deployments, &registry.Deployment{UpstreamModel: name})
		}
		return p
	}
	for _, c := range []struct {
		name   string
		answer decision.Answer
		want   string
	}{
		{"a refusal", decision.Answer{Refusal: &decision.Refusal{}, Changes: []decision.Change{decision.Redacted}}, "deny"},
		{"from the cache", decision.Answer{Served: &decision.Served{}}, "serve"},
		{"redacted and routed", decision.Answer{Plan: to("a", "b"), Changes: []decision.Change{decision.Clamped, decision.Redacted}}, "redact"},
		{"an order to keep", decision.Answer{Plan: to("gpt-4o", "gpt-4o")}, "route"},
		{"another name upstream", decision.Answer{Plan: to("gpt-4o-prod")}, "route"},
		{"a substituted model of the same name upstream", decision.Answer{Plan: to("gpt-4o"), Changes: []decision.Change{decision.ModelSubstituted}}, "route"},
		{"one place, the same name", decision.Answer{Plan: to("gpt-4o"), Changes: []decision.Change{decision.Clamped}}, "allow"},
		{"a path let through", decision.Answer{Plan: &decision.Plan{Free: true}}, "allow"},
	} {
		if got := c.answer.Action(); got != c.want {
			t.Errorf("%s: want %s, got %s", c.name, c.want, got)
		}
	}
}

// Every code of the closed set has the contract's status, and no other code has one.
func TestStatuses(t *testing.T) {
	want := map[int][]decision.Code{
		400: {decision.Malformed, decision.DialectMismatch},
		401: {decision.KeyMissing, decision.KeyUnknown, decision.KeyRevoked, decision.KeyExpired},
		402: {decision.BudgetExhausted},
		403: {decision.ModelNotAllowed, decision.PolicyDenied, decision.PolicyError, decision.Residency, decision.Unpriced, decision.Killed,
			decision.GuardPII, decision.GuardSecret, decision.GuardInjection, decision.GuardModeration, decision.GuardSchema},
		404: {decision.ModelUnknown, decision.PathUnknown},
		413: {decision.TooLarge},
		429: {decision.RateLimited, decision.Concurrency, decision.CapacityExhausted, decision.BudgetHeld},
		503: {decision.JournalUnavailable},
	}
	all := 0
	for status, codes := range want {
		for _, code := range codes {
			if all++; code.Status() != status {
				t.Errorf("%s: want %d, got %d", code, status, code.Status())
			}
		}
	}
	if len(decision.Codes()) != all {
		t.Errorf("the set has %d codes, and %d are in the contract", len(decision.Codes()), all)
	}
	if decision.Unmetered.Status() != 0 || decision.Code("own").Status() != 0 {
		t.Error("what is no refusal has no status")
	}
}
