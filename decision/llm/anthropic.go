package llm

import "strings"

// messagesFields are read at the top of an Anthropic message. As in chatFields,
// the last lines neither reach the model nor cost anything.
var messagesFields = []string{
	"model", "messages", "system", "max_tokens", "stream", "tools", "thinking", "service_tier", "speed",
	"inference_geo", "cache_control", "container", "context_management", "mcp_servers", "fallbacks",
	"output_config", "output_format", "anthropic_beta", "betas", "metadata", "models", "plugins", "preset",
	"cached_content",

	"temperature", "top_k", "top_p", "stop_sequences", "tool_choice", "diagnostics", "fallback_credit_token",
	"anthropic_version", "user_profile_id",
}

// messagesBody reads an Anthropic message.
func (r *reader) messagesBody() *Problem {
	a := r.ask
	p := r.object(messagesFields, r.messagesField)
	a.splitUser()
	return p
}

// messagesField takes the value of one top-level field.
func (r *reader) messagesField(name string) *Problem {
	a := r.ask
	switch name {
	case "model":
		return r.model()
	case "messages":
		a.prompted = true
		return r.promptArray(r.message)
	case "system":
		return r.systemPrompt()
	case "max_tokens":
		return r.outputLimit(name, 0)
	case "stream":
		return r.stream()
	case "tools":
		return r.messagesTools()
	case "thinking":
		return r.thinking()
	case "service_tier":
		return r.serviceTier("auto", "standard_only", "standard")
	case "speed":
		return r.dearer("standard", "", "the fast mode has prices of its own")
	case "inference_geo":
		return r.dearer("global", geoTier, "a fixed region has prices of its own")
	case "cache_control":
		return r.cacheControl()
	case "context_management":
		return r.contextManagement()
	case "container":
		return r.unless(KindTool, "runs in a container, billed by the hour")
	case "mcp_servers":
		return r.unless(KindTool, "runs tools of other servers")
	case "fallbacks", "models", "plugins", "preset", "cached_content": // most are those of servers that speak this dialect too
		return r.unless(chatUnbounded[name].Kind, chatUnbounded[name].Why)
	case "output_config", "output_format":
		return r.feature()
	case "anthropic_beta", "betas":
		return r.betas()
	case "metadata":
		return r.metadata()
	case unknown:
		r.name(renderedTokens)
		return r.value(renderedTokens)
	}
	return r.skip()
}

// systemPrompt takes system, which is a turn of its own in the prompt's hash. It
// may stand before or behind messages, but always comes first there.
func (r *reader) systemPrompt() *Problem {
	r.cost += perMessage
	r.turn(system)
	r.prompt = true
	p := r.content(r.block)
	r.prompt = false
	return p
}

var turnFields = []string{"role", "content"}

func (r *reader) message() *Problem {
	return r.object(turnFields, func(name string) *Problem {
		switch name {
		case "content":
			return r.content(r.block)
		case unknown:
			r.name(plainTokens)
		}
		return r.value(plainTokens)
	})
}

var blockFields = []string{"type", "text", "source", "content", "input", "citations", "cache_control"}

// block takes one content block. Blocks hold blocks: a tool's result has content
// of its own, and so has a document.
func (r *reader) block() *Problem {
	kind, from, strange := "", source{}, false
	p := r.object(blockFields, func(name string) (p *Problem) {
		switch {
		case name == "type" && r.kind() == '"':
			kind, _, p = r.text()
			return p
		case name == "source" && r.kind() == '{':
			from, p = r.source()
			return p
		case name == "content" && r.kind() == '{':
			return r.block()
		case name == "content":
			return r.content(r.block)
		case name == "input":
			return r.value(renderedTokens)
		case name == "citations":
			return r.feature()
		case name == "cache_control":
			return r.cacheControl()
		}
		strange = strange || name == unknown
		r.name(plainTokens)
		return r.value(plainTokens)
	})
	if p == nil {
		r.blockIs(kind, from, strange)
	}
	return p
}

// source is where a block's payload comes from.
type source struct {
	there   bool
	counted bool // it is text, and has been counted
}

var sourceFields = []string{"type", "data", "content"}

