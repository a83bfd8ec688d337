package llm_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// randomBodies is how many bodies are edited. Each has its own seed, which a
// failure names.
const randomBodies = 10_000

// Whatever the body and whatever is changed in it: bytes outside the edits stay,
// a strict decoder sees the change that was meant and no other, and we read both
// bodies as it does.
func TestRandomBodiesAreReadAndEditedAsAStrictDecoderReadsThem(t *testing.T) {
	count := map[string]int{}
	for seed := range uint64(randomBodies) {
		r := randomBy(seed)
		route, body := r.body()
		c := change{r: r, count: count, fail: func(format string, args ...any) {
			t.Fatalf("seed %d: %s\n%s", seed, fmt.Sprintf(format, args...), body)
		}}
		c.make(route, body)
		count["bodies"]++
		count["bodies of "+string(route.Endpoint)]++
	}
	for _, what := range []string{"bodies", "clamp", "clamp as another model's", "usage", "rename", "redaction", "respelt", "default", "thinking",
		"calls limited", "uses limited"} {
		if count[what] == 0 {
			t.Errorf("no body had this done: %s", what)
		}
	}
	t.Logf("%v", count)
}

// change edits one random body.
type change struct {
	r     random
	count map[string]int
	fail  func(format string, args ...any)

	a     *llm.Ask
	want  *node // what a strict decoder should read afterwards
	edits []llm.Edit
}

func (c *change) make(route llm.Route, body []byte) {
	var p *llm.Problem
	if c.a, p = llm.Parse(route, body, true); p != nil {
		c.fail("refused: %s", p.Message)
	}
	var err error
	if c.want, err = strictly(body); err != nil {
		c.fail("a strict decoder refuses it: %v", err)
	}
	c.sameReading(c.a, c.want)
	c.redact()
	if c.r.chance(2) {
		c.rename()
	}
	if !c.r.chance(3) {
		c.limitTools(1 + c.r.Int64N(128))
	}
	if usage := c.a.RequestUsage(); len(usage) > 0 && !c.r.chance(3) {
		c.usage(usage)
	}
	most := c.a.MinOutput + c.r.Int64N(50_000)
	if c.r.chance(3) { // at the edge of what there is
		most = max(c.a.MinOutput, c.a.MaxOutput+int64(c.r.IntN(3))-1)
	}
	if !c.r.chance(4) {
		c.clamp(most)
	}
	c.r.Shuffle(len(c.edits), func(i, j int) { c.edits[i], c.edits[j] = c.edits[j], c.edits[i] })
	out, err := llm.Apply(body, c.edits)
	if err != nil {
		c.fail("%v", err)
	}
	if !untouched(body, out, c.edits) {
		c.fail("became %s: more was changed than %+v", out, c.edits)
	}
	got, err := strictly(out)
	if err != nil {
		c.fail("became %s: %v", out, err)
	}
	if where := c.want.differs(got, ""); where != "" {
		c.fail("became %s, which differs at %s by %+v", out, where, c.edits)
	}
	after, p := llm.Parse(route, out, true)
	if p != nil {
		c.fail("became %s: %s", out, p.Message)
	}
	c.sameReading(after, got)
	if after.InputTokens > c.a.InputTokens || after.ExtraOutput > c.a.ExtraOutput { // which has grown by its redactions
		c.fail("became %s: %d and %d tokens were bounded, and there are %d and %d", out, c.a.InputTokens, c.a.ExtraOutput, after.InputTokens, after.ExtraOutput)
	}
}

// redact replaces some ranges of some texts.
func (c *change) redact() {
	var all []llm.Edit
	for text := range c.a.PromptTexts() {
		value, offsets := text.Value(c.a.Body)
		if text.Quoted() {
			continue // JSON in a string has a test of its own
		}
		at := c.want.find(text.Raw[0], text.Raw[1])
		if at == nil || at.value != value {
			c.fail("%s at %v is %q to a strict decoder", text.Where, text.Raw, value)
		}
		if !c.r.chance(4) {
			continue
		}
		var edited strings.Builder
		from := 0
		for from < len(value) && c.r.chance(2) {
			start := boundaryAfter(value, from+c.r.IntN(len(value)-from))
			end := boundaryAfter(value, start+c.r.IntN(len(value)-start+1))
			replacement := pick(c.r, "", "[email]", "\"\\\n", "…", c.r.text())
			edit, err := offsets.Replace(start, end, replacement)
			if c.r.chance(2) {
				edit, err = c.a.Redact(text, start, end, replacement)
			}
			if err != nil {
				c.fail("%d to %d of %q: %v", start, end, value, err)
			}
			all = append(all, edit)
			edited.WriteString(value[from:start] + replacement)
			c.count["redaction"]++
			if from = end; start == end {
				break // a second one at one place would have to keep its order
			}
		}
		at.value = edited.String() + value[from:]
	}
	c.a.Grow(all)
	c.edits = append(c.edits, all...)
}

