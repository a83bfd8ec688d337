package xds_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

const chat = "/v1/chat/completions"

// One call goes from provider to provider, and each sees its own host, path, body and
// key, and nothing of anybody else's.
func TestEachTryIsItsOwn(t *testing.T) {
	l := newLab(t)
	const body, edited = `{"model":"m","messages":[]}`, `{"model":"longer-name","messages":[]}`
	got := l.ask(t, l.decided+chat, body, "x-order", "a,b,c", headerDo, "a=429,b=503", "x-edits", `{"b":[{"At":[10,11],"Text":"bG9uZ2VyLW5hbWU="}]}`)
	if got != (answer{200, "c answers"}) {
		t.Fatalf("%+v", got)
	}
	for _, try := range []struct {
		p                      *provider
		path, body, header     string
		key, proto, hostPrefix string
	}{
		{l.a, "/a/0?q=1", body, "Authorization", "Bearer key-of-a", "HTTP/1.1", l.a.Listener.Addr().String()},
		{l.b, "/b/1?q=1", edited, "X-Goog-Api-Key", "key-of-b", "HTTP/1.1", strings.Replace(l.b.Listener.Addr().String(), "127.0.0.1", "localhost", 1)},
		{l.c, "/c/2?q=1", body, "Authorization", "Bearer key-of-c", "HTTP/2.0", l.c.Listener.Addr().String()},
	} {
		seen := try.p.take()
		if len(seen) != 1 {
			t.Fatalf("%s was asked %d times", try.p.name, len(seen))
		}
		s := seen[0]
		if s.path != try.path || s.host != try.hostPrefix || s.body != try.body || s.length != int64(len(try.body)) || s.proto != try.proto || s.header.Get(try.header) != try.key {
			t.Errorf("%s saw %+v", try.p.name, s)
		}
		s.header.Del(try.header)
		all := fmt.Sprint(s.header)
		for _, hidden := range []string{"key-of-", callersKey, "X-Signalbox", "X-Envoy", "X-Forwarded", "Authorization", "X-Goog"} {
			if strings.Contains(all, hidden) {
				t.Errorf("%s saw %s: %s", try.p.name, hidden, all)
			}
		}
	}
	want := map[string]any{
		"a": map[string]any{"status": "429", "retry-after": "7"}, "b": map[string]any{"status": "503", "retry-after": "7"}, "c": map[string]any{"status": "200"},
	}
	got2 := l.filter.tries()
	for _, of := range got2 {
		delete(of.(map[string]any), "date") // of whenever it is
	}
	if diff := cmp.Diff(want, got2); diff != "" {
		t.Errorf("what is told of the tries:\n%s", diff)
	}

	t.Run("through a proxy", func(t *testing.T) {
		if got := l.ask(t, l.decided+chat, body, "x-order", "p"); got != (answer{200, "c answers"}) {
			t.Fatalf("%+v", got)
		}
		if to := <-l.connected; to != l.c.Listener.Addr().String() {
			t.Errorf("the proxy was asked for %s", to)
		}
		if seen := l.c.take(); len(seen) != 1 || seen[0].header.Get("Authorization") != "Bearer key-of-c" {
			t.Errorf("%+v", seen)
		}
	})
	t.Run("a large body", func(t *testing.T) {
		large := `{"model":"m","messages":["` + strings.Repeat("0123456789abcdef", 5<<20/16) + `"]}`
		if got := l.ask(t, l.decided+chat, large, "x-order", "a,b", headerDo, "a=500", "x-edits", `{"a":[{"At":[10,11],"Text":"Z3B0"}]}`); got.status != 200 {
			t.Fatalf("%+v", got)
		}
		if a := l.a.take(); len(a) != 1 || a[0].body != strings.Replace(large, `"m"`, `"gpt"`, 1) || a[0].length != int64(len(large)+2) {
			t.Errorf("a saw %d bytes", len(a[0].body))
		}
		if b := l.b.take(); len(b) != 1 || b[0].body != large || b[0].length != int64(len(large)) {
			t.Errorf("b saw %d bytes", len(b[0].body))
		}
	})
}

