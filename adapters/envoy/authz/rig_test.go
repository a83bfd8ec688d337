package authz_test

import (
	"context"
	"log/slog"
	"net"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/authz"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an Authorizer and an Envoy's connection to it.
type rig struct {
	decider *adaptertest.Decider
	settler *adaptertest.Settler
	client  authv3.AuthorizationClient
}

func newRig(t *testing.T, answer decision.Answer, err error, change ...func(*authz.Parts)) *rig {
	t.Helper()
	r := &rig{decider: &adaptertest.Decider{Answer: answer, Err: err}, settler: &adaptertest.Settler{}}
	parts := authz.Parts{Decider: r.decider, Settler: r.settler, Admit: admit, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&parts)
	}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	authz.New(parts).Register(server)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	conn, dialErr := grpc.NewClient("passthrough:///envoy", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if dialErr != nil {
		t.Fatal(dialErr)
	}
	t.Cleanup(func() { _ = conn.Close(); server.Stop(); <-done })
	r.client = authv3.NewAuthorizationClient(conn)
	return r
}

// admit lets gateways in by the token that is known.
func admit(ctx context.Context) (string, *door.Problem) {
	token := ""
	if said := metadata.ValueFromIncomingContext(ctx, "x-signalbox-gateway-token"); len(said) > 0 {
		token = said[0]
	}
	guard := door.Guard{Gateways: adaptertest.Gateways{}}
	who, p := guard.Admit(door.Peer{Token: token})
	if p != nil {
		return "", p
	}
	return who.Name("")
}

// ask asks as a gateway that is let in, in a profile; "" says none.
func (r *rig) ask(t *testing.T, profile envoy.Profile, m *authv3.CheckRequest) *authv3.CheckResponse {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-signalbox-gateway-token", adaptertest.Token)
	if profile != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, envoy.HeaderProfile, string(profile))
	}
	res, err := r.client.Check(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

const chatBody = `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`

// chat is what the filter sends of a chat, with everything in its headers that must
// stay here.
func chat() *authv3.CheckRequest {
	return question("POST", "/v1/chat/completions?api-version=1&beta=true", chatBody, map[string]string{
		":path": "/v1/chat/completions", ":authority": "llm.acme.test", "host": "llm.acme.test",
		"authorization": "Bearer sbx_key", "content-type": "text/plain; charset=utf-7", "content-length": "62",
		"cookie": "session", "x-signalbox-session": "s-42", "x-signalbox-deployment": "forged", "x-signalbox-profile": "order",
		"x-team": "with sbx_key in it", "x-forwarded-for": "10.0.0.9", "x-forwarded-proto": "https", "te": "trailers",
		"x-envoy-external-address": "10.0.0.9", "user-agent": "OpenAI/Python", "x-envoy-auth-partial-body": "false",
	})
}

func question(method, path, body string, headers map[string]string) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Method: method, Path: path, Headers: headers, RawBody: []byte(body)},
	}}}
}

// two is a plan of two deployments, one of which knows the model by another name.
func two(body []byte) decision.Answer {
	openai := &registry.Provider{Name: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1"}
	azure := &registry.Provider{Name: "azure", Kind: registry.ProviderAzureOpenAI, BaseURL: "https://contoso.openai.azure.com", APIVersion: "2024-10-21"}
	return decision.Answer{DecisionID: "d-1", Dialect: llm.OpenAI, Plan: &decision.Plan{
		Deployments: []*registry.Deployment{
			{Name: "a", Provider: "openai", Model: "gpt-4o", UpstreamModel: "gpt-4o-2024", ProviderRef: openai},
			{Name: "b", Provider: "azure", Model: "gpt-4o", UpstreamModel: "prod", ProviderRef: azure},
		},
		Body: body, ModelAsked: "gpt-4o", ModelSpan: [2]int{10, 16}, ReportToken: "token", Hold: decision.Hold{Attempts: 1},
		Budget: &decision.BudgetLeft{Name: "acme-month", Unit: "usd", Left: "12.5"},
	}}
}

func set(options []*corev3.HeaderValueOption) map[string]string {
	headers := map[string]string{}
	for _, o := range options {
		headers[o.GetHeader().GetKey()] = o.GetHeader().GetValue()
	}
	return headers
}

type problem = door.Problem

// settling hands on what is reported.
type settling chan decision.Report

func (s settling) Settle(_ context.Context, r decision.Report) (decision.Settled, error) {
	s <- r
	return decision.Settled{}, nil
}
