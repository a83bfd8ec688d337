package follow

import "bytes"

// place is what a value is to us, found from the names that lead to it. Names
// mean the same in every dialect, so that one table serves them all.
type place uint8

const (
	ignored place = iota // passed over: only its brackets and quotes are followed

	root // objects that we look into
	choices
	choice
	response
	message

	kindText // words
	callText
	statusText
	tierText
	reason
	failure
	number

	usage // figures, kept as they are spelt

	text  // what the model wrote, at any depth
	delta // the same, with a stop reason beside it
	block // Anthropic's content block, in which other servers' results may stand
	own   // a block's content: its own if it is a text
	item  // the responses' output item, likewise
	items // lists of them
	blocks
	made // the responses' items when all is over, of which only the kinds are wanted
	makes
	name // of a tool that is called
	args // of its call
)

// field is what a named value is in a place.
func (p place) field(key []byte) place {
	switch p {
	case root:
		return rootField(key)
	case response:
		switch string(key) {
		case "usage":
			return usage
		case "service_tier":
			return tierText
		case "status":
			return statusText
		case "output":
			return makes
		}
	case made:
		if string(key) == "type" {
			return callText
		}
	case message:
		if string(key) == "usage" {
			return usage
		}
	case choice:
		switch string(key) {
		case "delta", "message":
			return text
		case "finish_reason":
			return reason
		case "index":
			return number
		}
	case delta:
		if string(key) == "stop_reason" {
			return reason
		}
		return textField(key)
	case block:
		if string(key) == "content" {
			return own
		}
		return textField(key)
	case item:
		switch string(key) {
		case "type":
			return callText
		case "results", "result", "sources", "output", "outputs", "tools":
			return ignored // what a tool gave, not what the model wrote
		}
		return textField(key)
	case text:
		return textField(key)
	}
	return ignored
}

func rootField(key []byte) place {
	switch string(key) {
	case "choices":
		return choices
	case "usage":
		return usage
	case "service_tier":
		return tierText
	case "error":
		return failure
	case "type":
		return kindText
	case "status":
		return statusText
	case "delta":
		return delta
	case "content_block":
		return block
	case "content":
		return blocks
	case "item":
		return item
	case "output":
		return items
	case "output_index":
		return number
	case "response":
		return response
	case "message":
		return message
	}
	return ignored
}

// textField is what stands in what the model wrote. A name that we do not know is
// text: what is counted must never be under.
func textField(key []byte) place {
	switch string(key) {
	case "role", "type", "id", "status", "call_id", "object", "logprobs":
		return ignored
	case "name":
		return name
	case "arguments", "input", "partial_json", "action", "operation":
		return args
	}
	return text
}

// element is what the elements of a list are.
func (p place) element() place {
	switch p {
	case choices:
		return choice
	case items:
		return item
	case blocks:
		return block
	case makes:
		return made
	case text, delta:
		return text
	}
	return ignored
}

// looked reports whether an object in this place is looked into.
func (p place) looked() bool {
	switch p {
	case root, choice, response, message, text, delta, block, item, made:
		return true
	}
	return false
}

// wordy reports whether a string in this place is what the model wrote.
func (p place) wordy() bool {
	switch p {
	case text, delta, block, own, item, name, args:
		return true
	}
	return false
}

// kind is what a typed event is about.
type kind uint8

const (
	untyped  kind = iota
	output        // something the model wrote
	itemDone      // a whole item, most of which came before in parts
	opening       // what is known of the prompt
	closing       // what was used
	ending
	breaking // the end of an answer that was not finished
	failing
)

// kindOf reads a type, or the name of an event whose data has none.
func kindOf(s []byte) kind {
	switch string(s) {
	case "error":
		return failing
	case "response.output_item.added", "content_block_start", "content_block_delta":
		return output
	case "response.output_item.done":
		return itemDone
	case "response.completed", "response.incomplete", "message_stop":
		return ending
	case "response.failed", "response.cancelled":
		return breaking
	case "message_start":
		return opening
	case "message_delta":
		return closing
	}
	if bytes.HasSuffix(s, []byte(".delta")) {
		return output
	}
	return untyped
}
