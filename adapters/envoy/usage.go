package envoy

import (
	"encoding/json"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// UsageRule copies one value of a provider's answer into NamespaceUsage, under Key:
// where nobody of ours sees the answer go by, Envoy's own filters read it. The type
// to copy it as is PROTOBUF_VALUE, their default: it keeps a text a text.
type UsageRule struct {
	// Stream: a rule of sse_to_metadata, which copies an object as its JSON in a
	// text. Else one of json_to_metadata, which copies no object at all (Envoy
	// 1.40.0 logs that it cannot and goes on), so that each figure is named.
	Stream bool
	Path   []string // the names that lead to the value, from the outermost
	Key    string
}

// What the filters of UsageRules need beside them.
const (
	// UsageTypes is json_to_metadata's allow_content_types_regex: by itself it takes
	// application/json alone, without the charset that Azure adds.
	UsageTypes = `application/json\s*(;.*)?`
	// UsageEventMost is sse_to_metadata's max_event_size, the largest that it takes:
	// a response's last event repeats the whole answer, and 8 KiB, its default, would
	// lose the figures of every longer one.
	UsageEventMost = 10 << 20
)

// documentFigures are the figures of a document. What llm.Usage reads and is not here is
// Anthropic's list of iterations, because no filter copies a list: it says what a
// summary or an adviser used beside the answer, and a call that may run one is never let
// out, since nothing bounds it.
var documentFigures = []string{
	"usage.prompt_tokens", "usage.completion_tokens", "usage.total_tokens", "usage.input_tokens", "usage.output_tokens",
	"usage.prompt_tokens_details.cached_tokens", "usage.prompt_tokens_details.cache_write_tokens", "usage.prompt_tokens_details.audio_tokens",
	"usage.input_tokens_details.cached_tokens", "usage.input_tokens_details.cache_write_tokens", "usage.input_tokens_details.audio_tokens",
	"usage.completion_tokens_details.reasoning_tokens", "usage.completion_tokens_details.thinking_tokens", "usage.completion_tokens_details.audio_tokens",
	"usage.output_tokens_details.reasoning_tokens", "usage.output_tokens_details.thinking_tokens", "usage.output_tokens_details.audio_tokens",
	"usage.prompt_cache_hit_tokens", "usage.cache_read_input_tokens", "usage.cache_creation_input_tokens",
	"usage.cache_creation.ephemeral_5m_input_tokens", "usage.cache_creation.ephemeral_1h_input_tokens",
	"usage.server_tool_use.web_search_requests", "usage.server_tool_use.web_fetch_requests",
	"usage.service_tier", "usage.speed", "usage.inference_geo",
	keyTier, keyStatus, keyError,
}

// streamObjects are what the events of a stream say, each where its dialect puts it.
// The last event that says something counts; a null says nothing.
var streamObjects = []string{
	keyUsage, keyResponseUsage, keyMessageUsage, keyGroqUsage,
	keyTier, keyResponseTier, keyResponseStatus, keyStop, keyError,
}

const (
	keyUsage         = "usage"
	keyResponseUsage = "response.usage" // response.completed
	keyMessageUsage  = "message.usage"  // message_start: of the prompt
	keyGroqUsage     = "x_groq.usage"

	keyTier           = "service_tier"
	keyResponseTier   = "response.service_tier"
	keyStatus         = "status"
	keyResponseStatus = "response.status"
	keyStop           = "delta.stop_reason" // message_delta
	keyError          = "error.type"
)

// UsageRules lists the rules: in the order of one filter, then of the other.
func UsageRules() []UsageRule {
	rules := make([]UsageRule, 0, len(streamObjects)+len(documentFigures))
	for _, key := range streamObjects {
		rules = append(rules, UsageRule{Stream: true, Path: strings.Split(key, "."), Key: key})
	}
	for _, key := range documentFigures {
		rules = append(rules, UsageRule{Path: strings.Split(key, "."), Key: key})
	}
	return rules
}

// Usage is what the filters have read of one answer.
type Usage struct {
	// Said is the provider's usage, as it spelt it, in an object of its own; llm.Usage
	// reads it. nil: nothing was read that could be one.
	Said []byte
	// Final: it is what was used, and not only what was used so far, even if the answer
	// broke off behind it. Where it is false, that the answer ended well says the same.
	Final bool
	// Failed: the answer says that it is an error.
	Failed bool
	// Unfinished: the answer says that its work goes on elsewhere.
	Unfinished bool
}

// maxUsage is far above any usage; Envoy bounds the event that it stands in.
const maxUsage = 64 << 10

// ReadUsage reads NamespaceUsage.
func ReadUsage(dialect llm.Dialect, m *structpb.Struct) Usage {
	f := m.GetFields()
	said, final := streamed(dialect, f)
	u := Usage{Said: said, Final: final}
	status, tier := firstText(f, keyResponseStatus, keyStatus), firstText(f, keyResponseTier, keyTier)
	if said == nil {
		u.Said, u.Final = document(f), true
	}
	u.Failed = f[keyError] != nil || status == "failed"
	u.Unfinished = status == "queued" || status == "in_progress"
	if u.Said == nil || len(u.Said) > maxUsage {
		return Usage{Failed: u.Failed, Unfinished: u.Unfinished}
	}
	u.Said = withTier(u.Said, tier)
	return u
}

// firstText is the first of these texts that is there.
func firstText(f map[string]*structpb.Value, keys ...string) string {
	for _, key := range keys {
		if s := f[key].GetStringValue(); s != "" {
			return s
		}
	}
	return ""
}

// streamed is what the events of a stream say of usage, nil where they do not, and
// whether more may come. A chat's may: there are servers that count along.
func streamed(dialect llm.Dialect, f map[string]*structpb.Value) (said []byte, final bool) {
	last := objectAt(f, keyUsage)
	if dialect == llm.Anthropic {
		first := objectAt(f, keyMessageUsage)
		return spell(overlay(first, last)), last != nil && f[keyStop] != nil
	}
	if said := objectAt(f, keyResponseUsage); said != nil {
		return spell(said), isOver(f[keyResponseStatus].GetStringValue())
	}
	if last == nil {
		last = objectAt(f, keyGroqUsage)
	}
	return spell(last), false
}

// isOver reports whether a response's status is one that nothing comes after.
func isOver(status string) bool {
	return status == "completed" || status == "incomplete" || status == "failed" || status == "cancelled"
}

// objectAt is a text that holds an object.
func objectAt(f map[string]*structpb.Value, key string) map[string]json.RawMessage {
	s := f[key].GetStringValue()
	if s == "" || len(s) > maxUsage {
		return nil
	}
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(s), &m) != nil {
		return nil
	}
	return m
}