// boundaryAfter is the next place in a text where a character begins.
func boundaryAfter(s string, i int) int {
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	return i
}

func (c *change) rename() {
	model := pick(c.r, "gpt-4o-mini", `he said "x"`, "模型\n", " ")
	if edits := c.a.Rename(model); len(edits) > 0 {
		c.edits = append(c.edits, edits...)
		c.want.set("model", model)
		c.count["rename"]++
	}
}

func (c *change) usage(edits []llm.Edit) {
	c.edits = append(c.edits, edits...)
	c.count["usage"]++
	if c.want.at("stream_options") == nil {
		c.want.set("stream_options", map[string]*node{"include_usage": {value: true}})
		return
	}
	c.want.at("stream_options").set("include_usage", true)
}

// limitTools limits the provider's tools, and says by rules of its own what should
// come of it: a limit for all of a response's, or for each of a message's that has a
// price by the use.
func (c *change) limitTools(most int64) {
	edits := c.a.LimitTools(most)
	c.edits = append(c.edits, edits...)
	n := json.Number(strconv.FormatInt(most, 10))
	for _, tool := range c.want.at("tools").elements() {
		kind := tool.at("type").text()
		switch c.a.Endpoint {
		case llm.Responses:
			small := tool.at("container", "memory_limit") == nil || tool.at("container", "memory_limit").text() == "1g"
			hosted := kind == "web_search" || kind == "file_search" || kind == "code_interpreter" && small
			if hosted && c.want.at("max_tool_calls") == nil {
				c.want.set("max_tool_calls", n)
				c.count["calls limited"]++
			}
		case llm.Messages:
			callers := tool.at("allowed_callers").elements()
			direct := len(callers) == 1 && callers[0].text() == "direct"
			hosted := kind == "web_search_20250305" || kind == "web_fetch_20250910" || kind == "web_search_20260209" && direct
			if hosted && tool.at("max_uses") == nil {
				tool.set("max_uses", n)
				c.count["uses limited"]++
			}
		}
	}
}

// clamp lowers the limit, and says by rules of its own what should come of it.
func (c *change) clamp(most int64) {
	field := pick(c.r, "", "max_tokens", "max_completion_tokens")
	clamp, another := c.a.ClampOutput, c.r.chance(2)
	if another {
		clamp = c.a.ClampOutputAs
		c.count["clamp as another model's"]++
	}
	edits, err := clamp(most, field)
	if err != nil {
		c.fail("clamp to %d: %v", most, err)
	}
	c.edits = append(c.edits, edits...)
	c.count["clamp"]++
	if c.a.NoOutput {
		if len(edits) > 0 {
			c.fail("nothing is written, and %+v", edits)
		}
		return
	}
	field = c.spelling(field)
	limit := c.lower(most, field, another && c.a.Endpoint == llm.ChatCompletions)
	if limit >= most {
		c.thinking(most, "thinking", "budget_tokens", 1024)
		if c.a.Dialect == llm.OpenAI {
			c.thinking(most, "reasoning", "max_tokens", 1024)
			c.thinking(most, "", "thinking_budget", 0)
		}
	}
}

func (c *change) spelling(field string) string {
	switch {
	case c.a.Endpoint == llm.Responses:
		return "max_output_tokens"
	case field == "", c.a.Dialect == llm.Anthropic, c.want.at("prediction") != nil:
		return "max_tokens"
	}
	return field
}

