package decision

import (
	"fmt"
	"maps"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// Tools that a provider runs inside an answer are billed by the use, beside the
// tokens. What follows is what is held for them, and what is charged when nobody
// says how often they were used: docs/decisions/018-tools-by-the-use.md.

// limitTools makes the number of uses real, where the caller did not say one: what
// goes out is what was held.
func (c *Case) limitTools(answer *Answer) []llm.Edit {
	edits := c.Ask.LimitTools(c.model().DefaultMaxToolCalls)
	if len(edits) > 0 {
		answer.change(Defaulted)
	}
	return edits
}

// howToLimit says what is missing where a tool has no number of uses: its name, and
// what to write where. It is empty for what no number would bound.
func howToLimit(u llm.Unbounded, model string, fixed bool) string {
	if u.Kind != llm.KindTool || u.Tool == "" || u.Max > 0 {
		return ""
	}
	field := "max_uses"
	if u.Together {
		field = "max_tool_calls"
	}
	if fixed {
		return fmt.Sprintf("; it is %s: write %s into the body, because this gateway cannot write the registry's default into it", u.Tool, field)
	}
	return fmt.Sprintf("; it is %s: write %s into the body, or default_max_tool_calls of model %q into the registry", u.Tool, field, clip(model, 128))
}

// fees is the most that these tools' uses cost at a place, or the refusal of one
// whose fee its price does not say.
func (p *place) fees(price *registry.Price, tools []llm.Fee) (int64, error) {
	for _, t := range tools {
		if _, ok := price.Fee(t.Tool); !ok {
			return 0, refuse(Unpriced, "deployment %q has no fee for the tool %s: write tools: {%s: \"<usd for each use>\"} into its price in the registry", p.deployment.Name, t.Tool, t.Tool)
		}
	}
	if len(tools) == 0 {
		return 0, nil
	}
	nano, err := price.Cost(journal.Tokens{Other: mostUses(price, tools, nil)}, "")
	if err != nil {
		return 0, beyondCounting(p.deployment.Name)
	}
	return nano, nil
}

// mostUses is how often each tool may have been used, by what was said of it and by
// what was held. Of tools that share their number, what nobody spoke of is taken to
// have been the dearest.
func mostUses(price *registry.Price, tools []llm.Fee, said map[string]int64) map[string]int64 {
	uses := maps.Clone(said)
	if uses == nil {
		uses = map[string]int64{}
	}
	dearest, shared := "", int64(0)
	for _, t := range tools {
		n, told := said[t.Tool]
		switch {
		case told && t.Together:
			shared -= n
		case told:
		case !t.Together:
			uses[t.Tool] = t.Max
		case dearest == "":
			dearest, shared = t.Tool, shared+t.Max
		case price.Tools[t.Tool] > price.Tools[dearest]:
			dearest = t.Tool
		}
	}
	if dearest != "" && shared > 0 {
		uses[dearest] = shared
	}
	return uses
}

// useTools completes what an attempt is said to have used: where the call's tools
// were not spoken of, it is charged as if they had been used as often as was held.
// That a tool was not used is known then, and need not be written down.
func (s *Service) useTools(k *call, a *journal.Attempt) (guessed bool) {
	for _, t := range k.note.Tools {
		if _, told := a.Tokens.Other[t.Tool]; told {
			continue
		}
		price, ok := s.registry.Snapshot().PriceAsOf(a.Deployment, k.note.At, k.note.RegistryVersion)
		if ok {
			a.Tokens.Other, guessed = mostUses(&price, k.note.Tools, a.Tokens.Other), true
		}
		break
	}
	for _, n := range a.Tokens.Other {
		if n == 0 {
			a.Tokens.Other = used(a.Tokens.Other)
			break
		}
	}
	return guessed
}

// used is what was, without what was not; the caller's own map stays as it is.
func used(other map[string]int64) map[string]int64 {
	kept := maps.Clone(other)
	maps.DeleteFunc(kept, func(_ string, n int64) bool { return n == 0 })
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// most is what one try could use at most at a deployment.
func (s *Service) most(k *call, deployment string) journal.Tokens {
	a := journal.Attempt{Deployment: deployment, Tokens: k.note.most()}
	s.useTools(k, &a)
	return a.Tokens
}
