package whole_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// Keys and prompts stand nowhere: in no log, error, metric, file or row. Who calls
// stands in the names alone, from which it can be forgotten.
func TestSecretsStandNowhere(t *testing.T) {
	engine(t)
	box := rigtest.New(t, rig.Config{Extra: "log: {level: debug}\n"})
	var said rigtest.Log
	box.Log = &said
	if err := box.Start(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if err := box.Apply(ctx(t), people+`budgets:
  - {name: month, match: {tenant: globex}, per: [user], unit: usd, amount: "5000", window: total}
  - {name: one, match: {tenant: globex, session: one}, per: [session, prompt_hash], unit: requests, amount: "1", window: total}
`); err != nil {
		t.Fatal(err)
	}
	const prompt, user, inSession = "xylophone-prompt-7319", "quetzalcoatl.user@globex.example", "one"
	secret := key(t, box, "globex/notebook")
	_, operator := newToken(t, box, "--admin")
	planted(t, box, secret, prompt, user, inSession)
	sqlSays(t, box, "SELECT count() AS a FROM usage", 1)
	inClickHouse(t, box, secret, prompt)
	metrics, err := box.Metrics(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	_, ready, err := box.Ready(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Stop(); err != nil {
		t.Fatal(err)
	}
	hidden := map[string]string{"the key": secret, "an operator's token": operator, "the prompt": prompt, "the user": user}
	for place, text := range map[string]string{"the log": said.String(), "the metrics": metrics, "readiness": ready} {
		for what, word := range hidden {
			if strings.Contains(text, word) {
				t.Errorf("%s stands in %s", what, place)
			}
		}
	}
	inFiles(t, box.Data(), hidden)
}

// planted makes every kind of answer with the words in it: let out, refused,
// broken, reported, and errors of the envelope.
func planted(t *testing.T, box *rig.Box, secret, prompt, user, inSession string) {
	t.Helper()
	body := strings.Replace(hello, "Hello", prompt, 1)
	ask := func(secret, path, body string) *rig.Answer {
		a, err := box.Decide(ctx(t), rig.Question{Request: rig.Request{Method: "POST", Path: path, BodyComplete: true, Body: body,
			Headers: map[string]string{"authorization": "Bearer " + secret, "x-signalbox-user": user, "x-signalbox-session": inSession, "cookie": prompt}}})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), secret) || a.Denied() != "" && strings.Contains(string(raw), prompt) {
			t.Errorf("the answer repeats what it should not: %s", raw)
		}
		return a
	}
	const path = "/v1/chat/completions"
	a := ask(secret, path, body)
	if a.Denied() != "" {
		t.Fatalf("%+v", a.Reasons)
	}
	if again := ask(secret, path, body); again.Denied() != "budget_held" {
		t.Errorf("the second of its prompt: %+v", again)
	}
	ask(secret[:len(secret)-1]+"x", path, body)
	ask(secret, path+"?api-key="+secret+"&q="+prompt, body)
	ask(secret, "/v1/unknown?api-key="+secret+"&q="+prompt, body)
	ask(secret, path, body[:len(body)-2])
	ask(secret, path, strings.Replace(body, `"max_tokens":100`, `"max_tokens":"`+prompt+`"`, 1))
	ask(secret, path, `{"model":"gpt-4o","tools":"`+prompt+`","messages":[]}`)
	if _, err := box.Settle(ctx(t), rig.Report{ReportToken: a.ReportToken, Outcome: "completed", Status: 200,
		ProviderUsage: json.RawMessage(`{"prompt_tokens":812,"completion_tokens":12,"note":"` + prompt + `"}`)}); err != nil {
		t.Error(err)
	}
	_, err := box.Settle(ctx(t), rig.Report{ReportToken: secret, CallID: prompt, Outcome: prompt})
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a report made of secrets: %v", err)
	}
	if _, err := box.Run(ctx(t), "sql", "SELECT '"+prompt+"' FROM nowhere"); err == nil {
		t.Error("a query of a table that is not there was answered")
	}
}

// inClickHouse looks through all that a query can see.
func inClickHouse(t *testing.T, box *rig.Box, words ...string) {
	t.Helper()
	for _, table := range []string{"decisions", "usage", "ledger", "traces", "names", "prices", "costs"} {
		out, err := box.Run(ctx(t), "sql", "-o", "json", "SELECT * FROM "+table+" LIMIT 1000")
		if err != nil {
			t.Errorf("%s: %v", table, err)
		}
		for _, word := range words {
			if strings.Contains(out, word) {
				t.Errorf("%.8s… stands in %s", word, table)
			}
		}
	}
}

// inFiles looks through every file but the engine's, which ClickHouse compresses.
func inFiles(t *testing.T, dir string, hidden map[string]string) {
	t.Helper()
	seen := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && entry.Name() == "clickhouse" {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if entry.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// A name goes to the names by way of the spool, whose newest file stays until
		// the next is begun.
		names := strings.Contains(path, "signalbox.names") || strings.Contains(path, "/spool/")
		for what, word := range hidden {
			if what == "the user" && names {
				seen["a name among the names"] = seen["a name among the names"] || bytes.Contains(data, []byte(word))
				continue
			}
			if bytes.Contains(data, []byte(word)) || bytes.Contains(data, []byte(base64.StdEncoding.EncodeToString([]byte(word)))) {
				t.Errorf("%s stands in %s", what, path)
			}
		}
		// The looking itself is looked at: what should be there is found.
		seen["a decision"] = seen["a decision"] || strings.Contains(path, "signalbox.decisions") && bytes.Contains(data, []byte("notebook"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"a decision", "a name among the names"} {
		if !seen[what] {
			t.Errorf("%s was not found in %s: the journal is not readable as it lies there, and this test is blind", what, dir)
		}
	}
}