// source takes a block's source. Data is text or base64, which type says, before
// or after it.
func (r *reader) source() (source, *Problem) {
	from, kind, text := source{there: true}, "", int64(0)
	p := r.object(sourceFields, func(name string) (p *Problem) {
		switch {
		case name == "type" && r.kind() == '"':
			kind, _, p = r.text()
			return p
		case name == "data":
			before := r.cost
			p = r.value(plainTokens)
			text, r.cost = r.cost-before, before
			return p
		case name == "content":
			return r.content(r.block)
		}
		return r.value(plainTokens)
	})
	switch kind {
	case "text":
		r.cost += text
		from.counted = true
	case "content":
		r.cost += text
		from.counted = true
	}
	return from, p
}

// callersTools are the kinds of tool whose schema is the provider's but which
// the caller runs. Every other typed tool runs at the provider.
var callersTools = []string{"bash_", "text_editor_", "computer_", "memory_"}

func (r *reader) messagesTools() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	return r.array(func(int) *Problem {
		return r.tool(func(kind string) bool {
			if kind == "custom" {
				return true
			}
			for _, prefix := range callersTools {
				if strings.HasPrefix(kind, prefix) {
					r.cost += perBuiltInTool
					return true
				}
			}
			return false
		}, messagesHosted)
	})
}

// messagesHosted is what prices call a tool of Anthropic's. Later versions of these
// two have the model filter what they find by programs, and each of those is a run
// that max_uses does not count, unless the model alone may call them.
func messagesHosted(kind string, direct bool) string {
	switch {
	case kind == "web_search_20250305", direct && strings.HasPrefix(kind, "web_search_"):
		return WebSearch
	case kind == "web_fetch_20250910", direct && strings.HasPrefix(kind, "web_fetch_"):
		return WebFetch
	}
	return ""
}

// leastThinking is Anthropic's least thinking budget; the output limit must be
// above the budget.
const leastThinking = 1024

var thinkingFields = []string{"type", "budget_tokens"}

func (r *reader) thinking() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	r.cost += perFeature
	return r.object(thinkingFields, func(name string) *Problem {
		if name != "budget_tokens" {
			return r.skip()
		}
		return r.thinkingBudget()
	})
}

// thinkingBudget takes the budget, which must stay below the output limit.
func (r *reader) thinkingBudget() *Problem {
	n, said, at, p := r.whole(0, maxCount)
	if said {
		r.ask.Thinking = n
		r.budget(budget{at: at, value: n, least: leastThinking})
	}
	return p
}

// geoTier begins the names of the tiers of fixed regions.
const geoTier = "inference_geo_"

// dearer takes a field that has one cheap value. prefix tells its tiers' names
// from other fields'.
func (r *reader) dearer(standard, prefix, why string) *Problem {
	s, p := r.optionalText()
	if p == nil && s != "" && s != standard {
		r.tier(prefix+s, why)
	}
	return p
}

var contextFields = []string{"edits"}
var contextEditFields = []string{"type"}

// contextManagement takes edits of the context. Those that clear make the prompt
// smaller; any other samples the model again to write a summary.
func (r *reader) contextManagement() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	r.cost += perFeature
	return r.object(contextFields, func(name string) *Problem {
		if name != "edits" || r.kind() != '[' {
			return r.value(plainTokens)
		}
		return r.array(func(int) *Problem {
			kind := ""
			p := r.object(contextEditFields, func(name string) (p *Problem) {
				if name == "type" && r.kind() == '"' {
					kind, _, p = r.text()
					return p
				}
				return r.value(plainTokens)
			})
			if p == nil && !strings.HasPrefix(kind, "clear_") {
				r.unbounded(KindTool, "the model is run once more to write a summary")
			}
			return p
		})
	})
}

func (r *reader) betas() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	return r.array(func(int) *Problem {
		name, _, p := r.text()
		r.ask.Beta(name)
		return p
	})
}

// Beta notes what a beta changes, by a name from the body or from the header
// anthropic-beta, where callers put them (separated by commas).
func (a *Ask) Beta(names string) {
	for name := range strings.SplitSeq(names, ",") {
		if strings.HasPrefix(strings.TrimSpace(name), "context-1m") {
			a.LongContext = true
		}
	}
}
