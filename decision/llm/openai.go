package llm

import "strings"

// chatFields are read at the top of a chat completion. The second half is known
// not to reach the model and not to cost anything, so it is not counted; what is
// in neither half is counted as if it were prompt.
var chatFields = []string{
	"model", "messages", "max_tokens", "max_completion_tokens", "n", "best_of", "stream", "stream_options",
	"tools", "functions", "response_format", "prediction", "thinking", "service_tier", "modalities", "audio",
	"web_search_options", "search_parameters", "enable_search", "plugins", "data_sources", "models", "fallbacks",
	"previous_response_id", "conversation", "prompt", "background", "chat_template", "mm_processor_kwargs",
	"prompt_cache_options", "user", "safety_identifier", "metadata", "cached_content", "cachedContent", "preset",
	"reasoning", "extra_body", "google", "thinking_budget", "thinkingBudget", "reasoning_budget",
	"thinking_token_budget", "max_thinking_tokens", "max_reasoning_tokens",

	"temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs",
	"seed", "stop", "store", "reasoning_effort", "verbosity", "parallel_tool_calls", "prompt_cache_key",
	"prompt_cache_retention",
}

// chatBody reads an OpenAI chat completion.
func (r *reader) chatBody() *Problem {
	a := r.ask
	if p := r.object(chatFields, r.chatField); p != nil {
		return p
	}
	// The newest models cache by themselves and bill the write; explicit mode
	// leaves that to the breakpoints.
	a.CacheWrite = a.CacheWrite || !a.explicit || a.breakpoint
	a.leaveMinimum()
	return nil
}

// leaveMinimum lets a limit of the caller's own be below the least that is valid:
// it is the provider's to refuse. Servers that speak this dialect differ.
func (a *Ask) leaveMinimum() {
	if a.MaxOutput > 0 {
		a.MinOutput = min(a.MinOutput, a.MaxOutput)
	}
}

// chatField takes the value of one top-level field.
func (r *reader) chatField(name string) *Problem {
	a := r.ask
	switch name {
	case "model":
		return r.model()
	case "messages":
		a.prompted = true
		return r.promptArray(r.chatMessage)
	case "max_tokens", "max_completion_tokens":
		return r.outputLimit(name, 1)
	case "n", "best_of":
		n, said, _, p := r.whole(1, 1024)
		if said {
			a.N = max(a.N, n)
		}
		return p
	case "stream":
		return r.stream()
	case "stream_options":
		return r.streamOptions()
	case "tools", "functions":
		return r.chatTools()
	case "response_format":
		return r.feature()
	case "prediction":
		return r.prediction()
	case "thinking":
		return r.foreignThinking()
	case "reasoning":
		return r.reasoning()
	case "thinking_budget", "thinkingBudget", "reasoning_budget", "thinking_token_budget", "max_thinking_tokens",
		"max_reasoning_tokens":
		return r.foreignBudget(0)
	case "extra_body", "google":
		return r.extra()
	case "service_tier":
		return r.serviceTier("auto", "default", "flex", "scale", "standard", "on_demand")
	case "modalities":
		return r.modalities()
	case "prompt_cache_options":
		return r.cacheOptions()
	case "user":
		return r.hint(&a.User)
	case "safety_identifier":
		return r.hint(&a.SafetyIdentifier)
	case "metadata":
		return r.metadata()
	case unknown:
		r.name(renderedTokens)
		return r.value(renderedTokens)
	}
	if u, ok := chatUnbounded[name]; ok {
		return r.unless(u.Kind, u.Why)
	}
	return r.skip()
}

// chatUnbounded are the fields whose presence costs what the body does not say.
var chatUnbounded = map[string]Unbounded{
	"audio":                {Kind: KindMedia, Why: "answers in sound"},
	"web_search_options":   {Kind: KindTool, Why: "searches the web, with a fee for each search"},
	"search_parameters":    {Kind: KindTool, Why: "searches the web, with a fee for each source"},
	"enable_search":        {Kind: KindTool, Why: "searches the web"},
	"plugins":              {Kind: KindTool, Why: "runs plugins of the provider"},
	"data_sources":         {Kind: KindTool, Why: "searches the provider's data sources, with model calls of its own"},
	"models":               {Kind: KindModel, Why: "lets another model answer"},
	"fallbacks":            {Kind: KindModel, Why: "lets another model answer"},
	"previous_response_id": {Kind: KindInput, Why: "refers to a conversation that the provider keeps"},
	"conversation":         {Kind: KindInput, Why: "refers to a conversation that the provider keeps"},
	"prompt":               {Kind: KindInput, Why: "refers to a prompt that the provider keeps"},
	"cached_content":       {Kind: KindInput, Why: "refers to a prompt that the provider keeps"},
	"cachedContent":        {Kind: KindInput, Why: "refers to a prompt that the provider keeps"},
	"preset":               {Kind: KindModel, Why: "lets what the provider keeps choose model, prompt and tools"},
	"background":           {Kind: KindTool, Why: "goes on after the answer"},
	"chat_template":        {Kind: KindInput, Why: "a template of the caller's own may repeat the prompt"},
	"mm_processor_kwargs":  {Kind: KindInput, Why: "may raise what an image costs"},
}

// hint takes what the caller says of itself. It is no part of the contract with
// the provider's types: a number, where some send one, is passed over.
func (r *reader) hint(to *string) (p *Problem) {
	if r.kind() != '"' {
		return r.skip()
	}
	*to, _, p = r.text()
	return p
}

