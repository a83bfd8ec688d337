package proc

import (
	"maps"
	"net/http"
	"slices"
	"time"

	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision/llm/follow"
	"github.com/signalbox-dev/signalbox/journal"
)

// passage is one answer on its way from a provider to the caller.
type passage struct {
	follow *follow.Answer
	events bool
	duplex bool // bodies go both ways at once: a guard may end this one
	status int
	seen   bool // a part of the body has come
	ended  bool // and was settled
	figure bool // with the provider's figures
	bytes  int64

	firstToken time.Time
}

// responseHeaders takes an answer's head: a provider's, or Envoy's own.
func (s *stream) responseHeaders(m *pb.ProcessingRequest, h *pb.HttpHeaders) *pb.ProcessingResponse {
	switch s.stage {
	case answering, over:
		return answerHeaders(nil, nil)
	case out:
	default:
		return s.unasked(newHead(m, h))
	}
	got := newHead(m, h)
	if got.details == "" {
		s.misconfigured(wrongAttributes, "an Envoy's ext_proc filter does not say who wrote an answer: set response_attributes to response.code_details, upstream.request_attempt_count and xds.cluster_name")
	}
	if got.own() {
		return s.ownReply(got)
	}
	s.note(got)
	return s.provider(got)
}

// unasked takes an answer to a call that we have not let out.
func (s *stream) unasked(h *head) *pb.ProcessingResponse {
	switch {
	case s.stage == passing:
		s.stage = over
		return answerHeaders(&pb.HeaderMutation{RemoveHeaders: h.hidden(s.profile)}, nil)
	case s.asked != nil && h.details == "request_payload_too_large":
		// Envoy kept no more of the body. The decision says so in the dialect, and writes
		// it down.
		return s.decide(func(*pb.CommonResponse) *pb.ProcessingResponse { return answerHeaders(nil, nil) }, nil, false)
	case h.own():
		s.stage = over
		return answerHeaders(nil, nil) // nobody has judged it, and nobody was sent it
	}
	s.misconfigured(wrongUndecided, "an Envoy let a call out that nobody has judged: the ext_proc filter must send the request's headers and its whole body (request_body_mode BUFFERED), and wait for both")
	return s.refuse(decidedImpossible, http.StatusInternalServerError, "internal", "the gateway is not set up to have calls judged; the operators' log says what to set")
}

// provider takes the head of a provider's answer.
func (s *stream) provider(h *head) *pb.ProcessingResponse {
	c := s.call
	if len(c.tries) == 0 { // the filter says that there was none, and there is an answer
		c.tries = []tried{{deployment: c.order[0]}}
	}
	t := &c.tries[len(c.tries)-1]
	t.status, t.outcome = h.status, journal.OutcomeFailed
	s.p.Health.Learn(t.deployment, door.Shown(h.status, h.rates, c.sent))
	s.saw(t, word(h.status))
	switch {
	case h.status < 200 || h.status >= 300 && h.status < 400:
		// Never followed and never shown; and a status below 400 would say that it went
		// well.
		t.outcome, t.status = journal.OutcomeNotSent, 0
		return s.unshown()
	case door.AboutUs(h.status):
		return s.unshown()
	case h.status >= 400:
		// The provider's no. It cost nothing, and is settled before anybody reads it.
		s.settle(s.unanswered(), s.p.Limits.Settle)
		s.stage = over
		return s.show(h, &mode.ProcessingMode{ResponseBodyMode: mode.ProcessingMode_NONE})
	}
	t.outcome = journal.OutcomeCompleted // until it ends otherwise
	if c.Token == "" && c.guards == nil {
		s.stage = over // free: nothing is to be read
		return s.show(h, &mode.ProcessingMode{ResponseBodyMode: mode.ProcessingMode_NONE})
	}
	return s.follow(h)
}

// unshown answers in the place of a provider's answer that the caller must not see.
func (s *stream) unshown() *pb.ProcessingResponse {
	s.settle(s.unanswered(), s.p.Limits.Settle)
	return s.fails(door.Failed{DecisionID: s.call.DecisionID, Status: http.StatusBadGateway, Code: door.UpstreamUnavailable, Message: unreachable})
}

// follow begins to read an answer's body.
func (s *stream) follow(h *head) *pb.ProcessingResponse {
	c := s.call
	p := &passage{events: h.events(), duplex: c.guards != nil, status: h.status, follow: follow.New(follow.Asked{
		Dialect: c.Dialect, Endpoint: c.Endpoint, HideUsage: c.hide, Guards: c.guards,
	}, h.status, h.contentType, h.encoding)}
	c.answer, s.stage = p, answering
	if stop := p.follow.StoppedBy(); stop != nil {
		// Guards were asked for, and nobody can read it. The provider has written it.
		s.end(endGuarded, journal.OutcomeAborted)
		return s.fails(door.Failed{DecisionID: c.DecisionID, Status: http.StatusBadGateway, Code: stop.Code, Message: stop.Message})
	}
	if h.last {
		if _, broken := s.feed(nil, true); broken {
			return s.brokenOff()
		}
		s.stage = over
		return s.show(h, &mode.ProcessingMode{ResponseBodyMode: mode.ProcessingMode_NONE})
	}
	how := &mode.ProcessingMode{ResponseBodyMode: mode.ProcessingMode_STREAMED}
	if p.duplex {
		how = &mode.ProcessingMode{ResponseBodyMode: mode.ProcessingMode_FULL_DUPLEX_STREAMED, ResponseTrailerMode: mode.ProcessingMode_SEND}
	}
	return s.show(h, how)
}

// show lets the head go on to the caller, and says how the body is to come.
func (s *stream) show(h *head, how *mode.ProcessingMode) *pb.ProcessingResponse {
	c := s.call
	m := &pb.HeaderMutation{RemoveHeaders: h.hidden(s.profile)}
	if s.stage == answering && (c.answer.events || c.answer.duplex) && slices.Contains(h.names, "content-length") {
		// What passes may not be as long, and Envoy would cut it at this.
		m.RemoveHeaders = append(m.RemoveHeaders, "content-length")
	}
	for _, name := range slices.Sorted(maps.Keys(c.caller)) {
		m.SetHeaders = append(m.SetHeaders, set(name, c.caller[name]))
	}
	m.SetHeaders = append(m.SetHeaders, set(envoy.HeaderDeployment, c.tries[len(c.tries)-1].deployment))
	return answerHeaders(m, how)
}

func answerHeaders(m *pb.HeaderMutation, how *mode.ProcessingMode) *pb.ProcessingResponse {
	of := &pb.HeadersResponse{}
	if m != nil {
		of.Response = &pb.CommonResponse{HeaderMutation: m}
	}
	return &pb.ProcessingResponse{Response: &pb.ProcessingResponse_ResponseHeaders{ResponseHeaders: of}, ModeOverride: how}
}
