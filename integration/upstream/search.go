package upstream

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A web search is run by the provider inside an answer: the model asks, reads what
// was found, and goes on. It is billed by the use, beside the tokens: all that the
// model had read it reads once more, and what was found besides.

// webSearch is what a bill calls a search.
const webSearch = "web_search"

// foundTokens is how much the pages of one search add to what is read.
const foundTokens = 150

// hosted is what is read of a tool that the provider runs.
type hosted struct {
	Type    string `json:"type"`
	MaxUses *int64 `json:"max_uses"` // Anthropic's
}

// searches is how often the model searches: as often as it was told, where it can
// and no limit ends it before. most is a response's limit, for all its tools.
func (x *exchange) searches(tools json.RawMessage, most *int64) int64 {
	var list []hosted
	_ = json.Unmarshal(tools, &list) // a list that cannot be read has no tool in it
	for _, t := range list {
		if !strings.HasPrefix(t.Type, webSearch) {
			continue
		}
		n := x.steer.searches
		for _, limit := range []*int64{most, t.MaxUses} {
			if limit != nil {
				n = min(n, *limit)
			}
		}
		return n
	}
	return 0
}

// search is one use. It is billed from here on, as what is generated is.
func (x *exchange) search() error {
	if err := x.gone(); err != nil {
		return err
	}
	if x.call.Usage.Other == nil {
		x.call.Usage.Other, x.prompt = map[string]int64{}, x.call.Usage.Input
	}
	x.call.Usage.Other[webSearch]++
	x.call.Usage.Input += x.prompt + x.call.Usage.Other[webSearch]*foundTokens
	return nil
}

// searchAll is every search of an answer that goes out in one piece.
func (x *exchange) searchAll(n int64) error {
	for range n {
		if err := x.search(); err != nil {
			return err
		}
	}
	return nil
}

// query is what the model looks for. To write it costs nothing, so that an answer
// is as long as the steering says.
func (x *exchange) query(i int64) string { return fmt.Sprintf("trains of call %d, page %d", x.n, i+1) }

// A response's searches are items before the message, each with events of its own.

func (a *responseAnswer) searchItem(i int64, status string) map[string]any {
	item := map[string]any{"id": fmt.Sprintf("%s%04d", a.id("ws_"), i), "type": "web_search_call", "status": status}
	if status == "completed" { // what was looked for is not known before
		query := a.query(i)
		item["action"] = map[string]any{"type": "search", "query": query, "queries": []string{query}}
	}
	return item
}

func (a *responseAnswer) writeSearch(index int, i int64) error {
	begun := a.searchItem(i, "in_progress")
	if err := a.event("response.output_item.added", fields{"item": begun, "output_index": index}); err != nil {
		return err
	}
	for _, state := range []string{"in_progress", "searching", "completed"} {
		if state == "completed" {
			if err := a.search(); err != nil {
				return err
			}
		}
		if err := a.event("response.web_search_call."+state, fields{"item_id": begun["id"], "output_index": index}); err != nil {
			return err
		}
	}
	return a.event("response.output_item.done", fields{"item": a.searchItem(i, "completed"), "output_index": index})
}

// A message's searches are two blocks each: what was asked, and what was found.

func (m *messageAnswer) searchID(i int64) string { return fmt.Sprintf("srvtoolu_%018d%04d", m.n, i) }

func (m *messageAnswer) searchBlock(i int64, input any) block {
	return block{"type": "server_tool_use", "id": m.searchID(i), "name": webSearch, "input": input, "caller": block{"type": "direct"}}
}

func (m *messageAnswer) foundBlock(i int64) block {
	page := block{"type": "web_search_result", "title": "Trains", "url": "https://example.com/trains", "page_age": nil,
		"encrypted_content": "EqgfCioIARgBIiQ3YTAwMjY1Mi1mZjM5LTQ1NGUtODgxNC1kNjNjNTk1ZWI3Y"}
	return block{"type": "web_search_tool_result", "tool_use_id": m.searchID(i), "content": []block{page}, "caller": block{"type": "direct"}}
}

// writeSearch writes the two, from index on. What was found comes in one piece.
func (m *messageAnswer) writeSearch(index int, i int64) error {
	if err := m.open(index, m.searchBlock(i, block{})); err != nil {
		return err
	}
	for _, piece := range []string{"", `{"query": `, quote(m.query(i)), `}`} {
		if err := m.delta(index, "input_json_delta", "partial_json", piece); err != nil {
			return err
		}
	}
	if err := m.shut(index); err != nil {
		return err
	}
	if err := m.search(); err != nil {
		return err
	}
	if err := m.open(index+1, m.foundBlock(i)); err != nil {
		return err
	}
	return m.shut(index + 1)
}
