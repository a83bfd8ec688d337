package door

import (
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// figures is what a refusal's body says under "signalbox": which budget, how
// much of it there was, and the decision to ask about.
type figures struct {
	DecisionID string    `json:"decision_id"`
	Budget     string    `json:"budget,omitempty"`
	Unit       string    `json:"unit,omitempty"`
	Limit      string    `json:"limit,omitempty"`
	Spent      string    `json:"spent,omitempty"`
	Held       string    `json:"held,omitempty"`
	Asked      string    `json:"asked,omitempty"`
	ResetsAt   time.Time `json:"resets_at,omitzero"`
	// Also names the other checks that failed, so that raising one budget does
	// not come as a surprise.
	Also []also `json:"also,omitempty"`
}

type also struct {
	Code   string `json:"code"`
	Budget string `json:"budget,omitempty"`
}

// refuse writes what the caller is told, in the caller's dialect. reasons are
// the refusal's, spelt.
func refuse(a *decision.Answer, reasons []Reason) Response {
	status, dialect := statusOf(a.Refusal), a.Dialect
	if dialect == "" {
		dialect = llm.OpenAI // a path that nobody speaks: the dialect that most SDKs can read
	}
	first := Reason{Code: string(decision.PolicyDenied), Message: "refused"}
	if len(reasons) > 0 {
		first = reasons[0]
	}
	headers := advice(status, a.Refusal.RetryAfter)
	headers["content-type"] = "application/json"
	headers[headerDecision] = a.DecisionID
	headers[requestIDHeader(dialect)] = a.DecisionID
	if first.Budget != "" {
		headers[headerBudget] = first.Budget
		headers[headerBudgetLeft] = left(a.Refusal.Reasons[0])
	}
	said := figures{
		DecisionID: a.DecisionID, Budget: first.Budget, Unit: first.Unit, Limit: first.Limit,
		Spent: first.Spent, Held: first.Held, Asked: first.Asked, ResetsAt: first.ResetsAt,
	}
	for _, r := range reasons[min(1, len(reasons)):] {
		said.Also = append(said.Also, also{Code: r.Code, Budget: r.Budget})
	}
	body := llm.ErrorBody(dialect, llm.RefusalBody{
		Status: status, Code: first.Code, Message: first.Message, RequestID: a.DecisionID, Signalbox: said,
	})
	return Response{Status: status, Headers: headers, Text: NewText(body)}
}

// left is what a budget has neither spent nor held; never below nothing.
func left(r decision.Reason) string {
	// Compared before it is subtracted, so that figures at the ends of the range
	// cannot wrap around into a fortune.
	if r.Spent >= r.Limit || r.Held >= r.Limit-max(r.Spent, 0) {
		return registry.FormatAmount(r.Unit, 0)
	}
	return registry.FormatAmount(r.Unit, r.Limit-max(r.Spent, 0)-r.Held)
}
