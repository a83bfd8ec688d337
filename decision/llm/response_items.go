package llm

import (
	"cmp"
	"slices"
)

// itemFields are read in one item of a response's input. The items of all kinds
// share them, and an item's kind may stand last.
var itemFields = []string{"type", "role", "content", "output", "tools", "result", "reasoning", "encrypted_content",
	"id", "call_id", "status", "internal_chat_message_metadata_passthrough"}

// item is what is known of one item when it has been read.
type item struct {
	kind            string
	role, id        bool
	said, encrypted bool  // content, encrypted_content: there is something in it
	result          int64 // what result counts
}

// wholeItems are the kinds of item that are what stands in them: messages, calls
// of tools and what came of them.
var wholeItems = []string{"message", "function_call", "function_call_output", "custom_tool_call",
	"custom_tool_call_output", "computer_call", "computer_call_output", "local_shell_call", "local_shell_call_output",
	"shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output",
	"tool_search_call", "tool_search_output", "additional_tools", "mcp_list_tools", "mcp_approval_request",
	"mcp_approval_response", "mcp_call", "program", "program_output", "configuration_update",
	"compaction", "compaction_summary", "agent_message", "multi_agent_call", "multi_agent_call_output"}

// responseItem takes one item of the input.
func (r *reader) responseItem() *Problem {
	var is item
	if p := r.object(itemFields, func(name string) *Problem { return r.itemField(&is, name) }); p != nil {
		return p
	}
	r.itemIs(&is)
	return nil
}

func (r *reader) itemField(is *item, name string) (p *Problem) {
	there := r.kind() != 'n'
	before := r.cost
	switch name {
	case "type":
		if r.kind() != '"' {
			return r.skip()
		}
		is.kind, _, p = r.text()
		return p
	case "role":
		is.role = there
		return r.value(plainTokens)
	case "content":
		if r.kind() == '{' {
			p = r.responsePart()
		} else {
			p = r.content(r.responsePart)
		}
		is.said = there && r.cost > before
		return p
	case "output":
		return r.itemOutput()
	case "tools":
		return r.responseTools()
	case "result": // A picture's base64, if the item turns out to be one.
		p = r.value(plainTokens)
		is.result = r.cost - before
		return p
	case "reasoning":
		return r.reasoning()
	case "encrypted_content":
		p = r.aside()
		is.encrypted = there && r.cost > before
		return p
	case "id":
		is.id = there
		return r.aside()
	case "call_id", "status":
		return r.aside()
	case "internal_chat_message_metadata_passthrough": // Codex's, with the time of day in it
		r.name(renderedTokens)
		return r.aside()
	}
	r.name(renderedTokens)
	return r.value(renderedTokens)
}

// aside takes a value that is no part of the prompt's hash: clients and providers
// make it anew each time.
func (r *reader) aside() *Problem {
	prompt := r.prompt
	r.prompt = false
	p := r.value(plainTokens)
	r.prompt = prompt
	return p
}

// itemOutput takes what came of a tool's call: a text, parts, or a picture of a
// screen.
func (r *reader) itemOutput() *Problem {
	switch r.kind() {
	case '{':
		return r.responsePart()
	case '[':
		return r.content(r.responsePart)
	}
	return r.value(plainTokens)
}

// itemIs notes what an item costs beyond its text.
func (r *reader) itemIs(is *item) {
	switch kind := is.kind; {
	case kind == "" && is.role, slices.Contains(wholeItems, kind):
	case kind == "reasoning" && (is.encrypted || is.said || !is.id):
	case kind == "compaction_trigger":
		r.ask.MinOutput = max(r.ask.MinOutput, leastCompaction)
	case kind == "image_generation_call":
		r.cost -= is.result
		r.image(openAIImage)
	case kind == "", kind == "item_reference", kind == "reasoning":
		r.unbounded(KindInput, "refers to an item that the provider keeps")
	case media(kind):
		r.unbounded(KindMedia, "sound or video in the prompt")
	default: // What its own tools found stays with the provider too.
		r.unbounded(KindInput, "an item of a kind whose cost its bytes do not tell")
	}
}

// responsePartFields are those of a chat's parts and a few more.
var responsePartFields = append([]string{"detail", "stdout", "stderr", "outcome", "encrypted_content"}, partFields...)

// responseTexts are the kinds of part that are the text in them, and
// responsePictures those that are one picture.
var responsePictures = []string{"input_image", "computer_screenshot", "image_url"}

var responseTexts = append([]string{"encrypted_content"}, textParts...)

// responsePart takes one part of an item's content, or of a tool's output. What it
// is is told by its type and by the key of its payload, as in a chat; but here the
// detail of a picture stands beside it, and a picture may be a file's id.
func (r *reader) responsePart() *Problem {
	var (
		is              part
		low, file, drew bool
	)
	p := r.object(responsePartFields, func(name string) (p *Problem) {
		there := r.kind() != 'n'
		switch name {
		case "detail":
			if r.kind() != '"' {
				return r.skip()
			}
			detail, _, p := r.text()
			low = low || detail == "low"
			return p
		case "image_url":
			drew = drew || there
			return r.picture(&low)
		case "file_id":
			file = file || there
			return r.value(plainTokens)
		case "file_data", "file_url":
			if there {
				file, is.needs = true, KindInput
			}
			return r.pass()
		case "stdout", "stderr", "outcome", "encrypted_content":
			is.text = true
			r.name(plainTokens)
			return r.value(plainTokens)
		}
		return r.partField(&is, name)
	})
	if p != nil {
		return p
	}
	if is.kind == "input_image" || is.kind == "computer_screenshot" {
		drew, file = true, is.needs != "" // a file's id is the picture's
	}
	if drew {
		is.image = true
		r.image(openAIImageAt(low && is.kind != "computer_screenshot"))
	}
	if file || is.kind == "input_file" {
		r.ask.Files++
		is.needs = cmp.Or(is.needs, KindInput)
	}
	if kind := is.unbounded(responseTexts, responsePictures); kind != "" && kind != is.noted {
		r.unbounded(kind, "a part of a kind whose cost its bytes do not tell")
	}
	return nil
}