// overlay puts Anthropic's later figures over its first, as decision/llm/follow does:
// a null takes nothing back, nor does a zero for the prompt, which servers that
// imitate the dialect fill in at the end.
func overlay(first, last map[string]json.RawMessage) map[string]json.RawMessage {
	if first == nil {
		return last
	}
	for name, value := range last {
		_, there := first[name]
		nothing := string(value) == "null" || string(value) == "0" && name != "output_tokens"
		if !there || !nothing {
			first[name] = value
		}
	}
	return first
}

// document puts the named figures of a document back to where they stood.
func document(f map[string]*structpb.Value) []byte {
	var usage map[string]any
	for _, key := range documentFigures {
		rest, ok := strings.CutPrefix(key, keyUsage+".")
		if !ok || f[key] == nil {
			continue
		}
		value := f[key].AsInterface()
		if n, ok := value.(float64); ok {
			value = json.Number(strconv.FormatFloat(n, 'f', -1, 64))
		}
		if usage == nil {
			usage = map[string]any{}
		}
		at := usage
		if outer, inner, nested := strings.Cut(rest, "."); nested {
			in, _ := usage[outer].(map[string]any)
			if in == nil {
				in = map[string]any{}
				usage[outer] = in
			}
			at, rest = in, inner
		}
		at[rest] = value
	}
	return spell(usage)
}

// spell is an object as JSON; nil where there is none.
func spell[V any](object map[string]V) []byte {
	if object == nil {
		return nil
	}
	// What Envoy has parsed can be written again; a NaN, which it has not, cannot.
	b, err := json.Marshal(object)
	if err != nil {
		return nil
	}
	return b
}

// withTier is a document with the usage and the tier that stood beside it.
func withTier(usage []byte, tier string) []byte {
	document := map[string]json.RawMessage{keyUsage: usage}
	if quoted, err := json.Marshal(tier); err == nil && tier != "" {
		document[keyTier] = quoted
	}
	return spell(document)
}
