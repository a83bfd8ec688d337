package opa

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/decision"
)

// The bounds of a verdict; schema/verdict.json says the same, and a test holds
// the two together.
const (
	maxReasons     = 32
	maxCode        = 64
	maxMessage     = 1024
	maxDeployments = 1024
	maxKinds       = 64
	maxTags        = 64
	maxText        = 256
	maxOutput      = 1<<31 - 1
	maxAttempts    = 3
	// verdictBytes bounds the verdict as JSON: what is within the bounds of its
	// fields can still be too much for one entry of the journal.
	verdictBytes = 64 << 10
)

// verdictDocument is the verdict as JSON: what schema/verdict.json describes and
// the journal keeps.
type verdictDocument struct {
	Allow       bool              `json:"allow"`
	Reasons     []reasonDocument  `json:"reasons,omitempty"`
	Deployments []string          `json:"deployments,omitempty"`
	Model       string            `json:"model,omitempty"`
	MaxOutput   int64             `json:"max_output,omitempty"`
	Attempts    int64             `json:"attempts,omitempty"`
	AllowClamp  bool              `json:"allow_clamp,omitempty"`
	Redact      []string          `json:"redact,omitempty"`
	Capture     string            `json:"capture,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
}

type reasonDocument struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

// standing are the codes of the closed set that a policy can speak of itself:
// those of the callers' 403. The others state what only the rest of the pipeline
// knows (a budget spent, a key revoked) and carry its figures, so that from a
// policy they are a reason of its own like any other.
var standing = []decision.Code{
	decision.ModelNotAllowed, decision.PolicyDenied, decision.Residency, decision.Unpriced, decision.Killed,
	decision.GuardPII, decision.GuardSecret, decision.GuardInjection, decision.GuardModeration, decision.GuardSchema,
}

// verdictOf reads the result once, and refuses what it does not understand: a
// field passed over in silence could be the one that was meant to deny.
func verdictOf(result *ast.Term, facts *decision.Facts) (decision.Verdict, error) {
	doc, err := documentOf(result)
	if err != nil {
		return decision.Verdict{}, err
	}
	if err := doc.agrees(facts); err != nil {
		return decision.Verdict{}, err
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return decision.Verdict{}, fmt.Errorf("write the verdict as JSON: %w", err)
	}
	if len(raw) > verdictBytes {
		return decision.Verdict{}, fmt.Errorf("verdict: has %d bytes as JSON; the most is %d", len(raw), verdictBytes)
	}
	v := decision.Verdict{
		Allow: doc.Allow, Reasons: doc.reasons(), Deployments: doc.Deployments, Model: doc.Model, MaxOutput: doc.MaxOutput,
		Attempts: doc.Attempts, AllowClamp: doc.AllowClamp, Redact: doc.Redact, Capture: doc.Capture, Tags: doc.Tags, Raw: raw,
	}
	if v.Capture == "" {
		v.Capture = "none"
	}
	v.Attempts = max(1, v.Attempts)
	return v, nil
}

// agrees holds the verdict against itself and against what was offered.
func (d *verdictDocument) agrees(facts *decision.Facts) error {
	if !d.Allow {
		return nil
	}
	if len(d.Reasons) > 0 {
		return fmt.Errorf("verdict.reasons: allow is true, and yet there is a reason to deny: %s", d.Reasons[0].Code)
	}
	if d.Model != "" && d.Model != facts.Model.Name {
		// Its deployments are not among the facts; the pipeline looks for them.
		if len(d.Deployments) == 0 {
			return fmt.Errorf("verdict.deployments: model %q is put in place of the one asked for, and none of its deployments is named", d.Model)
		}
		return nil
	}
	for i, name := range d.Deployments {
		if !slices.ContainsFunc(facts.Deployments, func(o decision.DeploymentFacts) bool { return o.Name == name }) {
			return fmt.Errorf("verdict.deployments[%d]: names deployment %q, which does not serve model %q", i, name, facts.Model.Name)
		}
	}
	if len(d.Deployments) == 0 && len(facts.Deployments) > 0 {
		return fmt.Errorf("verdict.deployments: allow is true, and none of the %d deployments offered is named", len(facts.Deployments))
	}
	return nil
}

// reasons gives a policy's own code its place in the contract: policy_denied,
// with the code before the message. A denial without a reason gets one.
func (d *verdictDocument) reasons() []decision.Reason {
	if !d.Allow && len(d.Reasons) == 0 {
		return []decision.Reason{{Code: decision.PolicyDenied, Message: "denied by policy"}}
	}
	var reasons []decision.Reason
	for _, r := range d.Reasons {
		code, message := decision.Code(r.Code), r.Message
		switch {
		case slices.Contains(standing, code) && message == "":
			message = "denied by policy"
		case slices.Contains(standing, code):
		case message == "":
			code, message = decision.PolicyDenied, r.Code
		default:
			code, message = decision.PolicyDenied, r.Code+": "+message
		}
		reasons = append(reasons, decision.Reason{Code: code, Message: message})
	}
	return reasons
}
