package proc

import (
	"net/http"
	"strconv"
	"strings"

	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
)

// Attributes of an answer that the filter is to send (response_attributes).
const (
	attributeDetails  = "response.code_details"
	attributeCluster  = "xds.cluster_name"
	attributeAttempts = "upstream.request_attempt_count"
)

// viaUpstream is what the details say of an answer that a provider gave.
const viaUpstream = "via_upstream"

// head is an answer's head, a provider's or Envoy's own.
type head struct {
	status      int
	contentType string
	encoding    string
	rates       http.Header // what health reads
	names       []string    // of all headers
	last        bool        // there is no body

	details  string // "": not said
	cluster  string
	attempts int              // -1: not said
	noted    *structpb.Struct // what the filters at the tries have noted
}

func newHead(m *pb.ProcessingRequest, h *pb.HttpHeaders) *head {
	out := &head{rates: http.Header{}, last: h.GetEndOfStream(), attempts: -1}
	for _, f := range h.GetHeaders().GetHeaders() {
		name := strings.ToLower(f.GetKey())
		switch name {
		case ":status":
			out.status, _ = strconv.Atoi(valueOf(f))
			continue
		case "content-type":
			out.contentType = valueOf(f)
		case "content-encoding":
			out.encoding = valueOf(f)
		}
		if isRate(name) {
			out.rates.Add(name, valueOf(f))
		}
		out.names = append(out.names, name)
	}
	for _, of := range m.GetAttributes() {
		out.attributes(of.GetFields())
	}
	out.noted = m.GetMetadataContext().GetFilterMetadata()[envoy.NamespaceTries]
	return out
}

func (h *head) attributes(f map[string]*structpb.Value) {
	if v, ok := f[attributeDetails]; ok {
		h.details = v.GetStringValue()
	}
	if v, ok := f[attributeCluster]; ok {
		h.cluster = v.GetStringValue()
	}
	if v, ok := f[attributeAttempts].GetKind().(*structpb.Value_NumberValue); ok && v.NumberValue >= 0 {
		h.attempts = int(min(v.NumberValue, envoy.MaxTries))
	}
}

// isRate reports whether health has a use for a header.
func isRate(name string) bool {
	return strings.HasPrefix(name, "retry-after") || strings.Contains(name, "ratelimit") || name == "date"
}

// own reports whether Envoy wrote the answer itself. Where the filter does not send
// the details, a plain 5xx is taken for Envoy's: then nobody knows whether a provider
// had the call, and it is charged.
func (h *head) own() bool {
	if h.details != "" {
		return h.details != viaUpstream
	}
	return h.status >= 500 && strings.HasPrefix(h.contentType, "text/plain")
}

// hidden is what the caller must not see of the headers. In somebody's own routes,
// what Envoy adds of itself is theirs, and a filter may be forbidden to touch it.
func (h *head) hidden(profile envoy.Profile) []string {
	var names []string
	for _, name := range h.names {
		if door.HiddenFromCaller(name) && (profile == envoy.ProfileOrder || !strings.HasPrefix(name, "x-envoy-")) {
			names = append(names, name)
		}
	}
	return names
}

// events reads the type as follow does, which is forgiving about what stands behind
// it.
func (h *head) events() bool {
	media, _, _ := strings.Cut(h.contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}