// lower changes the limits in what is wanted; it gives the one that there was.
func (c *change) lower(most int64, field string, respell bool) (before int64) {
	all := []string{"max_tokens", "max_completion_tokens", "max_output_tokens"}
	switch c.a.Endpoint {
	case llm.Messages:
		all = all[:1]
	case llm.ChatCompletions:
		all = all[:2]
	}
	for _, name := range all {
		if n := c.want.at(name); n != nil {
			before = max(before, n.number())
			if n.number() > most {
				n.value = json.Number(strconv.FormatInt(most, 10))
			}
		}
	}
	if c.a.Endpoint == llm.Responses && c.want.at("max_output_tokens") == nil {
		before = 0
	}
	if before == 0 {
		c.want.set(field, json.Number(strconv.FormatInt(most, 10)))
		c.count["default"]++
		return most
	}
	if !respell {
		return before
	}
	fields := c.want.value.(map[string]*node)
	for _, name := range all {
		if other := fields[name]; name != field && other != nil {
			delete(fields, name)
			if c.want.at(field) == nil {
				value := other.value
				if fields[field] != nil { // a null is written over, by our own spelling of the number
					value = json.Number(strconv.FormatInt(other.number(), 10))
				}
				c.want.set(field, value)
			}
			c.count["respelt"]++
		}
	}
	return before
}

// thinking lowers one budget in what is wanted, if it does not fit.
func (c *change) thinking(most int64, under, name string, least int64) {
	n := c.want.at(name)
	if under != "" {
		n = c.want.at(under, name)
	}
	if n == nil || n.number() < most {
		return
	}
	lowered := strconv.FormatInt(max(min(least, n.number()), most/4*3), 10)
	c.count["thinking"]++
	if _, quoted := n.value.(string); quoted {
		n.value = lowered
		return
	}
	n.value = json.Number(lowered)
}

// sameReading holds our reading of a body against a strict decoder's.
func (c *change) sameReading(a *llm.Ask, n *node) {
	type reading struct {
		model                            string
		stream, includeUsage, background bool
		n, maxOutput, thinking           int64
		messages, tools                  int
		user, safety, session            string
		noOutput                         bool
	}
	got := reading{a.Model, a.Stream, a.IncludeUsage, a.Background, a.N, a.MaxOutput, a.Thinking, a.Messages, a.Tools,
		a.User, a.SafetyIdentifier, a.Session, a.NoOutput}
	want := reading{model: n.at("model").text(), stream: n.at("stream").yes(), n: 1, thinking: n.at("thinking", "budget_tokens").number(),
		tools: n.at("tools").length(), session: n.at("metadata", "session_id").text()}
	if a.PathModel != "" {
		want.model = a.PathModel
	}
	if a.Dialect == llm.OpenAI {
		want.user, want.safety = n.at("user").text(), n.at("safety_identifier").text()
	}
	switch a.Endpoint {
	case llm.ChatCompletions:
		want.includeUsage, want.messages = n.at("stream_options", "include_usage").yes(), n.at("messages").length()
		want.n = max(1, n.at("n").number())
		want.maxOutput = max(n.at("max_tokens").number(), n.at("max_completion_tokens").number())
	case llm.Messages:
		want.messages, want.maxOutput = n.at("messages").length(), n.at("max_tokens").number()
		want.noOutput = n.at("max_tokens") != nil && want.maxOutput == 0
	case llm.Responses:
		want.background, want.messages = n.at("background").yes(), n.at("input").length()
		if isText(n.at("input")) {
			want.messages = 1
		}
		if n.at("max_output_tokens") != nil {
			want.maxOutput = max(n.at("max_output_tokens").number(), n.at("max_tokens").number())
		}
	case llm.Embeddings:
		want.n, want.noOutput, want.stream, want.session = 0, true, false, ""
		want.messages, want.user = inputsOf(n.at("input")), n.at("user").text()
	}
	if got != want {
		c.fail("read as %+v, and by a strict decoder as %+v", got, want)
	}
	if s := a.ModelSpan; n.at("model") == nil != (s == [2]int{}) {
		c.fail("the model's span is %v", s)
	} else if s != [2]int{} {
		if at := n.find(s[0]-1, s[1]+1); at == nil || at != n.at("model") {
			c.fail("the model does not stand at %v", s)
		}
	}
}

func isText(n *node) bool {
	if n == nil {
		return false
	}
	_, ok := n.value.(string)
	return ok
}

// inputsOf is how many prompts an embedding's input is: a list of token ids is one.
func inputsOf(n *node) int {
	all, _ := n.value.([]*node)
	if isText(n) || slices.ContainsFunc(all, func(e *node) bool { _, id := e.value.(json.Number); return id }) {
		return 1
	}
	return len(all)
}
