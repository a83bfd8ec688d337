package follow_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm/follow"
	"github.com/signalbox-dev/signalbox/journal"
)

// samples are answers in the shapes that were recorded from the providers.
var samples = []struct {
	name  string
	asked follow.Asked
	// without is how the one event begins that is not relayed, if there is one.
	without string
	end     string // how what is held back until it is settled begins
	want    verdict
}{
	{"chat_usage.sse", chat, "", "data: [DONE]", verdict{
		used: journal.Tokens{Input: 1117, Cached: 1024, Output: 12}, tier: "default", told: true,
		output: 69, input: journal.Tokens{Input: 1117, Cached: 1024}, complete: true, started: true}},
	{"chat_usage.sse", chatHiding, `"choices":[],"usage":{"prompt_tokens":1117`, "data: [DONE]", verdict{
		used: journal.Tokens{Input: 1117, Cached: 1024, Output: 12}, tier: "default", told: true,
		output: 69, input: journal.Tokens{Input: 1117, Cached: 1024}, complete: true, started: true}},
	{"chat_plain.sse", chatHiding, "", "data: [DONE]", verdict{output: 69, complete: true, started: true}},
	{"chat_tools.sse", chatHiding, `"choices":[],"usage":{"prompt_tokens":149`, "data: [DONE]", verdict{
		used: journal.Tokens{Input: 149, Output: 48}, tier: "default", told: true,
		output: 220, input: journal.Tokens{Input: 149}, complete: true, started: true}},
	{"chat_two.sse", chatHiding, `"choices":[],"usage":{"prompt_tokens":30`, "data: [DONE]", verdict{
		used: journal.Tokens{Input: 30, Output: 6}, tier: "default", told: true,
		output: 55, input: journal.Tokens{Input: 30}, complete: true, started: true}},
	{"chat_azure.sse", chatHiding, `{"choices":[],"created":1754925861`, "data: [DONE]", verdict{
		used: journal.Tokens{Input: 19, Output: 4}, tier: "default", told: true,
		output: 29, input: journal.Tokens{Input: 19}, complete: true, started: true}},
	{"chat_deepseek.sse", chatHiding, "", "data: [DONE]", verdict{
		used: journal.Tokens{Input: 71, Cached: 64, Output: 11, Reasoning: 6}, told: true,
		output: 54, input: journal.Tokens{Input: 71, Cached: 64}, complete: true, started: true}},
	{"chat_counting.sse", chatHiding, `"choices":[],"usage":{"prompt_tokens":192`, "data: [DONE]", verdict{
		used: journal.Tokens{Input: 192, Output: 8}, told: true,
		output: 31, input: journal.Tokens{Input: 192}, complete: true, started: true}},
	{"chat_error.sse", chatHiding, "", `data: {"error"`, verdict{output: 23, failed: true, started: true}},
	{"chat.json", chatHiding, "", "}", verdict{
		used: journal.Tokens{Input: 24, Output: 19}, tier: "default", told: true,
		output: 65, input: journal.Tokens{Input: 24}, complete: true, started: true}},

	{"responses.sse", responses, "", "event: response.completed", verdict{
		used: journal.Tokens{Input: 97, Cached: 64, Output: 151, Reasoning: 128}, tier: "default", told: true,
		output: 206, input: journal.Tokens{Input: 97, Cached: 64}, complete: true, started: true}},
	{"responses_failed.sse", responses, "", "event: response.failed", verdict{output: 36, failed: true, started: true}},
	{"responses_incomplete.sse", responses, "", "event: response.incomplete", verdict{
		used: journal.Tokens{Input: 20, Output: 16, Reasoning: 15}, tier: "priority", told: true,
		output: 36, input: journal.Tokens{Input: 20}, complete: true, started: true}},
	{"responses_error.sse", responses, "", "event: error", verdict{output: 36, failed: true, started: true}},
	{"responses.json", responses, "", "}", verdict{
		used: journal.Tokens{Input: 97, Cached: 64, Output: 151, Reasoning: 128}, tier: "flex", told: true,
		output: 206, input: journal.Tokens{Input: 97, Cached: 64}, complete: true, started: true}},
	{"responses_background.json", responses, "", "}", verdict{output: -1, complete: true, started: true}},

	{"embeddings.json", embeddings, "", "}", verdict{
		used: journal.Tokens{Input: 23}, told: true, complete: true, started: true}},
	{"embeddings_base64.json", embeddings, "", "}", verdict{
		used: journal.Tokens{Input: 8}, told: true, complete: true, started: true}},

	{"messages_tools.sse", messages, "", "event: message_stop", verdict{
		used: journal.Tokens{Input: 377, Output: 65}, tier: "standard", told: true,
		output: 191, input: journal.Tokens{Input: 377}, complete: true, started: true}},
	{"messages_thinking.sse", messages, "", "event: message_stop", verdict{
		used: journal.Tokens{Input: 4121, Cached: 1800, CacheWrite: 300, CacheWriteLong: 2000, Output: 58, Reasoning: 40}, tier: "priority", told: true,
		output: 225, input: journal.Tokens{Input: 4121, Cached: 1800, CacheWrite: 300, CacheWriteLong: 2000}, complete: true, started: true}},
	{"messages_search.sse", messages, "", "event: message_stop", verdict{
		used: journal.Tokens{Input: 10682, Output: 63, Other: map[string]int64{"web_search": 1}}, tier: "standard", told: true,
		output: 249, input: journal.Tokens{Input: 10682}, complete: true, started: true}},
	{"messages_error.sse", messages, "", "event: error", verdict{
		output: 38, input: journal.Tokens{Input: 40, Cached: 5, CacheWrite: 10}, failed: true, started: true}},
	{"messages_late.sse", messages, "", "event: message_stop", verdict{
		used: journal.Tokens{Input: 19, Cached: 5, CacheWrite: 3, Output: 2}, told: true,
		output: 34, input: journal.Tokens{Input: 19, Cached: 5, CacheWrite: 3}, complete: true, started: true}},
	{"messages.json", messages, "", "}", verdict{
		used: journal.Tokens{Input: 2098, Cached: 1800, CacheWrite: 148, CacheWriteLong: 100, Output: 83}, tier: "standard", told: true,
		output: 222, input: journal.Tokens{Input: 2098, Cached: 1800, CacheWrite: 148, CacheWriteLong: 100}, complete: true, started: true}},
}

