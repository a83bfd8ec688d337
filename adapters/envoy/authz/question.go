package authz

import (
	"strconv"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
)

// headerPartial is Envoy's word for a body that it has cut.
const headerPartial = "x-envoy-auth-partial-body"

// asked is one question, as either variant has read it.
type asked struct {
	request decision.Request
	profile envoy.Profile
}

// fromCheck reads a CheckRequest. profile is what the filter says for all its routes;
// the context extensions of one route win.
func (a *Authorizer) fromCheck(m *authv3.CheckRequest, gateway string, profile envoy.Profile) (asked, *door.Problem) {
	h := m.GetAttributes().GetRequest().GetHttp()
	if h == nil {
		return asked{}, &door.Problem{Kind: door.BadEnvelope, Where: "attributes.request.http", Message: "want an HTTP request; this is no filter of a network connection"}
	}
	if said := m.GetAttributes().GetContextExtensions()["profile"]; said != "" {
		profile = envoy.Profile(said)
	}
	headers, body := headersOf(h), h.GetRawBody()
	if len(body) == 0 {
		body = []byte(h.GetBody()) // a filter without pack_as_bytes
	}
	return a.question(h.GetMethod(), h.GetPath(), headers, body, gateway, profile)
}

// headersOf are the caller's headers, without HTTP/2's own. Of a header that is
// repeated Envoy has joined the values, or it gives them one by one, in the order in
// which they came: then the first counts, as everywhere.
func headersOf(h *authv3.AttributeContext_HttpRequest) map[string]string {
	headers := make(map[string]string, len(h.GetHeaders())+len(h.GetHeaderMap().GetHeaders()))
	take := func(name, value string) {
		if _, twice := headers[name]; !twice && !strings.HasPrefix(name, ":") {
			headers[name] = value
		}
	}
	for name, value := range h.GetHeaders() {
		take(name, value)
	}
	for _, v := range h.GetHeaderMap().GetHeaders() {
		value := v.GetValue()
		if raw := v.GetRawValue(); len(raw) > 0 {
			value = string(raw)
		}
		take(strings.ToLower(v.GetKey()), value)
	}
	return headers
}

// question makes the decision's question. The filter's own headers are not the caller's.
func (a *Authorizer) question(method, path string, headers map[string]string, body []byte, gateway string, profile envoy.Profile) (asked, *door.Problem) {
	complete := isComplete(headers, len(body))
	delete(headers, headerPartial)
	if int64(len(body)) > a.Limits.Body {
		body, complete = nil, false
	}
	q := door.Question{Method: method, Path: path, Headers: headers, Body: body, BodyComplete: &complete}
	req, p := q.Request(gateway)
	if p != nil {
		return asked{}, p
	}
	if profile != envoy.ProfileOrder {
		profile = envoy.ProfileHeader // also for a word that nobody knows: it promises the least
	}
	req.Fixed = profile == envoy.ProfileHeader
	return asked{request: req, profile: profile}, nil
}

// isComplete reports whether this is the whole body. Envoy's word is not enough where
// the filter is not given bodies at all: what was announced and is not here was cut. A
// body of unknown length that was cut in silence is no JSON any more.
func isComplete(headers map[string]string, have int) bool {
	if headers[headerPartial] == "true" {
		return false
	}
	length, err := strconv.ParseInt(headers["content-length"], 10, 64)
	return err != nil || length <= int64(have)
}

// isEncoded reports whether the body is not what it looks like: a provider that decodes
// it might read another body than the one that was judged.
func isEncoded(h decision.Headers) bool {
	coding := h["content-encoding"]
	return coding != "" && !strings.EqualFold(coding, "identity")
}
