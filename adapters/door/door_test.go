package door_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"math"
	"testing"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// Where a call goes, for each kind of provider as its own SDK would spell it.
func TestUpstream(t *testing.T) {
	chat, messages := "/v1/chat/completions", "/v1/messages"
	for _, c := range []struct {
		name     string
		provider registry.Provider
		asked    string
		want     string
	}{
		{"openai", registry.Provider{Kind: registry.ProviderOpenAI, BaseURL: "https://api.openai.com/v1"}, chat, "https api.openai.com /v1/chat/completions"},
		{"azure, dated", registry.Provider{Kind: registry.ProviderAzureOpenAI, BaseURL: "https://contoso.openai.azure.com", APIVersion: "2024-10-21"}, chat,
			"https contoso.openai.azure.com /openai/deployments/gpt%204o/chat/completions?api-version=2024-10-21"},
		{"azure, asked by Azure's path", registry.Provider{Kind: registry.ProviderAzureOpenAI, BaseURL: "https://contoso.openai.azure.com/openai/", APIVersion: "2024-10-21"},
			"/openai/deployments/x/chat/completions?api-version=2023-05-15", "https contoso.openai.azure.com /openai/deployments/gpt%204o/chat/completions?api-version=2024-10-21"},
		{"azure, v1", registry.Provider{Kind: registry.ProviderAzureOpenAI, BaseURL: "https://contoso.openai.azure.com"}, chat, "https contoso.openai.azure.com /openai/v1/chat/completions"},
		{"azure, v1 said twice", registry.Provider{Kind: registry.ProviderAzureOpenAI, BaseURL: "https://contoso.openai.azure.com/openai/v1", APIVersion: "v1"}, chat, "https contoso.openai.azure.com /openai/v1/chat/completions"},
		{"anthropic", registry.Provider{Kind: registry.ProviderAnthropic, BaseURL: "https://api.anthropic.com"}, messages, "https api.anthropic.com /v1/messages"},
		{"anthropic, with its version", registry.Provider{Kind: registry.ProviderAnthropic, BaseURL: "https://api.anthropic.com/v1"}, messages, "https api.anthropic.com /v1/messages"},
		{"anthropic, counting", registry.Provider{Kind: registry.ProviderAnthropic, BaseURL: "https://api.anthropic.com"}, messages + "/count_tokens", "https api.anthropic.com /v1/messages/count_tokens"},
		{"compatible, under a path", registry.Provider{Kind: registry.ProviderOpenAICompatible, BaseURL: "http://vllm.internal:8000/team/v1"}, chat, "http vllm.internal:8000 /team/v1/chat/completions"},
		{"a path that a rule lets through", registry.Provider{Kind: registry.ProviderOpenAI, BaseURL: "https://api.openai.com/v1"}, "/v1/files?x=1", "https api.openai.com /v1/files?x=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := decision.Answer{Plan: &decision.Plan{Deployments: []*registry.Deployment{{Name: "d", UpstreamModel: "gpt 4o", ProviderRef: &c.provider}}}}
			d := door.Render(&decision.Request{Method: "POST", Path: c.asked}, &a).Deployments[0]
			if got := d.Scheme + " " + d.Host + " " + d.Path; got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// What is left of a budget is never a fortune made by wrapping around.
func TestLeftNeverWraps(t *testing.T) {
	for _, c := range []struct {
		limit, spent, held int64
		want               string
	}{
		{10, 3, 2, "5"}, {10, 10, 0, "0"}, {10, 11, 0, "0"}, {10, 3, 9, "0"}, {0, 0, 0, "0"},
		{math.MaxInt64, 0, math.MaxInt64, "0"}, {0, math.MaxInt64, math.MaxInt64, "0"}, {math.MaxInt64, -5, 0, "9223372036854775807"},
		{math.MinInt64, math.MaxInt64, 0, "0"},
	} {
		a := decision.Answer{Dialect: llm.OpenAI, Refusal: &decision.Refusal{Reasons: []decision.Reason{{
			Code: decision.RateLimited, Budget: "b", Unit: journal.UnitTokens, Limit: c.limit, Spent: c.spent, Held: c.held}}}}
		if got := door.Render(&decision.Request{}, &a).Response.Headers["x-signalbox-budget-left"]; got != c.want {
			t.Errorf("limit %d, spent %d, held %d: %s left, want %s", c.limit, c.spent, c.held, got, c.want)
		}
	}
}

type gateways struct{}

func (gateways) GatewayByToken(token string) (string, bool) { return "edge-1", token == "sbg_1" }
func (gateways) KnownGateway(name string) bool              { return name == "edge-1" || name == "edge-2" }

// Who asks is what was proven; being on this machine is proof only where nobody
// else can look like it.
func TestWhoAsks(t *testing.T) {
	cert := func(cn string, dns ...string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: cn}, DNSNames: dns}
	}
	const home = "127.0.0.1:8080"
	for _, c := range []struct {
		name    string
		trust   bool
		peer    door.Peer
		claims  string
		want    string
		problem door.Kind
	}{
		{"a token", false, door.Peer{Token: "sbg_1", Host: "signalbox.internal"}, "", "edge-1", 0},
		{"a token, foreign page or not", true, door.Peer{Token: "sbg_1", Host: "evil.example", Origin: "https://evil.example"}, "", "edge-1", 0},
		{"a wrong token beside a good certificate", false, door.Peer{Token: "sbg_2", Certificate: cert("edge-1")}, "", "", door.UnknownGateway},
		{"a certificate's common name", false, door.Peer{Certificate: cert("edge-2")}, "", "edge-2", 0},
		{"a certificate's DNS name", false, door.Peer{Certificate: cert("x", "edge-1")}, "", "edge-1", 0},
		{"a certificate of two, the first", false, door.Peer{Certificate: cert("edge-2", "edge-1")}, "", "edge-2", 0},
		{"a certificate of two, the other", false, door.Peer{Certificate: cert("edge-2", "edge-1")}, "edge-1", "edge-1", 0},
		{"a certificate of nobody", true, door.Peer{Certificate: cert("edge-9"), Local: true, Host: home}, "", "", door.UnknownGateway},
		{"nothing, from elsewhere", true, door.Peer{Host: home}, "", "", door.UnknownGateway},
		{"nothing, where a token is wanted", false, door.Peer{Local: true, Host: home}, "", "", door.UnknownGateway},
		{"this machine", true, door.Peer{Local: true, Host: home}, "edge-2", "edge-2", 0},
		{"this machine by name", true, door.Peer{Local: true, Host: "LocalHost:8080"}, "", "", 0},
		{"this machine by IPv6", true, door.Peer{Local: true, Host: "[::1]:8080"}, "", "", 0},
		{"a rebound name", true, door.Peer{Local: true, Host: "evil.example:8080"}, "", "", door.Foreign},
		{"a name that starts like ours", true, door.Peer{Local: true, Host: "localhost.evil.example"}, "", "", door.Foreign},
		{"no host at all", true, door.Peer{Local: true}, "", "", door.Foreign},
		{"a page of our own", true, door.Peer{Local: true, Host: home, Origin: "http://" + home}, "", "", 0},
		{"another page", true, door.Peer{Local: true, Host: home, Origin: "https://evil.example"}, "", "", door.Foreign},
		{"another port's page", true, door.Peer{Local: true, Host: home, Origin: "http://127.0.0.1:3000"}, "", "", door.Foreign},
		{"a page without an origin", true, door.Peer{Local: true, Host: home, Origin: "null"}, "", "", door.Foreign},
	} {
		t.Run(c.name, func(t *testing.T) {
			guard := door.Guard{Gateways: gateways{}, TrustLocal: c.trust}
			who, p := guard.Admit(c.peer)
			got := ""
			if p == nil {
				got, p = who.Name(c.claims)
			}
			if kind(p) != c.problem || got != c.want {
				t.Errorf("got %q and %v, want %q and problem %d", got, p, c.want, c.problem)
			}
		})
	}
}

func kind(p *door.Problem) door.Kind {
	if p == nil {
		return 0
	}
	return p.Kind
}

func TestIsLocal(t *testing.T) {
	for remote, want := range map[string]bool{
		"127.0.0.1:5": true, "127.9.9.9:5": true, "[::1]:5": true, "[::ffff:127.0.0.1]:5": true,
		"192.0.2.1:5": false, "[2001:db8::1]:5": false, "": false, "pipe": false, "localhost:5": false,
	} {
		if got := door.IsLocal(remote); got != want {
			t.Errorf("%q: %v", remote, got)
		}
	}
}

// leaving is a question whose asker goes away while it is decided.
type leaving struct {
	cancel  context.CancelFunc
	reports []decision.Report
	ended   error // of the context that the withdrawal was settled under
}

func (l *leaving) Decide(context.Context, decision.Request) (decision.Answer, error) {
	l.cancel()
	return decision.Answer{DecisionID: "d", Plan: &decision.Plan{ReportToken: "token"}}, nil
}

func (l *leaving) Settle(ctx context.Context, r decision.Report) (decision.Settled, error) {
	l.reports, l.ended = append(l.reports, r), ctx.Err()
	return decision.Settled{}, nil
}

// An answer that nobody waits for gives its hold back; one that a second question
// with the same call id may have read does not.
func TestAWithdrawnQuestionHoldsNothing(t *testing.T) {
	who, p := (&door.Guard{Gateways: gateways{}}).Admit(door.Peer{Token: "sbg_1"})
	if p != nil {
		t.Fatal(p)
	}
	for callID, reports := range map[string]int{"": 1, "c-1": 0} {
		ctx, cancel := context.WithCancel(t.Context())
		l := &leaving{cancel: cancel}
		answer, p := door.Decide(ctx, l, l, who, door.Question{CallID: callID, Method: "POST", Path: "/"})
		if answer != nil || kind(p) != door.Withdrawn {
			t.Errorf("answered %v, %v", answer, p)
		}
		if len(l.reports) != reports || l.ended != nil {
			t.Errorf("call id %q: settled %+v under a context that %v", callID, l.reports, l.ended)
		}
		for _, r := range l.reports {
			if r.Outcome != journal.OutcomeNotSent || r.Token != "token" || r.Gateway != "edge-1" || r.SeenOutputTokens != -1 {
				t.Errorf("settled %+v", r)
			}
		}
	}
}
