package follow_test

import (
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/decision/llm/follow"
	"github.com/signalbox-dev/signalbox/journal"
)

var (
	chat       = follow.Asked{Dialect: llm.OpenAI, Endpoint: llm.ChatCompletions}
	chatHiding = follow.Asked{Dialect: llm.OpenAI, Endpoint: llm.ChatCompletions, HideUsage: true}
	responses  = follow.Asked{Dialect: llm.OpenAI, Endpoint: llm.Responses}
	embeddings = follow.Asked{Dialect: llm.OpenAI, Endpoint: llm.Embeddings}
	messages   = follow.Asked{Dialect: llm.Anthropic, Endpoint: llm.Messages}
)

const (
	sse       = "text/event-stream"
	plainJSON = "application/json"
)

// verdict is all that an answer says of itself.
type verdict struct {
	used                      journal.Tokens
	tier                      string
	told                      bool
	output                    int64
	input                     journal.Tokens
	complete, failed, started bool
}

func verdictOf(a *follow.Answer) verdict {
	v := verdict{complete: a.Complete(), failed: a.Failed(), started: a.Started()}
	v.used, v.tier, v.told = a.Usage()
	v.used.Other = said(v.used.Other)
	var input *journal.Tokens
	if v.output, input = a.Seen(); input != nil {
		v.input = *input
	}
	return v
}

// said is what was used, without the tools that were not.
func said(other map[string]int64) map[string]int64 {
	maps.DeleteFunc(other, func(_ string, n int64) bool { return n == 0 })
	if len(other) == 0 {
		return nil
	}
	return other
}

// relayed is what a relay loop got.
type relayed struct {
	text    string
	before  string // what went to the caller before it settled
	settled verdict
	last    verdict
	times   int // how often it was told to settle
}

// relay is the loop of the package's documentation. The answer comes in these
// pieces and then ends cleanly, or breaks off.
func relay(a *follow.Answer, pieces []string, clean bool) relayed {
	var r relayed
	var text strings.Builder
	settle := func() {
		if r.times++; r.times == 1 {
			r.before, r.settled = text.String(), verdictOf(a)
		}
	}
	for i := 0; i <= len(pieces); i++ {
		if i < len(pieces) {
			text.Write(a.Write([]byte(pieces[i])))
		} else if clean {
			a.EOF()
		}
		if a.Ended() {
			settle()
			text.Write(a.Release())
		}
	}
	if r.times == 0 {
		settle()
	}
	text.Write(a.Release())
	r.text, r.last = text.String(), verdictOf(a)
	return r
}

func newAnswer(asked follow.Asked, contentType string) *follow.Answer {
	return follow.New(asked, 200, contentType, "")
}

// whole relays an answer that comes at once and ends cleanly.
func whole(asked follow.Asked, contentType, text string) relayed {
	return relay(newAnswer(asked, contentType), []string{text}, true)
}

func bytesOf(text string) []string {
	pieces := make([]string, len(text))
	for i := range pieces {
		pieces[i] = text[i : i+1]
	}
	return pieces
}

func randomly(r *rand.Rand, text string) []string {
	var pieces []string
	for len(text) > 0 {
		n := min(len(text), 1+r.IntN(1+r.IntN(200)))
		pieces, text = append(pieces, text[:n]), text[n:]
	}
	return pieces
}

func sample(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func typeOf(name string) string {
	if strings.HasSuffix(name, ".json") {
		return plainJSON
	}
	return sse
}
