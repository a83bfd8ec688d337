package http_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
)

// Whatever a gateway sends, it is answered with 200 or told what is wrong, and
// what the decision sees is what the envelope says.
func FuzzEnvelope(f *testing.F) {
	for _, seed := range []string{
		goodQuestion, "", "null", "{}", "[]", `{"request":null}`,
		`{"call_id":"c","gateway":"edge-1","request":{"method":"POST","path":"/v1/messages","headers":{"A":"b"},"body_base64":"AP8=","body_complete":false}}`,
		`{"request":{"method":"POST","path":"/","body":"\ud83d\ude00"}}`, `{"request":{"method":"POST","path":"/","body":"\ud83d"}}`,
		`{"request":{"method":"POST","path":"/","headers":{"a":"1","A":"2"}}}`, `{"request":{"method":"POST","path":"/","body":"\u0000"}}`,
		`{"request":` + strings.Repeat(`{"request":`, 200), "\xff\xfe", `{"request":{"path":"/","method":"POST","body":"` + strings.Repeat("\\n", 100) + `"}} `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		decider := &adaptertest.Decider{Answer: adaptertest.Plan()}
		h, _ := local(t, decider)
		w := ask(h, "POST", "/v1/decide", string(body))
		switch w.Code {
		case 400, 401, 413:
			if !json.Valid(w.Body.Bytes()) || len(decider.Seen()) != 0 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		case 200:
			// What is accepted is read the same by a lenient reader: nothing was
			// dropped, replaced or chosen between.
			var lenient struct {
				Request struct {
					Method, Path string
					Body         string
				}
			}
			if err := json.Unmarshal(body, &lenient); err != nil {
				t.Fatalf("accepted, and not JSON: %v", err)
			}
			seen := decider.Seen()[0]
			if seen.Method != lenient.Request.Method || seen.Path != lenient.Request.Path {
				t.Fatalf("seen %+v, sent %s", seen, body)
			}
			if lenient.Request.Body != "" && string(seen.Body) != lenient.Request.Body {
				t.Fatalf("the body is %q, sent %s", seen.Body, body)
			}
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	})
}

// The same for reports.
func FuzzReport(f *testing.F) {
	for _, seed := range []string{
		`{"report_token":"t","outcome":"completed","usage":{"input_tokens":812,"other":{"web_search":1}}}`,
		`{"call_id":"c","outcome":"aborted","seen_output_tokens":3,"attempts":[{"outcome":"failed"}]}`,
		`{"call_id":"c","outcome":"completed","provider_usage":{"prompt_tokens":1e400}}`, `{"usage":null}`, "",
		`{"call_id":"c","outcome":"completed","usage":{"input_tokens":9223372036854775807,"cached_input_tokens":9223372036854775807}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		h, _ := local(t, &adaptertest.Decider{})
		switch w := ask(h, "POST", "/v1/report", string(body)); w.Code {
		case 200, 400, 401, 413:
			if !json.Valid(w.Body.Bytes()) {
				t.Fatalf("not JSON: %s", w.Body)
			}
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	})
}
