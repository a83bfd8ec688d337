package llm

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// textParts are the kinds of a part of a chat that are text and nothing else.
var textParts = []string{"text", "refusal", "input_text", "output_text", "summary_text", "reasoning_text",
	"thinking", "reasoning"}

// partFields are read in one part of a chat. The first lines are payloads that
// have a rule; the rest are the spellings by which servers take a picture, a film
// or a file, some of them whatever type says.
var partFields = []string{"type", "cache_control", "prompt_cache_breakpoint",
	"text", "refusal", "thinking", "reasoning",
	"image_url", "file", "input_audio", "audio_url", "video_url",

	"image", "images", "input_image", "image_embeds", "file_id", "file_ids", "file_data", "file_url", "file_uri",
	"input_file", "document", "document_url", "inline_data", "inlineData", "fileData", "cached_content",
	"audio", "audio_embeds", "video", "videos", "input_video"}

// part is what is known of one part when it has been read.
type part struct {
	kind    string
	image   bool // image_url, with its rule
	text    bool // one of the fields of text
	strange bool // a field that we do not know
	noted   Kind // what has been noted of it already
	needs   Kind // what the spelling of a field asks for
}

// chatPart takes one part of a content. What it is is told by type and by the key
// that holds the payload, because servers go by either; type may come last.
func (r *reader) chatPart() *Problem {
	var is part
	p := r.object(partFields, func(name string) *Problem { return r.partField(&is, name) })
	if p != nil {
		return p
	}
	if kind := is.unbounded(textParts, chatPictures); kind != "" && kind != is.noted {
		r.unbounded(kind, "a part of a kind whose cost its bytes do not tell")
	}
	return nil
}

func (r *reader) partField(is *part, name string) (p *Problem) {
	switch name {
	case "type":
		if r.kind() != '"' {
			return r.skip()
		}
		is.kind, _, p = r.text()
		return p
	case "cache_control":
		return r.cacheControl()
	case "prompt_cache_breakpoint":
		return r.cacheBreakpoint()
	case "image_url":
		is.image = true
		return r.chatImage()
	case "file":
		r.ask.Files++
		is.noted = KindInput
		r.unbounded(KindInput, "a file's pages are not told by its size")
		return r.pass()
	case "input_audio", "audio_url", "video_url":
		is.noted = KindMedia
		r.unbounded(KindMedia, "sound or video in the prompt")
		return r.pass()
	case "text", "refusal", "thinking", "reasoning":
		is.text = true
	case unknown:
		is.strange = true
	default:
		if r.kind() != 'n' { // some clients fill what is not there with null
			r.foreign(is, name)
		}
	}
	r.name(plainTokens)
	return r.value(plainTokens)
}

// foreign notes a payload in a spelling that has no rule of its own. Pictures and
// files are counted for policies too.
func (r *reader) foreign(is *part, name string) {
	switch {
	case media(name):
		is.needs = KindMedia
		return
	case strings.Contains(name, "image"):
		r.image(openAIImage)
	default:
		r.ask.Files++
	}
	if is.needs == "" {
		is.needs = KindInput
	}
}

// chatPictures are the kinds of a part of a chat that are one picture.
var chatPictures = []string{"image_url"}

// unbounded is how a part is billed beyond its bytes; empty: it is not. texts and
// pictures are the kinds that have a rule.
func (is *part) unbounded(texts, pictures []string) Kind {
	switch {
	case is.needs == KindMedia, media(is.kind):
		return KindMedia
	case is.needs == KindInput:
		return KindInput
	case slices.Contains(texts, is.kind), is.image && slices.Contains(pictures, is.kind):
		return ""
	case is.kind == "" && (is.image || is.text || is.noted != "" || !is.strange):
		return "" // it goes by its key
	}
	return KindInput
}

// media reports whether a kind is sound or video, by its name.
func media(kind string) bool {
	kind = strings.ToLower(kind)
	return strings.Contains(kind, "audio") || strings.Contains(kind, "video")
}

var imageFields = []string{"url", "detail"}

