package door

import (
	"time"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// Answer is an answer as every gateway reads it. Lists are never null.
type Answer struct {
	DecisionID      string       `json:"decision_id"`
	CallID          string       `json:"call_id"`
	Action          string       `json:"action"`
	Changes         []string     `json:"changes"`
	Deployments     []Deployment `json:"deployments"`
	Request         *Replaced    `json:"request,omitzero"`
	Response        *Response    `json:"response,omitzero"`
	Reasons         []Reason     `json:"reasons"`
	Hold            *Hold        `json:"hold,omitzero"`
	ReportToken     string       `json:"report_token,omitzero"`
	PolicyRevision  string       `json:"policy_revision"`
	RegistryVersion int64        `json:"registry_version"`

	// Beside the contract's first list of fields:

	// Warnings were not enforced.
	Warnings []Reason `json:"warnings,omitzero"`
	// CallerHeaders are to be added to whatever the caller is given.
	CallerHeaders map[string]string `json:"caller_headers,omitzero"`
	// ModelSpan is where the caller's model stands in the body as it was sent;
	// nil when the body is replaced or the path names the model.
	ModelSpan *[2]int `json:"model_span,omitzero"`
	// Findings are what was found in the prompt, whether or not it was removed.
	Findings []Finding `json:"findings,omitzero"`
}

// Finding is one thing that was found in the caller's prompt, never the thing itself.
type Finding struct {
	Kind  string `json:"kind"`
	At    [2]int `json:"at"`    // bytes of the caller's body, before anything in it was replaced
	Where string `json:"where"` // the key path; names of the caller's own are *
}

// Deployment is one place the call may go.
type Deployment struct {
	Name          string `json:"name"`
	Provider      string `json:"provider"`
	Kind          string `json:"kind"`
	Host          string `json:"host"`
	Path          string `json:"path"`
	UpstreamModel string `json:"upstream_model"`
	Scheme        string `json:"scheme"`
}

// Replaced is the request that goes out instead of the caller's.
type Replaced struct {
	Text
	ModelSpan *[2]int `json:"model_span,omitzero"` // nil: the path names the model
}

// Response is what the caller is given when the call does not go out.
type Response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Text
}

// Text is a body: as text when it is UTF-8, which a JSON string carries byte for
// byte, and in base64 when it is not.
type Text struct {
	Body       *string `json:"body,omitzero"`
	BodyBase64 []byte  `json:"body_base64,omitzero"`
}

// NewText chooses the spelling of a body.
func NewText(b []byte) Text {
	if !utf8.Valid(b) {
		return Text{BodyBase64: b}
	}
	s := string(b)
	return Text{Body: &s}
}

// Bytes is the body, whichever way it is spelt.
func (t Text) Bytes() []byte {
	if t.Body != nil {
		return []byte(*t.Body)
	}
	return t.BodyBase64
}

// Reason is one failing check; the amounts are decimals in the budget's unit.
type Reason struct {
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	Budget   string    `json:"budget,omitzero"`
	Unit     string    `json:"unit,omitzero"`
	Limit    string    `json:"limit,omitzero"`
	Spent    string    `json:"spent,omitzero"`
	Held     string    `json:"held,omitzero"`
	Asked    string    `json:"asked,omitzero"`
	ResetsAt time.Time `json:"resets_at,omitzero"`
}

// Hold is what was set aside.
type Hold struct {
	USD             string    `json:"usd"`
	Tokens          int64     `json:"tokens"`
	MaxOutputTokens int64     `json:"max_output_tokens"`
	ExpiresAt       time.Time `json:"expires_at,omitzero"`
	// Attempts is how many tries it pays for that may each have been billed.
	Attempts int `json:"attempts,omitzero"`
}

// Render spells an answer to a question.
func Render(req *decision.Request, a *decision.Answer) Answer {
	out := Answer{
		DecisionID: a.DecisionID, CallID: a.CallID, Action: a.Action(),
		Changes: make([]string, 0, len(a.Changes)), Deployments: []Deployment{}, Reasons: []Reason{},
		PolicyRevision: a.PolicyRevision, RegistryVersion: a.RegistryVersion,
	}
	for _, c := range a.Changes {
		out.Changes = append(out.Changes, string(c))
	}
	for _, w := range a.Warnings {
		out.Warnings = append(out.Warnings, newReason(w))
	}
	for _, f := range a.Findings {
		out.Findings = append(out.Findings, Finding(f))
	}
	switch {
	case a.Refusal != nil:
		for _, r := range a.Refusal.Reasons {
			out.Reasons = append(out.Reasons, newReason(r))
		}
		response := refuse(a, out.Reasons)
		out.Response = &response
	case a.Served != nil:
		out.Response = &Response{Status: a.Served.Status, Headers: a.Served.Headers, Text: NewText(a.Served.Body)}
		if out.Response.Headers == nil {
			out.Response.Headers = map[string]string{}
		}
		out.CallerHeaders = map[string]string{headerDecision: a.DecisionID}
	case a.Plan != nil:
		plan(&out, req, a)
	}
	return out
}

// plan fills in where the call goes, as what and under which hold.
func plan(out *Answer, req *decision.Request, a *decision.Answer) {
	p := a.Plan
	route, known := llm.Recognise(req.Method, req.Path)
	for _, d := range p.Deployments {
		out.Deployments = append(out.Deployments, deployment(d, route, known, req.Path))
	}
	span := newSpan(p.ModelSpan)
	if p.Body != nil {
		out.Request = &Replaced{Text: NewText(p.Body), ModelSpan: span}
	} else {
		out.ModelSpan = span
	}
	out.Hold = &Hold{
		USD: registry.FormatUSD(p.Hold.NanoUSD), Tokens: p.Hold.Tokens,
		MaxOutputTokens: p.Hold.MaxOutputTokens, ExpiresAt: utc(p.Hold.ExpiresAt), Attempts: p.Hold.Attempts,
	}
	out.ReportToken = p.ReportToken
	out.CallerHeaders = map[string]string{headerDecision: a.DecisionID}
	if p.Budget != nil {
		out.CallerHeaders[headerBudget] = p.Budget.Name
		out.CallerHeaders[headerBudgetLeft] = p.Budget.Left
	}
}

func newSpan(at [2]int) *[2]int {
	if at == [2]int{} {
		return nil
	}
	return &at
}

func newReason(r decision.Reason) Reason {
	out := Reason{Code: string(r.Code), Message: r.Message, Budget: r.Budget}
	if r.Budget == "" {
		return out
	}
	out.Unit = r.Unit.String()
	out.Limit = registry.FormatAmount(r.Unit, r.Limit)
	out.Spent = registry.FormatAmount(r.Unit, r.Spent)
	out.Held = registry.FormatAmount(r.Unit, r.Held)
	out.Asked = registry.FormatAmount(r.Unit, r.Asked)
	out.ResetsAt = utc(r.ResetsAt)
	return out
}

// utc keeps the zero time zero, so that it is left out.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}
