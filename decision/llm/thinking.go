package llm

// Thinking in a chat, which OpenAI's own dialect does not bound by a number. Each
// of these fields is another provider's. Whether the output limit covers it
// depends on who translates it, so the largest is held beside each answer.

// foreignBudgets are the spellings of a budget at the top of a chat, and below it
// where fields of another provider's stand.
var foreignBudgets = []string{"thinking_budget", "thinkingBudget", "reasoning_budget", "thinking_token_budget",
	"max_thinking_tokens", "max_reasoning_tokens"}

var budgetFields = []string{"budget_tokens"}

// foreignThinking takes Anthropic's thinking in this dialect.
func (r *reader) foreignThinking() *Problem {
	if r.kind() != '{' {
		return r.value(plainTokens)
	}
	return r.object(budgetFields, func(name string) *Problem {
		if name == unknown {
			return r.value(plainTokens)
		}
		p := r.thinkingBudget()
		r.beside(r.ask.Thinking)
		return p
	})
}

var reasoningFields = append([]string{"mode", "max_tokens", "budget_tokens"}, foreignBudgets...)

// reasoning takes an object that may hold a budget for reasoning, or a mode that
// lets the model pass over its prompt several times; how often nobody says.
func (r *reader) reasoning() *Problem {
	if r.kind() != '{' {
		return r.value(plainTokens)
	}
	return r.object(reasoningFields, func(name string) *Problem {
		switch name {
		case "mode":
			mode, p := r.optionalText()
			if p == nil && mode != "" && mode != "standard" {
				r.unbounded(KindTool, "a mode in which the model runs several times")
			}
			return p
		case "max_tokens", "budget_tokens":
			return r.foreignBudget(leastThinking)
		case unknown:
			r.name(renderedTokens)
			return r.value(renderedTokens)
		}
		return r.foreignBudget(0)
	})
}

// budget notes a budget that must fit under the output limit.
func (r *reader) budget(b budget) {
	a := r.ask
	a.budgets = append(a.budgets, b)
	if b.least > 0 {
		a.MinOutput = max(a.MinOutput, min(b.value, b.least)+1)
	}
}

// foreignBudget takes a budget, as a number or, as lenient servers do, as a
// string of one. A negative one leaves it to the model, inside the output limit.
func (r *reader) foreignBudget(least int64) *Problem {
	var (
		at     span
		p      *Problem
		digits []byte
	)
	switch r.kind() {
	case '0':
		at, p = r.raw()
		digits = r.body[at.start:at.end]
	case '"':
		var s string
		s, at, p = r.text()
		digits = []byte(s)
	default:
		return r.value(plainTokens)
	}
	if p != nil {
		return p
	}
	n, ok := wholeNumber(digits)
	switch {
	case !ok:
		return r.malformed(at.start, "%s must be a whole number", r.subject())
	case n > maxCount:
		return r.malformed(at.start, "%s must be at most %d", r.subject(), int64(maxCount))
	}
	if n > 0 {
		r.budget(budget{at: at, value: n, least: least, quoted: r.body[at.start] == '"'})
	}
	r.beside(n)
	return nil
}

// beside holds thinking beside each answer. A call thinks by one budget, however
// many its body names.
func (r *reader) beside(n int64) {
	a := r.ask
	if n > a.aside {
		a.ExtraOutput += n - a.aside
		a.aside = n
	}
}

// extraFields are read in fields that hand others on: some gateways lift what
// stands in extra_body to the top, and Google reads its own name in it.
var extraFields = append([]string{
	"extra_body", "google", "thinking_config", "thinkingConfig", "reasoning", "thinking",
	"cached_content", "cachedContent", "preset", "models", "fallbacks", "plugins", "web_search_options",
	"search_parameters", "enable_search", "data_sources", "previous_response_id", "conversation", "chat_template",
	"mm_processor_kwargs",

	"model", "messages", "input", "instructions", "max_tokens", "max_completion_tokens", "max_output_tokens",
	"max_tool_calls", "n", "best_of", "tools", "functions", "service_tier", "modalities", "audio", "prediction",
	"background", "prompt"}, foreignBudgets...)

// extra takes an object of such fields, at any depth.
func (r *reader) extra() *Problem {
	if r.kind() != '{' {
		return r.value(renderedTokens)
	}
	return r.object(extraFields, func(name string) *Problem {
		switch name {
		case unknown:
			r.name(renderedTokens)
			return r.value(renderedTokens)
		case "extra_body", "google":
			return r.extra()
		case "thinking", "thinking_config", "thinkingConfig", "reasoning":
			return r.reasoning()
		case "model", "messages", "input", "instructions", "max_tokens", "max_completion_tokens", "max_output_tokens",
			"max_tool_calls", "n", "best_of", "tools", "functions", "service_tier", "modalities", "prediction":
			return r.unless(KindModel, "may be put in the place of what stands at the top")
		}
		if u, ok := chatUnbounded[name]; ok {
			return r.unless(u.Kind, u.Why)
		}
		return r.foreignBudget(0)
	})
}