// chatImage takes image_url, which is one image.
func (r *reader) chatImage() *Problem {
	low := false
	p := r.picture(&low)
	r.image(openAIImageAt(low))
	return p
}

// picture takes an image: an object, or the address itself.
func (r *reader) picture(low *bool) *Problem {
	if r.kind() != '{' {
		return r.address()
	}
	return r.object(imageFields, func(name string) *Problem {
		switch {
		case name == "url":
			return r.address()
		case name == "detail" && r.kind() == '"':
			detail, _, p := r.text()
			*low = *low || detail == "low"
			return p
		}
		return r.value(plainTokens)
	})
}

// address takes an image's address. Some gateways let a file through in an
// image's place: bytes that say they are no image are no image to us, and neither
// are several of them.
func (r *reader) address() *Problem {
	switch r.kind() {
	case '[', '{':
		r.unbounded(KindInput, "more than one image in the place of one")
		return r.pass()
	case '"':
	default:
		return r.pass()
	}
	at, p := r.raw()
	if p != nil {
		return p
	}
	r.said(at)
	kind, data := strings.CutPrefix(strings.ToLower(strings.TrimSpace(r.head(at))), "data:")
	switch {
	case !data, strings.HasPrefix(kind, "image/"):
	case strings.HasPrefix(kind, "audio/"), strings.HasPrefix(kind, "video/"):
		r.unbounded(KindMedia, "sound or video in the prompt")
	default:
		r.unbounded(KindInput, "a file in the place of an image")
	}
	return nil
}

// head is how a string begins: enough of it to tell data from an address, which
// may be megabytes.
func (r *reader) head(at span) string {
	const most = 16 * len(`\u0000`)
	quoted := r.body[at.start:at.end]
	if len(quoted) > most {
		quoted = quoted[:most]
	}
	plain, _ := jsontext.AppendUnquote(nil, quoted) // up to where it was cut off
	return string(plain)
}

// textBlocks are the content blocks of Anthropic's that are the text in them, and
// what other blocks they hold. A result of a provider's tool comes back in the
// body whole.
var textBlocks = []string{"text", "thinking", "redacted_thinking", "tool_use", "tool_result", "tool_reference",
	"server_tool_use", "mcp_tool_use", "mcp_tool_result", "search_result", "compaction",
	"web_search_tool_result", "web_search_result", "web_search_tool_result_error",
	"web_fetch_tool_result", "web_fetch_result", "web_fetch_tool_result_error", "web_fetch_tool_error",
	"code_execution_tool_result", "code_execution_result", "code_execution_output", "code_execution_tool_result_error",
	"encrypted_code_execution_result",
	"bash_code_execution_tool_result", "bash_code_execution_result", "bash_code_execution_output",
	"bash_code_execution_tool_result_error",
	"text_editor_code_execution_tool_result", "text_editor_code_execution_view_result",
	"text_editor_code_execution_create_result", "text_editor_code_execution_str_replace_result",
	"text_editor_code_execution_tool_result_error",
	"tool_search_tool_result", "tool_search_tool_search_result", "tool_search_tool_result_error",
	"advisor_tool_result", "advisor_result", "advisor_redacted_result", "advisor_tool_result_error"}

// blockIs notes what a block of Anthropic's costs beyond its text.
func (r *reader) blockIs(kind string, from source, strange bool) {
	switch {
	case kind == "image":
		r.image(anthropicImage)
	case kind == "container_upload":
		r.unbounded(KindTool, "a file for a container, billed by the hour")
	case media(kind):
		r.unbounded(KindMedia, "sound or video in the prompt")
	case kind == "document" && from.counted:
	case kind == "document":
		r.ask.Files++
		r.unbounded(KindInput, "a document's pages are not told by its size")
	case from.there && !from.counted:
		r.unbounded(KindMedia, "something that is neither text, image nor document")
	case kind == "" && strange, kind != "" && !slices.Contains(textBlocks, kind):
		r.unbounded(KindInput, "a block of a kind whose cost its bytes do not tell")
	}
}
