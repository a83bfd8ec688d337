package envoy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/upstream"
	"github.com/signalbox-dev/signalbox/registry"
)

func TestMain(m *testing.M) { os.Exit(rigtest.Main(m)) }

// The profiles in which a whole Envoy asks: what must hold of one must hold of both.
var modes = []string{"ext_proc", "ext_authz"}

// The providers' credentials. None may see the other's, and nobody else any.
const (
	alphaKey = "sk-provider-alpha-71c0"
	alphaNew = "sk-provider-alpha-anew-29d4"
	betaKey  = "azure-provider-beta-83aa"
)

// seenHost is where a provider notes the host that a call was addressed to.
const seenHost = "X-Seen-Host"

// provider is a simulated one at an address of its own.
type provider struct {
	*upstream.Provider
	addr string
}

func newProvider(t *testing.T, keys ...string) *provider {
	t.Helper()
	known := map[string]bool{}
	for _, key := range keys {
		known[key], known["Bearer "+key] = true, true
	}
	p := &provider{Provider: upstream.New(known)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(seenHost, r.Host)
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.addr = server.Listener.Addr().String()
	return p
}

// lab is two providers, a Signalbox that knows them, and an application's key.
type lab struct {
	*rig.Box
	alpha, beta *provider
	models      []string // see world
	key         string
	secrets     string // where credentials lie, one file each
	client      *http.Client
}

// start runs a lab with these models; see world.
func start(t *testing.T, c rig.Config, models ...string) *lab {
	t.Helper()
	l := &lab{alpha: newProvider(t, alphaKey, alphaNew), beta: newProvider(t, betaKey), models: models, secrets: t.TempDir(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	t.Cleanup(l.client.CloseIdleConnections)
	l.credential(t, "alpha", alphaKey)
	l.credential(t, "beta", betaKey)
	c.Extra += fmt.Sprintf("credentials: {dir: %s}\n", l.secrets)
	c.Env = append([]string{"SIGNALBOX_LEDGER_LEASE_WAIT=5s"}, c.Env...)
	l.Box = rigtest.Start(t, c, l.world(""), alphaKey, alphaNew, betaKey)
	var err error
	if l.key, err = l.CreateKey(ctx(t), "globex/notebook"); err != nil {
		t.Fatal(err)
	}
	return l
}

// credential writes a credential's file, at once or not at all.
func (l *lab) credential(t *testing.T, name, value string) {
	t.Helper()
	fresh := filepath.Join(l.secrets, "."+name)
	if err := os.WriteFile(fresh, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(l.secrets, name)); err != nil {
		t.Fatal(err)
	}
}

// world is a registry in which each model, gpt-… or claude-…, has a deployment with
// each provider, alpha's first: all at one price, so that the order is the names'.
// Each differs in host, path, model and key; but those of …-plain have the model's own
// name. Deployments named in without are left out.
func (l *lab) world(without ...string) string {
	var w, deployments, prices strings.Builder
	fmt.Fprintf(&w, `
tenants: [{name: globex}]
teams: [{tenant: globex, name: research}]
apps: [{tenant: globex, team: research, name: notebook}]
gateways: [{name: edge}]
budgets: [{name: all, match: {tenant: globex}, unit: usd, amount: "100000", window: total}]
providers:
  - {name: alpha, kind: openai, base_url: "http://%[1]s/v1", credential: alpha, on_abort: seen}
  - {name: alpha-messages, kind: anthropic, base_url: "http://%[1]s", credential: alpha, on_abort: seen}
  - {name: beta, kind: azure-openai, base_url: "http://%[2]s", api_version: "2024-10-21", credential: beta, on_abort: seen}
  - {name: beta-messages, kind: anthropic, base_url: "http://%[2]s", credential: beta, on_abort: seen}
models:
`, l.alpha.addr, l.beta.addr)
	left := strings.Join(without, " ") + " "
	for _, model := range l.models {
		dialect, of := "openai", ""
		if strings.HasPrefix(model, "claude") {
			dialect, of = "anthropic", "-messages"
		}
		fmt.Fprintf(&w, "  - {name: %s, dialect: %s, context: 1000000, max_output: 100000, output_limit: max_tokens, tokenizer: o200k_base}\n", model, dialect)
		for _, at := range []string{"alpha", "beta"} {
			name := model + "-" + at
			if strings.Contains(left, name+" ") {
				continue
			}
			upstream := model + "-at-" + at
			if strings.HasSuffix(model, "-plain") {
				upstream = model
			}
			fmt.Fprintf(&deployments, "  - {name: %s, provider: %s, model: %s, upstream_model: %s, kind: paygo}\n", name, at+of, model, upstream)
			fmt.Fprintf(&prices, "  - {deployment: %s, from: 2024-01-01T00:00:00Z, input: \"2.50\", output: \"10.00\"}\n", name)
		}
	}
	return w.String() + "deployments:\n" + deployments.String() + "prices:\n" + prices.String()
}

// cost is what all of them cost, in nano-USD.
func cost(input, output int64) int64 { return 2_500*input + 10_000*output }

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	return c
}

// call is what an application sends.
type call struct {
	model  string // the dialect follows from its name
	stream bool
	max    int
	longer int      // bytes more of prompt
	steer  []string // header, value, …: what the providers are told to do
}

// request spells a call for an address.
func (l *lab) request(ctx context.Context, url string, c call) (*http.Request, error) {
	path, auth, scheme := "/v1/chat/completions", "Authorization", "Bearer "
	if strings.HasPrefix(c.model, "claude") {
		path, auth, scheme = "/v1/messages", "X-Api-Key", ""
	}
	if c.max == 0 {
		c.max = 200
	}
	body := fmt.Sprintf(`{"model":%q,"stream":%v,"max_tokens":%d,"messages":[{"role":"user","content":"Where is the train?%s"}]}`, c.model, c.stream, c.max, strings.Repeat(" ", c.longer))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set(auth, scheme+l.key)
	req.Header.Set("Content-Type", "application/json")
	if path == "/v1/messages" {
		req.Header.Set("Anthropic-Version", "2023-06-01")
	}
	for i := 0; i < len(c.steer); i += 2 {
		req.Header.Set(c.steer[i], c.steer[i+1])
	}
	return req, nil
}

// answer is what came back.
type answer struct {
	status   int
	header   http.Header
	body     string
	decision string
}

// ask sends a call and reads its answer to the end.
func (l *lab) ask(ctx context.Context, url string, c call) (answer, error) {
	req, err := l.request(ctx, url, c)
	if err != nil {
		return answer{}, err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return answer{resp.StatusCode, resp.Header, string(body), resp.Header.Get("X-Signalbox-Decision")}, err
}

// mustAsk is ask for calls that are answered with 200.
func (l *lab) mustAsk(t *testing.T, url string, c call) answer {
	t.Helper()
	a, err := l.ask(ctx(t), url, c)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusOK {
		t.Fatalf("%s: %d %v %s", c.model, a.status, a.header, a.body)
	}
	return a
}

// attempt is a row of usage.
type attempt struct {
	decision, deployment, outcome, source, known string
	status, input, output, charged               int64
}

// attempts are the rows of usage by their decisions, in the order of the tries.
func (l *lab) attempts(t *testing.T) (map[string][]attempt, error) {
	t.Helper()
	rows, err := l.SQL(ctx(t), `SELECT decision_id, deployment, outcome, source, known, status, input_tokens, output_tokens, charged_nano_usd
		FROM usage ORDER BY decision_id, attempt`)
	if err != nil {
		return nil, err
	}
	all := map[string][]attempt{}
	for _, row := range rows {
		var a attempt
		for column, to := range map[string]any{"decision_id": &a.decision, "deployment": &a.deployment, "outcome": &a.outcome, "source": &a.source, "known": &a.known,
			"status": &a.status, "input_tokens": &a.input, "output_tokens": &a.output, "charged_nano_usd": &a.charged} {
			if text := fmt.Sprint(row[column]); text != "" {
				if _, err := fmt.Sscan(text, to); err != nil {
					return nil, fmt.Errorf("%s: %w", column, err)
				}
			}
		}
		all[a.decision] = append(all[a.decision], a)
	}
	return all, nil
}

// settled waits until so many calls have rows of usage, and nothing is held.
func (l *lab) settled(t *testing.T, calls int) map[string][]attempt {
	t.Helper()
	var all map[string][]attempt
	rigtest.Eventually(t, "every call is settled", func() (err error) {
		if all, err = l.attempts(t); err != nil {
			return err
		}
		if len(all) != calls {
			return fmt.Errorf("%d of %d are", len(all), calls)
		}
		return l.balance(t, all)
	})
	return all
}

// settledThese is settled for some of the calls.
func (l *lab) settledThese(t *testing.T, decisions []string) map[string][]attempt {
	t.Helper()
	var all map[string][]attempt
	rigtest.Eventually(t, "these calls are settled", func() (err error) {
		if all, err = l.attempts(t); err != nil {
			return err
		}
		for _, id := range decisions {
			if len(all[id]) == 0 {
				return fmt.Errorf("call %s is not", id)
			}
		}
		return l.balance(t, all)
	})
	return all
}

// balance holds the books to the rows of usage.
func (l *lab) balance(t *testing.T, all map[string][]attempt) error {
	t.Helper()
	var charged int64
	for _, tries := range all {
		for _, try := range tries {
			charged += try.charged
		}
	}
	budgets, err := l.Budgets(ctx(t), "")
	if err != nil {
		return err
	}
	if len(budgets) != 1 {
		return fmt.Errorf("there are %d rows of budgets", len(budgets))
	}
	spent, err := registry.ParseUSD(budgets[0].Spent)
	if err != nil {
		return err
	}
	if held, err := registry.ParseUSD(budgets[0].Held); err != nil || held != 0 || spent != charged {
		return fmt.Errorf("%d nano-USD are spent and %s held (%v); want %d and 0", spent, budgets[0].Held, err, charged)
	}
	return nil
}
