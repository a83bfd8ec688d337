package llm_test

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

func TestAnEmbeddingIsAPromptWithoutAnAnswer(t *testing.T) {
	text := strings.Repeat("words ", 100)
	for _, c := range []struct {
		name, input   string
		inputs        int
		ids           int64
		least, atMost int64
	}{
		{"a text", `"` + text + `"`, 1, 0, 600, 800},
		{"several texts", `["` + text + `", "b"]`, 2, 0, 601, 800},
		{"token ids", `[1212, 318, 257]`, 1, 3, 3, 200},
		{"several lists of ids", `[[1,2],[3],[]]`, 3, 3, 3, 200},
		{"a text at a server of pictures", `[{"text":"` + text + `"}]`, 1, 0, 600, 800},
	} {
		a := read(t, embeddings, `{"input":`+c.input+`,"model":"text-embedding-3-small","encoding_format":"base64","dimensions":256,"user":"u"}`)
		if a.Messages != c.inputs || a.TokenIDs != c.ids || a.InputTokens < c.least || a.InputTokens > c.atMost {
			t.Errorf("%s: %d inputs, %d ids, %d tokens", c.name, a.Messages, a.TokenIDs, a.InputTokens)
		}
		if !a.NoOutput || a.N != 0 || a.MaxOutput != 0 || a.CacheWrite || a.User != "u" || a.Model != "text-embedding-3-small" || len(a.Unbounded) != 0 {
			t.Errorf("%s: %+v", c.name, a)
		}
		if got := a.Ceiling(llm.ModelLimits{Context: 8192, MaxOutput: 100}); got.N != 0 || got.Output != 0 || got.OutputExtra != 0 || got.Input != a.InputTokens {
			t.Errorf("%s: %+v", c.name, got)
		}
		if edits, err := a.ClampOutput(0, "max_tokens"); err != nil || len(edits)+len(a.RequestUsage()) != 0 {
			t.Errorf("%s: there is nothing to limit: %v, %v", c.name, edits, err)
		}
	}
}

// The context bounds each input and not their sum.
func TestManyInputsMayBeLongerThanTheContext(t *testing.T) {
	a := read(t, embeddings, `{"model":"m","input":["`+strings.Repeat("a", 100)+`","`+strings.Repeat("b", 100)+`"]}`)
	if c := a.Ceiling(llm.ModelLimits{Context: 110}); c.Input != 220 {
		t.Errorf("got %+v", c)
	}
	a = read(t, embeddings, `{"model":"m","input":[{"image":"https://x.example/a.png"},"b"]}`)
	if c := a.Ceiling(llm.ModelLimits{Context: 1000}); c.Input != 2000 || a.Images != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestBadEmbeddingsAreRefused(t *testing.T) {
	for body, says := range map[string]string{
		`{"model":"m"}`:                                "input is missing",
		`{"model":"m","input":null}`:                   "input is missing",
		`{"model":"m","input":[]}`:                     "input is missing",
		`{"input":"x"}`:                                "model is missing",
		`{"model":"m","input":7}`:                      "input must be a string or an array",
		`{"model":"m","input":{"` + secret + `":1}}`:   "input must be a string or an array",
		`{"model":"m","input":[1.5]}`:                  "input[0] must be a token id",
		`{"model":"m","input":[-1]}`:                   "input[0] must be a token id",
		`{"model":"m","input":[[1,"` + secret + `"]]}`: "input[0][1] must be a token id",
		`{"model":"m","input":[true]}`:                 "input[0] must be a string",
		`{"model":"m","input":"a","inp\u0075t":"b"}`:   "there twice",
		`{"model":"m","Input":"a","input":"b"}`:        "another case",
	} {
		ask, p := llm.Parse(embeddings, []byte(body), true)
		switch {
		case p == nil:
			t.Errorf("%s: read as %+v", body, ask)
		case p.Code != "malformed" || !strings.Contains(p.Message, says) || strings.Contains(p.Message+p.Param, secret):
			t.Errorf("%s: %s %q, want %q in it", body, p.Code, p.Message, says)
		}
	}
	if _, p := llm.Parse(embeddings, []byte(`{"model":"m","input":[`+strings.Repeat("1,", 1<<20)+`1]}`), true); p == nil || p.Code != "too_large" {
		t.Errorf("a million ids: %+v", p)
	}
}
