package llm

import "strings"

var responseToolFields = []string{"type", "name", "environment", "execution", "container", "tools", "cache_control",
	"prompt_cache_breakpoint"}

// responseTool is what is known of one tool when it has been read.
type responseTool struct {
	kind, environment, execution string
	named                        bool
	large                        bool // its container costs more than the least one
}

// responseTools takes the tools of a response, or those that an item brings.
func (r *reader) responseTools() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	return r.array(func(int) *Problem { return r.responseTool() })
}

// responseTool takes one tool. A namespace holds tools of its own, each of which
// is judged by itself.
func (r *reader) responseTool() *Problem {
	r.ask.Tools++
	r.cost += perTool
	var is responseTool
	p := r.object(responseToolFields, func(name string) (p *Problem) {
		switch {
		case name == "type" && r.kind() == '"':
			is.kind, _, p = r.text()
			r.cost += int64(len(is.kind))
			return p
		case name == "execution" && r.kind() == '"':
			is.execution, _, p = r.text()
			return p
		case name == "environment" && r.kind() == '{':
			return r.environment(&is.environment)
		case name == "container" && r.kind() == '{':
			return r.container(&is.large)
		case name == "tools":
			return r.responseTools()
		case name == "cache_control":
			return r.cacheControl()
		case name == "prompt_cache_breakpoint":
			return r.cacheBreakpoint()
		case name == "name":
			is.named = true
		}
		r.name(renderedTokens)
		return r.value(renderedTokens)
	})
	if p == nil {
		r.responseToolIs(is)
	}
	return p
}

var environmentFields = []string{"type"}

func (r *reader) environment(kind *string) *Problem {
	return r.object(environmentFields, func(name string) (p *Problem) {
		if name == "type" && r.kind() == '"' {
			*kind, _, p = r.text()
			return p
		}
		r.name(renderedTokens)
		return r.value(renderedTokens)
	})
}

var containerFields = []string{"memory_limit"}

// leastMemory is the container that a code interpreter has if nobody asks for a
// larger one, which costs many times as much.
const leastMemory = "1g"

func (r *reader) container(large *bool) *Problem {
	return r.object(containerFields, func(name string) (p *Problem) {
		if name == "memory_limit" && r.kind() == '"' {
			memory, _, p := r.text()
			*large = memory != leastMemory
			r.cost += int64(len(memory))
			return p
		}
		r.name(renderedTokens)
		return r.value(renderedTokens)
	})
}

// responseToolIs notes who runs a tool. What is neither known to be the caller's
// own nor anything that we have heard of runs at the provider.
func (r *reader) responseToolIs(is responseTool) {
	switch kind := is.kind; {
	case kind == "function", kind == "custom", kind == "namespace", kind == "" && is.named:
		return // the caller's, which wrote its schema
	case kind == "local_shell", kind == "apply_patch", strings.HasPrefix(kind, "computer"),
		kind == "shell" && is.environment == "local", kind == "tool_search" && is.execution == "client":
		r.cost += perBuiltInTool // the caller's, by the provider's schema
		return
	case kind == "image_generation":
		r.unbounded(KindMedia, "draws pictures, at prices of their own")
	}
	r.cost += perBuiltInTool
	u := Unbounded{Field: r.where(), Kind: KindTool, Together: countedTogether(is.kind), Tool: is.hosted(), Why: "a tool that the provider runs"}
	if is.large {
		u.Why = "a code interpreter in a container larger than the least"
	}
	r.note(u)
}

// hosted is what prices call the tool; empty where no number of uses bounds its cost.
func (is *responseTool) hosted() string {
	switch kind := is.kind; {
	case strings.HasPrefix(kind, "web_search"):
		return WebSearch
	case kind == "file_search":
		return FileSearch
	case kind == "code_interpreter" && !is.large:
		return CodeInterpreter
	}
	return ""
}

// countedTogether are the kinds of tool that max_tool_calls counts, of all kinds
// together. Calls of a server's tools (mcp), programs, searches for tools and
// containers' commands are not known to be counted.
func countedTogether(kind string) bool {
	return strings.HasPrefix(kind, "web_search") || kind == "file_search" || kind == "code_interpreter" ||
		kind == "image_generation"
}
