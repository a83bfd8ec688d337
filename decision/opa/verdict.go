package opa

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

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
		AllowClamp: doc.AllowClamp, Redact: doc.Redact, Capture: doc.Capture, Tags: doc.Tags, Raw: raw,
	}
	if v.Capture == "" {
		v.Capture = "none"
	}
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

func documentOf(result *ast.Term) (verdictDocument, error) {
	var d verdictDocument
	said := false
	err := eachMember("verdict", result, 0, func(name string, value *ast.Term) (err error) {
		at := "verdict." + name
		switch name {
		case "allow":
			said = true
			d.Allow, err = readTruth(at, value)
		case "reasons":
			err = eachElement(at, value, maxReasons, func(at string, value *ast.Term) error {
				reason, err := readReason(at, value)
				d.Reasons = append(d.Reasons, reason)
				return err
			})
		case "deployments":
			if _, set := value.Value.(ast.Set); set {
				return fmt.Errorf("%s: is a set, and a set has no order; want an array, best first", at)
			}
			d.Deployments, err = readTexts(at, value, maxDeployments)
		case "model":
			d.Model, err = readText(at, value, maxText)
		case "max_output":
			d.MaxOutput, err = readNumber(at, value, maxOutput)
		case "allow_clamp":
			d.AllowClamp, err = readTruth(at, value)
		case "redact":
			d.Redact, err = readTexts(at, value, maxKinds)
		case "capture":
			d.Capture, err = readCapture(at, value)
		case "tags":
			d.Tags, err = readTags(at, value)
		default:
			err = unknown(at)
		}
		return err
	})
	if err == nil && !said {
		err = fmt.Errorf("verdict.allow: is missing")
	}
	return d, err
}

var codeForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func readReason(at string, value *ast.Term) (reasonDocument, error) {
	var r reasonDocument
	err := eachMember(at, value, 0, func(name string, value *ast.Term) (err error) {
		switch name {
		case "code":
			r.Code, err = readText(at+".code", value, maxCode)
			if err == nil && !codeForm.MatchString(r.Code) {
				err = fmt.Errorf("%s.code: %q is no code; want a-z, 0-9 and _, a letter first", at, r.Code)
			}
		case "message":
			r.Message, err = readText(at+".message", value, maxMessage)
		default:
			err = unknown(at + "." + name)
		}
		return err
	})
	if err == nil && r.Code == "" {
		err = fmt.Errorf("%s.code: is missing", at)
	}
	return r, err
}

func readCapture(at string, value *ast.Term) (string, error) {
	capture, err := readText(at, value, maxText)
	if err == nil && !slices.Contains([]string{"none", "hash", "redacted", "full"}, capture) {
		err = fmt.Errorf("%s: %q is none of none, hash, redacted, full", at, capture)
	}
	return capture, err
}

func readTags(at string, value *ast.Term) (map[string]string, error) {
	var tags map[string]string
	err := eachMember(at, value, maxTags, func(name string, value *ast.Term) error {
		if name == "" || utf8.RuneCountInString(name) > maxText {
			return fmt.Errorf("%s: a name is empty or longer than %d characters", at, maxText)
		}
		text, err := readText(fmt.Sprintf("%s[%q]", at, name), value, maxText)
		if tags == nil {
			tags = map[string]string{}
		}
		tags[name] = text
		return err
	})
	return tags, err
}

// eachMember reads an object; most is how many members it may have, 0: as many as
// have a name we know.
func eachMember(at string, value *ast.Term, most int, read func(string, *ast.Term) error) error {
	object, ok := value.Value.(ast.Object)
	if !ok {
		return wants(at, "an object", value)
	}
	if most > 0 && object.Len() > most {
		return fmt.Errorf("%s: has %d members; the most is %d", at, object.Len(), most)
	}
	return object.Iter(func(key, value *ast.Term) error {
		name, ok := key.Value.(ast.String)
		if !ok {
			return wants(at, "names that are strings", key)
		}
		return read(string(name), value)
	})
}

// eachElement reads an array, or a set in the order of its values.
func eachElement(at string, value *ast.Term, most int, read func(string, *ast.Term) error) error {
	i := 0
	one := func(element *ast.Term) error {
		i++
		return read(fmt.Sprintf("%s[%d]", at, i-1), element)
	}
	switch list := value.Value.(type) {
	case *ast.Array:
		if list.Len() > most {
			return fmt.Errorf("%s: has %d elements; the most is %d", at, list.Len(), most)
		}
		return list.Iter(one)
	case ast.Set:
		if list.Len() > most {
			return fmt.Errorf("%s: has %d elements; the most is %d", at, list.Len(), most)
		}
		return list.Iter(one)
	}
	return wants(at, "an array", value)
}

func readTexts(at string, value *ast.Term, most int) ([]string, error) {
	var texts []string
	err := eachElement(at, value, most, func(at string, value *ast.Term) error {
		text, err := readText(at, value, maxText)
		switch {
		case err != nil:
			return err
		case text == "":
			return fmt.Errorf("%s: is empty", at)
		case slices.Contains(texts, text):
			return fmt.Errorf("%s: names %q a second time", at, text)
		}
		texts = append(texts, text)
		return nil
	})
	return texts, err
}

func readText(at string, value *ast.Term, most int) (string, error) {
	text, ok := value.Value.(ast.String)
	if !ok {
		return "", wants(at, "a string", value)
	}
	if n := utf8.RuneCountInString(string(text)); n > most {
		return "", fmt.Errorf("%s: has %d characters; the most is %d", at, n, most)
	}
	return string(text), nil
}

func readTruth(at string, value *ast.Term) (bool, error) {
	truth, ok := value.Value.(ast.Boolean)
	if !ok {
		return false, wants(at, "true or false", value)
	}
	return bool(truth), nil
}

func readNumber(at string, value *ast.Term, most int64) (int64, error) {
	number, ok := value.Value.(ast.Number)
	if !ok {
		return 0, wants(at, "a whole number", value)
	}
	n, ok := number.Int64()
	if !ok || n < 0 || n > most {
		return 0, fmt.Errorf("%s: want a whole number from 0 to %d, got %s", at, most, clip(number.String()))
	}
	return n, nil
}

func wants(at, want string, got *ast.Term) error {
	return fmt.Errorf("%s: want %s, got %s", at, want, ast.ValueName(got.Value))
}

func unknown(at string) error { return fmt.Errorf("%s: is no field of a verdict", clip(at)) }

// clip keeps a value that a policy made up out of proportion from filling a log.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}