// A try that surely cost nothing is followed by the next deployment's; one that may
// have been billed is not, unless the hold pays for it.
func TestWhatIsTriedAgain(t *testing.T) {
	l := newLab(t)
	paid := []string{"say-x-envoy-retry-on", "reset"}
	for _, c := range []struct {
		name, order, do string
		more            []string
		want            int
		tried           string // a and b, as far as they saw it
	}{
		{name: "too many requests", order: "a,b", do: "a=429", want: 200, tried: "ab"},
		{name: "broken", order: "a,b", do: "a=500", want: 200, tried: "ab"},
		{name: "away", order: "a,b", do: "a=503", want: 200, tried: "ab"},
		{name: "overloaded", order: "a,b", do: "a=529", want: 200, tried: "ab"},
		{name: "our account", order: "a,b", do: "a=401", want: 200, tried: "ab"},
		{name: "our money", order: "a,b", do: "a=402", want: 200, tried: "ab"},
		{name: "a redirect", order: "a,b", do: "a=302", want: 200, tried: "ab"},
		{name: "not connected", order: "dead,b", want: 200, tried: "b"},
		{name: "their request", order: "a,b", do: "a=400", want: 400, tried: "a"},
		{name: "their model", order: "a,b", do: "a=404", want: 404, tried: "a"},
		{name: "cut after it was sent", order: "a,b", do: "a=cut", want: 503, tried: "a"},
		{name: "cut, and the hold pays for two", order: "a,b", do: "a=cut", more: paid, want: 200, tried: "ab"},
		{name: "all of them", order: "a,b", do: "a=429,b=503", want: 503, tried: "ab"},
		{name: "nobody else", order: "a", do: "a=429", want: 429, tried: "a"},
		{name: "one that is not there", order: "nowhere", want: 503},
		{name: "one without a try", order: "a", more: []string{"x-forget", "a"}, want: 503},
		{name: "an edit beyond the body", order: "a", more: []string{"x-edits", `{"a":[{"At":[10,1000],"Text":"eA=="}]}`}, want: 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := l.ask(t, l.decided+chat, `{"model":"m"}`, append([]string{"x-order", c.order, headerDo, c.do}, c.more...)...)
			tried := strings.Repeat("a", len(l.a.take())) + strings.Repeat("b", len(l.b.take()))
			if got.status != c.want || tried != c.tried {
				t.Errorf("%d after %q, want %d after %q", got.status, tried, c.want, c.tried)
			}
		})
	}
}

// Whoever may read an Envoy's configuration reads no key there.
func TestNoKeyIsShown(t *testing.T) {
	l := newLab(t)
	if got := l.ask(t, l.decided+chat, `{}`, "x-order", "a"); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	dump, err := l.envoy.ConfigDump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(dump), "key/a") || strings.Contains(string(dump), "key-of-") || strings.Contains(string(dump), base64.StdEncoding.EncodeToString([]byte("key-of-a"))) {
		t.Error("a key stands in the configuration, or its secret does not")
	}
}

// An address that refused connections again and again is shown, and is tried as before
// when it is named: what is not worth trying is for the decision to know.
func TestAnEnvoyHasNoMindOfItsOwn(t *testing.T) {
	l := newLab(t)
	const cluster = "cluster.deployment/dead."
	figure := func(name string) int64 {
		stats, err := l.envoy.Stats(t.Context(), cluster+name)
		if err != nil {
			t.Fatal(err)
		}
		return stats[cluster+name]
	}
	for i := range int64(10) {
		if got := l.ask(t, l.decided+chat, `{}`, "x-order", "dead"); got.status != 503 {
			t.Fatalf("%+v", got)
		}
		if n := figure("upstream_cx_connect_fail"); n != i+1 {
			t.Fatalf("after %d calls, %d connections were tried", i+1, n)
		}
	}
	if n := figure("outlier_detection.ejections_active"); n != 1 {
		t.Errorf("%d addresses are shown as bad", n)
	}
	if got := l.ask(t, l.decided+chat, `{}`, "x-order", "dead,b"); got != (answer{200, "b answers"}) {
		t.Errorf("%+v", got)
	}
}

