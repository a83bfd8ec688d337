package llm

import (
	"bytes"
	"cmp"
)

// responsesFields are read at the top of a response. The second lines are other
// servers'; the last neither reach the model nor cost anything, as in chatFields.
var responsesFields = append([]string{
	"model", "input", "instructions", "max_output_tokens", "max_tool_calls", "stream", "tools", "background",
	"previous_response_id", "conversation", "prompt", "context_management", "multi_agent", "reasoning", "text",
	"service_tier", "prompt_cache_options", "user", "safety_identifier", "metadata",

	"max_tokens", "max_completion_tokens", "n", "best_of", "thinking", "extra_body", "google", "models", "fallbacks",
	"preset", "plugins", "cached_content", "cachedContent", "web_search_options", "search_parameters", "enable_search",
	"data_sources", "chat_template", "mm_processor_kwargs", "modalities", "audio",

	"temperature", "top_p", "top_logprobs", "truncation", "store", "include", "parallel_tool_calls", "stream_options",
	"prompt_cache_key", "prompt_cache_retention", "client_metadata"}, foreignBudgets...)

// leastResponse is OpenAI's least max_output_tokens.
const leastResponse = 16

// leastCompaction is the least max_output_tokens of a response that is asked to
// compact its own prompt.
const leastCompaction = 20_000

// response is what is known of a response's body while it is read.
type response struct {
	limited bool   // max_output_tokens is there
	tooled  bool   // tools is there
	stored  bool   // prompt is there
	session string // client_metadata.session_id
}

// responsesBody reads a body of OpenAI's responses.
func (r *reader) responsesBody() *Problem {
	a := r.ask
	a.MinOutput = leastResponse
	var is response
	if p := r.object(responsesFields, func(name string) *Problem { return r.responsesField(&is, name) }); p != nil {
		return p
	}
	if is.stored && !is.tooled {
		r.note(Unbounded{Field: "prompt", Kind: KindTool, Why: "a prompt that the provider keeps may bring tools of its own, unless the body states its tools"})
	}
	if !is.limited {
		a.MaxOutput = 0 // Other spellings are no limit here; where they stand they are lowered.
	}
	a.callTogether()
	a.CacheWrite = a.CacheWrite || !a.explicit || a.breakpoint // as in a chat
	a.Session = cmp.Or(a.Session, is.session)
	a.leaveMinimum()
	return nil
}

// responsesField takes the value of one top-level field.
func (r *reader) responsesField(is *response, name string) *Problem {
	a := r.ask
	switch name {
	case "input":
		return r.responseInput()
	case "instructions":
		return r.instructions()
	case "max_output_tokens":
		is.limited = r.kind() != 'n'
		return r.outputLimit(name, 1)
	case "max_tool_calls":
		var p *Problem
		a.toolCalls, _, a.callsLimit, p = r.whole(0, maxCount)
		return p
	case "tools":
		is.tooled = r.kind() != 'n'
		return r.responseTools()
	case "background":
		var p *Problem
		a.Background, _, p = r.boolean()
		return p
	case "previous_response_id":
		return r.reference(earlier, name)
	case "conversation":
		return r.reference(conversation, name)
	case "prompt":
		is.stored = r.filled()
		return r.reference(template, name)
	case "context_management":
		return r.compactions()
	case "multi_agent":
		return r.agents()
	case "text":
		return r.feature()
	case "client_metadata":
		return r.clientMetadata(&is.session)
	case "stream_options": // Usage comes unasked.
		return r.skip()
	}
	// A field that a chat has is the same here; one that only a chat has is not in
	// the list, and comes as unknown.
	return r.chatField(name)
}

// responseInput takes the input: a text of the user's, or items.
func (r *reader) responseInput() *Problem {
	switch r.kind() {
	case 'n':
		return r.skip()
	case '"':
		r.ask.prompted = true
		r.ask.Messages++
		return r.oneTurn(user)
	case '[':
		r.ask.prompted = true
		return r.promptArray(r.responseItem)
	}
	return r.want('[', "a string or an array of items")
}

// instructions are a system prompt. Some servers take items here as well.
func (r *reader) instructions() *Problem {
	switch r.kind() {
	case 'n':
		return r.skip()
	case '[':
		r.ask.prompted = true
		return r.promptArray(r.responseItem)
	}
	r.ask.prompted = true
	if p := r.want('"', "a string"); p != nil {
		return p
	}
	return r.oneTurn(system)
}

// oneTurn takes a string that is a whole turn.
func (r *reader) oneTurn(from speaker) *Problem {
	r.cost += perMessage
	r.turn(from)
	r.prompt = true
	p := r.value(plainTokens)
	r.prompt = false
	return p
}

// filled reports whether the next value says anything: some clients fill what is
// not there with a null, or with an empty string.
func (r *reader) filled() bool {
	return r.kind() != 'n' && !bytes.HasPrefix(r.body[r.start():], []byte(`""`))
}

// reference takes what refers to state that the provider keeps: an id, or an
// object with one. A prompt's variables are prompt too, and may be pictures and
// files.
func (r *reader) reference(from speaker, name string) *Problem {
	if !r.filled() {
		return r.skip()
	}
	r.ask.prompted = true
	r.unbounded(KindInput, chatUnbounded[name].Why)
	r.turn(from)
	r.prompt = true
	defer func() { r.prompt = false }()
	if r.kind() != '{' {
		return r.value(plainTokens)
	}
	return r.object(referenceFields, func(name string) *Problem {
		switch {
		case name == "id":
			at, p := r.raw()
			r.ask.texts = append(r.ask.texts, piece{int32(at.start), int32(at.end)})
			return p
		case name == "variables" && r.kind() == '{':
			return r.fields(nil, false, func(string) *Problem {
				r.name(plainTokens)
				if r.kind() == '{' {
					return r.responsePart()
				}
				return r.value(plainTokens)
			})
		}
		return r.value(plainTokens)
	})
}

var referenceFields = []string{"id", "variables"}

var compactionFields = []string{"type"}

// compactions takes edits of the context. A compaction is a run of the model over
// the prompt, before the answer; what else there may be has no bound.
func (r *reader) compactions() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	r.cost += perFeature
	return r.array(func(int) *Problem {
		kind := ""
		p := r.object(compactionFields, func(name string) (p *Problem) {
			if name == "type" && r.kind() == '"' {
				kind, _, p = r.text()
				return p
			}
			return r.value(plainTokens)
		})
		switch {
		case p != nil:
		case kind == "compaction":
			r.note(Unbounded{Field: r.where(), Kind: KindRun, Max: 1, Why: "the model is run once more to compact its prompt"})
		default:
			r.unbounded(KindTool, "an edit of the context that may run the model once more")
		}
		return p
	})
}

var agentsFields = []string{"enabled"}

// agents takes the provider's own agents, of which there is no greatest number.
func (r *reader) agents() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	on := true
	p := r.object(agentsFields, func(name string) (p *Problem) {
		if name == "enabled" {
			on, _, p = r.boolean()
			return p
		}
		return r.skip()
	})
	if p == nil && on {
		r.unbounded(KindTool, "runs agents of the provider, as many as they start")
	}
	return p
}
