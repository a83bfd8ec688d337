package upstream_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/signalbox-dev/signalbox/integration/sdk/clients"
	"github.com/signalbox-dev/signalbox/journal"
)

// searching are how often the model is told to search, how often it may, and how
// often it does. A prompt of p tokens that is read n times more, with what was found
// before, is billed p + Σ (p + 150 i).
var searching = []struct {
	name             string
	steer            []string
	tool             bool
	most, want, read int64 // most 0: nobody said
}{
	{"as often as it was told", with("searches", "2", "output", "9"), true, 0, 2, 450},
	{"no more often than it may", with("searches", "5", "output", "9"), true, 3, 3, 900},
	{"never by itself", with("output", "9"), true, 3, 0, 0},
	{"not without the tool", with("searches", "5", "output", "9"), false, 0, 0, 0},
}

// A response's searches are items before the message, and events of their own.
func TestASearchAsOpenAIsSDKReadsIt(t *testing.T) {
	p, url := serve(t)
	client := clients.OpenAI(url, "sk-test")
	each := []string{"response.output_item.added", "response.web_search_call.in_progress", "response.web_search_call.searching",
		"response.web_search_call.completed", "response.output_item.done"}
	for _, row := range searching {
		t.Run(row.name, func(t *testing.T) {
			ask := responses.ResponseNewParams{Model: "gpt-4o", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Any news?")}}
			if row.tool {
				ask.Tools = []responses.ToolUnionParam{responses.ToolParamOfWebSearch(responses.WebSearchToolTypeWebSearch)}
			}
			if _, err := client.Responses.New(t.Context(), ask); err != nil {
				t.Fatal(err)
			}
			prompt := last(t, p).Usage.Input
			if row.most > 0 {
				ask.MaxToolCalls = openai.Int(row.most)
			}
			whole, err := client.Responses.New(t.Context(), ask, openAISteer(row.steer)...)
			if err != nil {
				t.Fatal(err)
			}
			bill := last(t, p)
			stream := client.Responses.NewStreaming(t.Context(), ask, openAISteer(row.steer)...)
			var events []string
			var ended responses.Response
			for stream.Next() {
				events, ended = append(events, stream.Current().Type), stream.Current().Response
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			if between := events[2 : 2+len(each)*int(row.want)]; !slices.Equal(between, slices.Repeat(each, int(row.want))) {
				t.Errorf("the stream's events are %q", events)
			}
			for what, got := range map[string]responses.Response{"whole": *whole, "stream": ended} {
				if n := len(got.Output); n != int(row.want)+1 || got.Output[n-1].Type != "message" {
					t.Fatalf("%s: %d items of output", what, n)
				}
				for _, item := range got.Output[:row.want] {
					if search := item.AsWebSearchCall(); search.Status != "completed" || search.ID == "" || len(search.Action.AsSearch().Queries) != 1 {
						t.Errorf("%s: a search is %s", what, item.RawJSON())
					}
				}
				if got.Usage.InputTokens != bill.Usage.Input {
					t.Errorf("%s: says %d tokens of input, billed %d", what, got.Usage.InputTokens, bill.Usage.Input)
				}
			}
			billed(t, row.want, prompt*(row.want+1)+row.read, bill.Usage, last(t, p).Usage)
		})
	}
}

// A message's searches are two blocks each, and in its usage. A stream's beginning
// says what was read until then, and its end all.
func TestASearchAsAnthropicsSDKReadsIt(t *testing.T) {
	p, url := serve(t)
	client := clients.Anthropic(url, "sk-test")
	for _, row := range searching {
		t.Run(row.name, func(t *testing.T) {
			tool := anthropic.WebSearchTool20250305Param{}
			ask := anthropic.MessageNewParams{Model: "claude-sonnet-4-5", MaxTokens: 400,
				Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Any news?"))}}
			if row.tool {
				ask.Tools = []anthropic.ToolUnionParam{{OfWebSearchTool20250305: &tool}}
			}
			if _, err := client.Messages.New(t.Context(), ask); err != nil {
				t.Fatal(err)
			}
			prompt := last(t, p).Usage.Input
			if row.most > 0 {
				tool.MaxUses = anthropic.Int(row.most)
			}
			whole, err := client.Messages.New(t.Context(), ask, anthropicSteer(row.steer)...)
			if err != nil {
				t.Fatal(err)
			}
			bill := last(t, p)
			stream := client.Messages.NewStreaming(t.Context(), ask, anthropicSteer(row.steer)...)
			var acc anthropic.Message
			var begun, input, searches int64
			for stream.Next() {
				e := stream.Current()
				if err := acc.Accumulate(e); err != nil {
					t.Fatal(err)
				}
				switch e.Type {
				case "message_start":
					begun = e.Message.Usage.InputTokens
				case "message_delta":
					input, searches = e.Usage.InputTokens, e.Usage.ServerToolUse.WebSearchRequests
				}
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			for what, got := range map[string]anthropic.Message{"whole": *whole, "stream": acc} {
				if n := len(got.Content); n != 2*int(row.want)+1 || got.Content[n-1].Type != "text" {
					t.Fatalf("%s: %d blocks", what, n)
				}
				for i := range row.want {
					asked, found := got.Content[2*i].AsServerToolUse(), got.Content[2*i+1].AsWebSearchToolResult()
					if asked.Name != "web_search" || !strings.Contains(got.Content[2*i].RawJSON()+string(got.Content[2*i].Input), `"query"`) || found.ToolUseID != asked.ID || len(found.Content.OfWebSearchResultBlockArray) != 1 {
						t.Errorf("%s: search %d is %s and %s", what, i, got.Content[2*i].RawJSON(), got.Content[2*i+1].RawJSON())
					}
				}
			}
			if u := whole.Usage; u.InputTokens != bill.Usage.Input || u.ServerToolUse.WebSearchRequests != row.want {
				t.Errorf("says %+v, billed %+v", u, bill.Usage)
			}
			if begun != prompt || input != bill.Usage.Input || searches != row.want {
				t.Errorf("the stream begins with %d tokens of input and ends with %d and %d searches; billed %+v", begun, input, searches, bill.Usage)
			}
			billed(t, row.want, prompt*(row.want+1)+row.read, bill.Usage, last(t, p).Usage)
		})
	}
}

func billed(t *testing.T, searches, input int64, bills ...journal.Tokens) {
	t.Helper()
	for _, u := range bills {
		if u.Other["web_search"] != searches || u.Input != input || u.Output != 9 {
			t.Errorf("billed %+v; want %d searches, %d tokens in and 9 out", u, searches, input)
		}
	}
}

// A stream that breaks off is billed the searches that were made until then.
func TestACutWhileItSearches(t *testing.T) {
	p, url := serve(t)
	for _, row := range []struct {
		path, body string
		after      []int // chunks: before the first search, after it, after the second
	}{
		{"/v1/responses", `{"model":"m","stream":true,"input":"News?","tools":[{"type":"web_search"}]}`, []int{4, 6, 11}},
		{"/v1/messages", `{"model":"m","stream":true,"max_tokens":400,"messages":[{"role":"user","content":"News?"}],"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, []int{7, 9, 17}},
	} {
		for want, after := range row.after {
			resp, err := post(t, t.Context(), url+row.path, row.body, "x-upstream-searches: 3", fmt.Sprintf("x-upstream-cut: %d", after))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := io.ReadAll(resp.Body) // that it breaks is what was asked
			resp.Body.Close()
			if call := last(t, p); call.Completed || call.Usage.Other["web_search"] != int64(want) {
				t.Errorf("%s cut after %d: billed %+v, completed %v, for\n%s", row.path, after, call.Usage, call.Completed, raw)
			}
		}
	}
	if total := p.BilledByModel()["m"]; total.Other["web_search"] != 6 {
		t.Errorf("the sum of all is %+v", total)
	}
}

// Reasoning comes sealed to whoever asks for it, and is not there for anybody else.
func TestReasoningIsSealedWhereItIsAskedFor(t *testing.T) {
	_, url := serve(t)
	for _, stream := range []string{"true", "false"} {
		for include, want := range map[string]bool{`["reasoning.encrypted_content"]`: true, `[]`: false} {
			resp, err := post(t, t.Context(), url+"/v1/responses", `{"model":"o4-mini","input":"Hello","store":false,"stream":`+stream+`,"include":`+include+`}`, "x-upstream-reasoning: 8")
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := strings.Contains(string(raw), `"encrypted_content":"`); err != nil || got != want {
				t.Errorf("include %s, stream %s: %v, %s", include, stream, err, raw)
			}
		}
	}
}