// Whatever the edits, the provider gets what Go makes of the same ones.
func TestEdits(t *testing.T) {
	l := newLab(t)
	rapid.Check(t, func(r *rapid.T) {
		body := []byte(`{"text":"` + rapid.StringMatching(`[a-zäß€ ]{0,300}`).Draw(r, "text") + `"}`)
		want := slices.Clone(body)
		var edits []llm.Edit
		last := len(body)
		for range rapid.IntRange(1, 20).Draw(r, "edits") {
			if rapid.IntRange(0, 9).Draw(r, "anywhere") == 0 {
				last = len(want)
			}
			to := rapid.IntRange(0, last).Draw(r, "to")
			from := rapid.IntRange(max(0, to-8), to).Draw(r, "from")
			text := rapid.StringMatching(`[A-Z€]{0,6}`).Draw(r, "new")
			edits = append(edits, llm.Edit{At: [2]int{from, to}, Text: []byte(text)})
			want = slices.Replace(want, from, to, []byte(text)...)
			last = from
		}
		said, err := json.Marshal(map[string][]llm.Edit{"a": edits})
		if err != nil {
			r.Fatal(err)
		}
		got := l.ask(t, l.decided+chat, string(body), "x-order", "a", "x-edits", string(said))
		seen := l.a.take()
		if got.status != 200 || len(seen) != 1 || seen[0].body != string(want) || seen[0].length != int64(len(want)) {
			r.Fatalf("%+v: the provider saw %+v, want %s", got, seen, want)
		}
	})
}

// Where nobody decides, a call goes to the fallback in the failure mode open, without
// its caller's key, and what is no path of ours goes nowhere.
func TestWhatNobodyDecided(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct{ path, want string }{
		{chat, "/v1/chat/completions"},
		{chat + "?api-version=2024-10-21", "/v1/chat/completions"},
		{"/openai/v1/responses", "/v1/responses"},
		{"/openai/responses?api-version=2025-03-01-preview", "/v1/responses"},
		{"/openai/deployments/gpt-4o.mini/chat/completions?api-version=2024-10-21", "/v1/chat/completions"},
	} {
		if got := l.ask(t, l.undecided+c.path, `{}`, "x-envoy-max-retries", "5"); got != (answer{200, "a answers"}) {
			t.Errorf("%s: %+v", c.path, got)
		}
		seen := l.a.take()
		if len(seen) != 1 || seen[0].path != c.want || seen[0].header.Get("Authorization") != "Bearer key-of-a" || strings.Contains(fmt.Sprint(seen[0].header), "sbx_") {
			t.Errorf("%s: a saw %+v", c.path, seen)
		}
	}
	for _, path := range []string{"/v1/files", "/v1/chat/completions/", "/", "/v1//chat/completions", "/openai/deployments/a/b/chat/completions", "/v1/messages/batches"} {
		for _, listener := range []string{l.decided, l.undecided} {
			got := l.ask(t, listener+path, `{}`, "x-order", "a")
			if got.status != http.StatusNotFound || !strings.Contains(got.body, "path_unknown") {
				t.Errorf("%s%s: %+v", listener, path, got)
			}
			if anthropic := strings.HasPrefix(path, "/v1/messages"); anthropic != strings.Contains(got.body, `"type":"error"`) {
				t.Errorf("%s: in the wrong dialect: %s", path, got.body)
			}
		}
	}
	// Anthropic's paths are nothing that the fallback serves.
	if got := l.ask(t, l.undecided+"/v1/messages", `{}`); got.status != 503 {
		t.Errorf("%+v", got)
	}
	if seen := append(l.a.take(), l.b.take()...); len(seen) != 0 {
		t.Errorf("a provider was asked: %+v", seen)
	}
	if s := l.server.Status(); len(s.Nodes) != 1 || !s.Nodes[0].Current || s.Nodes[0].Nack != nil || !strings.HasPrefix(s.Nodes[0].Envoy, "1.40.") {
		t.Errorf("%+v", s)
	}
}
