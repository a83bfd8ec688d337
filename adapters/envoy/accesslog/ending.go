package accesslog

import (
	"strings"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
)

// ending is how a call ended, for money.
type ending int

const (
	answered ending = iota // a provider's answer, to its end
	unsent                 // no provider was sent the last try
	brokeOff               // it may have been billed: by us, the caller or the provider, before its end
)

// fromProvider is the word for an answer that came through whole.
const fromProvider = "via_upstream"

// routerDetails are the router's own words for a try that it could not send. A word that
// is not here may be one of a call that was billed.
var routerDetails = []string{
	"route_not_found", "direct_response", "cluster_not_found", "no_healthy_upstream", "maintenance_mode", "lua_response", "failed_to_inject_credential",
}

// unsentResets are the reasons of a reset before the answer that mean that there was no
// connection to send on, or that the provider refused the stream.
var unsentResets = []string{
	"connection_failure", "remote_connection_failure", "local_connection_failure", "connection_timeout", "overflow", "remote_refused_stream_reset",
}

const resetBefore = "upstream_reset_before_response_started"

// endingOf reads an entry. Envoy's details are the one word for it that is closed
// enough to decide by: the flags of a call that broke off differ between versions.
func endingOf(e *datav3.HTTPAccessLogEntry) ending {
	details := e.GetResponse().GetResponseCodeDetails()
	word, rest, _ := strings.Cut(details, "{")
	switch {
	case word == fromProvider && !cut(e.GetCommonProperties().GetResponseFlags()):
		return answered
	case word == resetBefore:
		// upstream_reset_before_response_started{connection_failure|why} or {reason,why}
		for _, reason := range unsentResets {
			if after, ok := strings.CutPrefix(rest, reason); ok && (after == "" || strings.ContainsAny(after[:1], "}|,")) {
				return unsent
			}
		}
		return brokeOff
	}
	if hasPrefix(details, routerDetails) || !routed(e.GetCommonProperties()) {
		return unsent // by the router, or the call has not come as far: its caller left, or a filter refused it
	}
	return brokeOff
}

// routed reports whether the router has tried the call. What Envoy says by itself
// before that, by whatever word, cost nothing; after it the same word may be one of a
// call that was billed: ext_proc may break while an answer goes by. That a cluster is
// named says nothing: it is the route's, from before we were asked.
func routed(c *datav3.AccessLogCommon) bool {
	return c.GetUpstreamRequestAttemptCount() > 0 || c.GetUpstreamRemoteAddress() != nil || c.GetTimeToFirstUpstreamTxByte() != nil
}

// cut reports whether an answer that came from a provider did not come to its end.
func cut(f *datav3.ResponseFlags) bool {
	return f.GetDownstreamConnectionTermination() || f.GetUpstreamConnectionTermination() || f.GetUpstreamRemoteReset() || f.GetLocalReset() ||
		f.GetStreamIdleTimeout() || f.GetUpstreamRequestTimeout() || f.GetUpstreamMaxStreamDurationReached() || f.GetDurationTimeout() ||
		f.GetUpstreamProtocolError() || f.GetDownstreamRemoteReset() || f.GetDownstreamProtocolError()
}