var messageFields = []string{"role", "content", "tool_calls", "function_call", "audio", "images", "videos", "files",
	"attachments"}

func (r *reader) chatMessage() *Problem {
	return r.object(messageFields, func(name string) *Problem {
		switch name {
		case "role":
			return r.value(plainTokens)
		case "content":
			return r.content(r.chatPart)
		case "tool_calls", "function_call":
			// Arguments are text, but templates of open models parse and render them.
			return r.value(renderedTokens)
		case "audio":
			return r.unless(KindMedia, "refers to sound that the provider keeps")
		case "images", "files", "attachments":
			return r.unless(KindInput, "pictures or files beside the content")
		case "videos":
			return r.unless(KindMedia, "video in the prompt")
		}
		r.name(plainTokens)
		return r.value(plainTokens)
	})
}

// content takes a message's content: a string, parts, or nothing.
func (r *reader) content(part func() *Problem) *Problem {
	switch r.kind() {
	case 'n', '"':
		return r.value(plainTokens)
	case '[':
		return r.array(func(int) *Problem {
			r.cost += perPart
			if r.kind() == '"' {
				return r.value(plainTokens)
			}
			return part()
		})
	}
	return r.want('[', "a string or an array of parts")
}

var toolFields = []string{"type", "max_uses", "allowed_callers", "name", "function", "custom", "cache_control", "prompt_cache_breakpoint"}

// chatTools takes tools or functions. A tool that is neither a function nor
// custom is run by the provider.
func (r *reader) chatTools() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	return r.array(func(int) *Problem {
		return r.tool(func(kind string) bool { return kind == "function" || kind == "custom" }, unpriced)
	})
}

// unpriced is hosted in a chat: it has no tools of the provider's, and what servers
// that have some make of a maximum is their own affair.
func unpriced(string, bool) string { return "" }

// tool takes one tool; callers tells the types that the caller runs itself, and
// hosted what prices call the others. A tool without a type is the caller's if it
// has a name or a function, as legacy functions and Anthropic's tools have.
func (r *reader) tool(callers func(kind string) bool, hosted func(kind string, direct bool) string) *Problem {
	r.ask.Tools++
	r.cost += perTool
	kind, own, direct := "", false, false
	u := Unbounded{Kind: KindTool, Why: "a tool that the provider runs", open: r.start() + 1}
	p := r.object(toolFields, func(name string) (p *Problem) {
		switch {
		case name == "type" && r.kind() == '"':
			kind, _, p = r.text()
			r.cost += int64(len(kind))
			return p
		case name == "max_uses":
			u.Max, _, u.limit, p = r.whole(1, 1024)
			return p
		case name == "allowed_callers" && r.kind() == '[':
			return r.callers(&direct)
		case name == "cache_control":
			return r.cacheControl()
		case name == "prompt_cache_breakpoint":
			return r.cacheBreakpoint()
		case name == "name", name == "function", name == "custom":
			own = true
		}
		r.name(renderedTokens)
		return r.value(renderedTokens)
	})
	if own = own && kind == "" || callers(kind); p == nil && !own {
		r.cost += perBuiltInTool
		u.Field, u.Tool = r.where(), hosted(kind, direct)
		r.note(u)
	}
	return p
}

// callers takes who may call a tool, and says whether it is the model alone.
func (r *reader) callers(direct *bool) *Problem {
	others := false
	r.name(renderedTokens)
	p := r.array(func(int) *Problem {
		r.cost += perValue
		if r.kind() != '"' {
			others = true
			return r.value(renderedTokens)
		}
		who, at, p := r.text()
		r.cost += renderedTokens(r.body[at.start:at.end])
		*direct, others = true, others || who != "direct"
		return p
	})
	*direct = *direct && !others
	return p
}

// feature takes a field that makes the provider add lines to the prompt.
func (r *reader) feature() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	r.cost += perFeature
	return r.value(renderedTokens)
}

// prediction takes a predicted output. It is no prompt; what of it does not come
// true is billed as output, beside the answer.
func (r *reader) prediction() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	before := r.cost
	p := r.value(plainTokens)
	r.ask.ExtraOutput += r.cost - before
	r.ask.predicts = true
	r.cost = before
	return p
}

func (r *reader) modalities() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	return r.array(func(int) *Problem {
		kind, _, p := r.text()
		if p == nil && !strings.EqualFold(kind, "text") {
			r.unbounded(KindMedia, "answers in something else than text")
		}
		return p
	})
}

var streamOptionsFields = []string{"include_usage"}

func (r *reader) streamOptions() *Problem {
	a := r.ask
	if r.kind() == 'n' {
		a.usage.null = true
		return r.within(&a.usage.options, r.skip)
	}
	a.usage.bare = true
	return r.within(&a.usage.options, func() *Problem {
		return r.object(streamOptionsFields, func(name string) (p *Problem) {
			a.usage.bare = false
			if name == unknown {
				return r.skip()
			}
			a.IncludeUsage, a.usage.includeUsage, p = r.boolean()
			return p
		})
	})
}

var cacheOptionsFields = []string{"mode"}

func (r *reader) cacheOptions() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	return r.object(cacheOptionsFields, func(name string) *Problem {
		if name == unknown || r.kind() != '"' {
			return r.skip()
		}
		mode, _, p := r.text()
		r.ask.explicit = mode == "explicit"
		return p
	})
}