func TestAnswersAsRecorded(t *testing.T) {
	for _, c := range samples {
		text := sample(t, c.name)
		got := whole(c.asked, typeOf(c.name), text)
		if !reflect.DeepEqual(got.settled, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got.settled, c.want)
		}
		relayed := without(t, text, c.without)
		if got.text != relayed {
			t.Errorf("%s: relayed\n%s", c.name, got.text)
		}
		if rest, ok := strings.CutPrefix(relayed, got.before); !ok || !strings.HasPrefix(rest, c.end) || got.times != 1 {
			t.Errorf("%s: settled %d times, before\n%s", c.name, got.times, rest)
		}
		// What is billed lies below what was seen, but for thoughts that do not show.
		if u := got.settled.used; got.settled.output >= 0 && got.settled.output < u.Output-u.Reasoning {
			t.Errorf("%s: seen %d, used %+v", c.name, got.settled.output, u)
		}
	}
}

// without is a stream without the one event that has this part.
func without(t testing.TB, text, part string) string {
	t.Helper()
	if part == "" {
		return text
	}
	var kept strings.Builder
	dropped := 0
	for _, event := range strings.SplitAfter(text, "\n\n") {
		if strings.Contains(event, part) {
			dropped++
			continue
		}
		kept.WriteString(event)
	}
	if dropped != 1 {
		t.Fatalf("%d events have %s", dropped, part)
	}
	return kept.String()
}
