package decision

import (
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// A gateway whose filter reads bodies and writes none sends on what the caller sent,
// whatever we would have changed (Request.Fixed). So nothing is planned that nobody
// would do: the call is held at what its body says, and refused where that must not
// go out. docs/decisions/098-bodies-that-stay-as-they-are.md

// unrenamed are the deployments that read the caller's body as it stands: their
// provider knows the model by the name in it, or is told the model by the path, which
// a gateway can change.
func (c *Case) unrenamed(deployments []*registry.Deployment) ([]*registry.Deployment, error) {
	if !c.Request.Fixed {
		return deployments, nil
	}
	kept := make([]*registry.Deployment, 0, len(deployments))
	for _, d := range deployments {
		named := c.Ask.ModelSpan != [2]int{} && d.UpstreamModel == c.Ask.Model
		if named || PathNamesModel(d.ProviderRef, c.Ask.Endpoint) {
			kept = append(kept, d)
		}
	}
	if len(kept) == 0 {
		return nil, refuse(ModelUnknown, "this gateway sends the body on as it is, and no provider of model %q takes the name in it; call the deployment's upstream_model so, or use a gateway that can change bodies",
			clip(deployments[0].Model, 128))
	}
	return kept, nil
}

// PathNamesModel reports whether the path of an operation at this provider says which
// model is meant, whatever its body does. It is so at Azure's dated versions only, and
// there not for responses, which came after.
func PathNamesModel(p *registry.Provider, endpoint llm.Endpoint) bool {
	return p != nil && p.Kind == registry.ProviderAzureOpenAI && p.APIVersion != "" && p.APIVersion != "v1" && endpoint != llm.Responses
}

// outputFixed is the output limit that a body which stays as it is goes out with: its
// own, or the most that the model writes. A default of ours would not be written into
// it. A model that policy put in the place of the caller's may spell the limit in
// another way, and pass over the one that is there.
func outputFixed(c *Case) (int64, error) {
	model := c.model()
	want := c.Ask.MaxOutput
	if want == 0 || want > model.MaxOutput || model.Name != c.Ask.Model {
		want = model.MaxOutput
	}
	if most := c.Verdict.MaxOutput; most > 0 && most < want {
		return 0, refuse(PolicyDenied, "policy allows at most %d output tokens, the body allows itself %d, and this gateway cannot change it; send a smaller limit", most, want)
	}
	return want, nil
}

// unredactable refuses a prompt that must not go out as it is.
func (c *Case) unredactable() error {
	var kinds []string
	for i := range c.found.texts {
		for _, g := range c.found.texts[i].apart(c.Verdict.Redact) {
			if !slices.Contains(kinds, g.Kind) {
				kinds = append(kinds, g.Kind)
			}
		}
	}
	return refuse(GuardPII, "the prompt holds what policy takes out (%s), and this gateway cannot change the body; leave it out", strings.Join(kinds, ", "))
}

// cannotBeLess says to whoever is refused for the whole of an answer that less of it
// might have fitted.
func (c *Case) cannotBeLess(r *Refusal, want int64) *Refusal {
	if !c.Request.Fixed || !c.Verdict.AllowClamp || want <= max(leastOutput, c.Ask.MinOutput) {
		return r
	}
	for i := range r.Reasons {
		switch reason := &r.Reasons[i]; reason.Code {
		case BudgetExhausted, BudgetHeld, RateLimited, CapacityExhausted:
			reason.Message += "; this gateway cannot change the body, so the call cannot be given less: ask for less output"
		}
	}
	return r
}
