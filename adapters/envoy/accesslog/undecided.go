package accesslog

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// ourDetails begin Envoy's word for a call that one of our filters refused for us.
var ourDetails = []string{"ext_authz_denied", "signalbox"}

// filterErrors begin Envoy's word for a call that it refused because one of our filters
// had no answer.
var filterErrors = []string{"ext_authz_error", "ext_proc_error"}

// weAnswered reports whether we were asked about this call, and it went nowhere.
func weAnswered(e *datav3.HTTPAccessLogEntry) bool {
	namespaces := e.GetCommonProperties().GetMetadata().GetFilterMetadata()
	return envoy.Asked(namespaces[envoy.NamespaceCall]) || envoy.Asked(namespaces[envoy.NamespaceAuthz]) ||
		hasPrefix(e.GetResponse().GetResponseCodeDetails(), ourDetails)
}

// undecided reads an entry about which we were not asked, or had no answer; false: it is
// no call of a dialect that we know, or it neither passed nor was refused for want of us.
func undecided(e *datav3.HTTPAccessLogEntry, gateway string) (decision.Undecided, bool) {
	method := e.GetRequest().GetRequestMethod()
	path, known := asked(e.GetRequest())
	if !known {
		return decision.Undecided{}, false
	}
	details := e.GetResponse().GetResponseCodeDetails()
	refused := hasPrefix(details, filterErrors)
	if !refused && endingOf(e) == unsent {
		return decision.Undecided{}, false // no route, no cluster: it went nowhere, and nobody had to be asked
	}
	u := decision.Undecided{Gateway: gateway, Method: method.String(), Path: path, Passed: !refused,
		Status: int(e.GetResponse().GetResponseCode().GetValue()), Why: plain(details)}
	if at := e.GetCommonProperties().GetStartTime(); at.IsValid() {
		u.At = at.AsTime()
	}
	return u, true
}

// asked is the path that the caller asked for, and whether we know it. Envoy keeps the
// first path in a header where a route writes another; a caller may send the header as
// well, and must not be able to keep out of the audit by it. So either will do.
func asked(r *datav3.HTTPRequestProperties) (path string, known bool) {
	for _, path = range []string{r.GetOriginalPath(), r.GetPath()} {
		if _, known = llm.Recognise(corev3.RequestMethod_name[int32(r.GetRequestMethod())], path); known {
			return path, true
		}
	}
	return path, false
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// plain is Envoy's word without what it quotes: the errors of others stand in braces.
func plain(details string) string {
	word, _, _ := strings.Cut(details, "{")
	return word
}
