package conformance_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
)

// byAuthz is an Envoy with ext_authz: what it may change is headers and metadata, and
// what was used is told by its access log.
type byAuthz struct {
	called  string
	profile envoy.Profile
	farEnd
	client authv3.AuthorizationClient
}

func (a *byAuthz) name() string { return a.called }

func (a *byAuthz) traits() traits {
	somebodys := a.profile == envoy.ProfileHeader
	return traits{fixed: somebodys, alone: somebodys, logged: true}
}

func (a *byAuthz) open(t *testing.T, w *world) {
	conn := w.dial(t)
	a.farEnd = farEnd{world: w, conn: conn, profile: a.profile}
	a.client = authv3.NewAuthorizationClient(conn)
}

func (a *byAuthz) take(ctx context.Context, t *testing.T, c *call) *reply {
	t.Helper()
	f := c.flow()
	headers, body := f.pseudo(), f.body
	if len(body) > largest {
		// with_request_body: max_request_bytes and allow_partial_message.
		body, headers["x-envoy-auth-partial-body"] = body[:largest], "true"
	}
	answer, err := a.client.Check(metadata.AppendToOutgoingContext(ctx, envoy.HeaderProfile, string(a.profile)), &authv3.CheckRequest{
		Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: f.method, Path: f.path, Headers: headers, RawBody: []byte(body), Scheme: "https", Host: "calls.example",
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.data[envoy.NamespaceAuthz] = answer.GetDynamicMetadata()
	if denied := answer.GetDeniedResponse(); denied != nil {
		f.reply, f.details = &reply{status: int(denied.GetStatus().GetCode()), header: http.Header{}, body: denied.GetBody()}, "ext_authz_denied"
		f.reply.add(values(denied.GetHeaders()))
		a.log(ctx, t, f)
		return f.reply
	}
	ok := answer.GetOkResponse()
	if answer.GetStatus().GetCode() != 0 || ok == nil {
		t.Fatalf("the filter would take this for an error: %v", answer)
	}
	for name, value := range values(ok.GetHeaders()) {
		f.set(name, value)
	}
	for _, name := range ok.GetHeadersToRemove() {
		delete(f.header, name)
	}
	a.finish(ctx, t, f, values(ok.GetResponseHeadersToAdd()))
	return f.reply
}

// finish is all that comes behind the filter.
func (e *farEnd) finish(ctx context.Context, t *testing.T, f *flow, caller map[string]string) {
	t.Helper()
	e.route(t, f)
	f.readUsage()
	e.log(ctx, t, f)
	f.reply.add(caller)
}

func values(options []*corev3.HeaderValueOption) map[string]string {
	all := map[string]string{}
	for _, o := range options {
		value := o.GetHeader().GetValue()
		if raw := o.GetHeader().GetRawValue(); len(raw) > 0 {
			value = string(raw)
		}
		all[strings.ToLower(o.GetHeader().GetKey())] = value
	}
	return all
}

// byAuthzHTTP is the HTTP variant, for gateways that have no other.
type byAuthzHTTP struct{ farEnd }

func (*byAuthzHTTP) name() string { return "authz-http" }

func (*byAuthzHTTP) traits() traits { return traits{fixed: true, alone: true, logged: true} }

func (a *byAuthzHTTP) open(t *testing.T, w *world) {
	a.farEnd = farEnd{world: w, conn: w.dial(t), profile: envoy.ProfileHeader}
}

// toProvider are the headers of the service's answer that the filter copies into the
// call (allowed_upstream_headers), and toCaller those that go into the answer.
var toProvider, toCaller = []string{"x-signalbox-deployment", "accept-encoding", "content-type", "anthropic-version"}, []string{"x-signalbox-", "retry-after"}

func (a *byAuthzHTTP) take(ctx context.Context, t *testing.T, c *call) *reply {
	t.Helper()
	f := c.flow()
	headers, body := maps.Clone(f.header), f.body
	delete(headers, "content-length")
	if len(body) > largest {
		body, headers["x-envoy-auth-partial-body"] = body[:largest], "true"
	}
	r := a.exchange(t, request{method: f.method, url: a.URL() + "/envoy/authz" + f.path, header: headers, body: body})
	f.data[envoy.NamespaceAuthz] = &structpb.Struct{Fields: map[string]*structpb.Value{}}
	if r.status != http.StatusOK {
		if r.status == http.StatusNonAuthoritativeInfo {
			r.status = http.StatusOK // which would have let the call through
		}
		f.reply, f.details = r, "ext_authz_denied"
		a.log(ctx, t, f)
		return r
	}
	caller := map[string]string{}
	for name := range r.header {
		name = strings.ToLower(name)
		switch value := r.header.Get(name); {
		case name == envoy.HeaderCall: // dynamic_metadata_from_headers
			f.data[envoy.NamespaceAuthz].Fields[name] = structpb.NewStringValue(value)
		case slices.Contains(toProvider, name) && (name != "content-type" || f.body != ""):
			f.set(name, value)
		case slices.ContainsFunc(toCaller, func(prefix string) bool { return strings.HasPrefix(name, prefix) }):
			caller[name] = value
		}
	}
	for name := range strings.SplitSeq(r.header.Get("X-Envoy-Auth-Headers-To-Remove"), ",") {
		delete(f.header, strings.TrimSpace(name))
	}
	// The routes behind it write the path, by the deployment's name.
	if strings.HasPrefix(f.header[envoy.HeaderDeployment], "azured") {
		f.path = "/openai/deployments/gpt-at-azure/chat/completions?api-version=2024-10-21"
	}
	a.finish(ctx, t, f, caller)
	return f.reply
}
