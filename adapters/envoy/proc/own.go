package proc

import (
	"net/http"
	"strings"
	"time"

	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/journal"
)

// verdict is what a reply that Envoy wrote itself means for the call.
type verdict struct {
	outcome string // of the try, for those who watch
	sent    bool   // a provider may have had the whole call
	theirs  bool   // it is no fault of the deployment's, or of its place in Envoy
	foreign bool   // it is not the router's word: another filter's, or a route's own
	status  int
	code    string
	message string
	after   time.Duration
}

const unreachable = "no deployment of this model could be reached; try again"

// nowhere is a call that reached nobody.
var nowhere = verdict{outcome: outcomeUnreached, status: http.StatusBadGateway, code: door.UpstreamUnavailable, message: unreachable}

// read understands the details of Envoy's own reply
// (envoyproxy.io, "Response Code Details"). What is not known may have been sent.
func read(details string) verdict {
	reason, isReset := strings.CutPrefix(details, "upstream_reset_before_response_started")
	switch {
	case isReset && strings.Contains(reason, "overflow"), details == "overload":
		v := nowhere
		v.theirs, v.status, v.code, v.after = true, http.StatusServiceUnavailable, door.Overloaded, soon
		v.message = "too much is asked at once; try again"
		return v
	case isReset && (strings.Contains(reason, "connection_failure") || strings.Contains(reason, "connection_timeout") || strings.Contains(reason, "refused_stream")),
		details == "no_healthy_upstream", strings.HasPrefix(details, "failed_to_inject_credential"):
		return nowhere
	case details == "cluster_not_found", details == "route_not_found", details == "no_cluster", details == "lua_response", details == "maintenance_mode":
		v := nowhere
		v.theirs = true
		return v
	case details == "direct_response":
		v := nowhere
		v.foreign = true
		return v
	case strings.Contains(details, "timeout"), strings.Contains(details, "max_stream_duration"):
		return verdict{outcome: outcomeSlow, sent: true, status: http.StatusGatewayTimeout, code: door.UpstreamTimeout, message: "the provider did not answer in time"}
	case isReset, strings.HasPrefix(details, "upstream_"), strings.HasPrefix(details, "response_"), strings.HasPrefix(details, "http"), details == "":
		return verdict{outcome: outcomeBroken, sent: true, status: http.StatusBadGateway, code: door.UpstreamUnavailable, message: "the provider broke off its answer"}
	}
	return verdict{outcome: outcomeBroken, sent: true, foreign: true, status: http.StatusBadGateway, code: door.UpstreamUnavailable, message: unreachable}
}

// ownReply takes a reply that Envoy wrote itself to an allowed call: it is settled by
// what it says of the provider, and the caller gets it in their dialect.
func (s *stream) ownReply(h *head) *pb.ProcessingResponse {
	v := read(h.details)
	s.note(h)
	c := s.call
	if n := len(c.tries); n > 0 {
		t := &c.tries[n-1]
		t.outcome = journal.OutcomeNotSent
		if v.sent {
			t.outcome = journal.OutcomeAborted
		}
		s.saw(t, v.outcome)
		if !v.theirs && !v.foreign {
			s.p.Health.Learn(t.deployment, health.Sign{Failed: true, Began: c.sent})
		}
	}
	report := s.unanswered()
	if v.sent && h.attempts < 0 && len(c.tries) == 0 {
		report.Outcome = journal.OutcomeAborted // it may have been, and nobody counts
	}
	s.settle(report, s.p.Limits.Settle)
	if v.foreign && len(c.tries) == 0 && h.attempts <= 0 {
		// A filter behind ours, or a route that answers itself, said it to the caller: it
		// stands as they wrote it.
		s.stage = over
		return answerHeaders(nil, nil)
	}
	return s.fails(door.Failed{DecisionID: c.DecisionID, Status: v.status, Code: v.code, Message: v.message, RetryAfter: v.after})
}
