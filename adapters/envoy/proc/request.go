package proc

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// asked is the caller's request as far as it has come.
type asked struct {
	question door.Question
	route    llm.Route
	grpc     bool     // the caller reads gRPC statuses
	whole    bool     // the filter is known to send the body in one
	cleaned  bool     // what may not go out is out of the headers already
	keyed    []string // repeated headers, of which not the first value holds a key
}

// newAsked reads the headers. Of one that is repeated, the first counts, as at every
// door.
func newAsked(h *pb.HttpHeaders) *asked {
	fields := h.GetHeaders().GetHeaders()
	a := &asked{question: door.Question{Headers: make(map[string]string, len(fields))}}
	for _, f := range fields {
		name, value := strings.ToLower(f.GetKey()), valueOf(f)
		switch {
		case name == ":path":
			a.question.Path = value
		case name == ":method":
			a.question.Method = value
		case strings.HasPrefix(name, ":"):
		default:
			if _, twice := a.question.Headers[name]; !twice {
				a.question.Headers[name] = value
			} else if strings.Contains(value, decision.KeyPrefix) {
				a.keyed = append(a.keyed, name)
			}
		}
	}
	a.route, _ = llm.Recognise(a.question.Method, a.question.Path)
	a.grpc = strings.HasPrefix(a.header("content-type"), "application/grpc")
	return a
}

// valueOf is a header's value. Envoy sends it raw, since it need not be text.
func valueOf(h *core.HeaderValue) string {
	if len(h.GetRawValue()) > 0 {
		return string(h.GetRawValue())
	}
	return h.GetValue()
}

func (a *asked) header(name string) string { return a.question.Headers[name] }

// requestHeaders takes the head of the call. What needs no body is answered now;
// what holds a key goes out of the headers now, whatever becomes of the rest.
func (s *stream) requestHeaders(m *pb.ProcessingRequest, h *pb.HttpHeaders) *pb.ProcessingResponse {
	if s.asked != nil {
		return headersReply(nil)
	}
	a := newAsked(h)
	s.asked = a
	coding := a.header("content-encoding")
	switch {
	case m.GetObservabilityMode():
		// Nobody reads what we answer, so nothing may be held for it.
		s.misconfigured(wrongObserving, "an Envoy's ext_proc filter only shows us its calls and lets them go on unjudged: take observability_mode out")
		s.stage = over
		return nil
	case strings.EqualFold(a.header("upgrade"), "websocket"):
		return s.plainly()
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return s.refuse(decidedMalformed, http.StatusBadRequest, string(decision.Malformed), "the body is encoded by content-encoding; send it as it is")
	case h.GetEndOfStream():
		return s.decide(headersReply, nil, true)
	case !s.sendsBodies(m.GetProtocolConfig()):
		return s.impossible()
	case a.route.Endpoint == "" || s.tooLong() || s.p.Keys != nil && !s.p.Keys.Knows(a.question.Headers):
		// The decision says what is wrong, in the dialect, and writes it down; no memory
		// is spent on the body of somebody without a good key, and no wait on one that is
		// not read: of a path that is not judged, or of a CONNECT, which never ends.
		return s.decide(headersReply, nil, false)
	}
	a.cleaned = true
	o := envoy.NewOutgoing(a.question.Headers, a.route.Dialect, false)
	return headersReply(&pb.CommonResponse{HeaderMutation: &pb.HeaderMutation{RemoveHeaders: append(o.Remove, a.keyed...)}})
}

// sendsBodies reports whether the filter sends us the whole body, as far as it says.
func (s *stream) sendsBodies(c *pb.ProtocolConfiguration) bool {
	s.asked.whole = c.GetRequestBodyMode() == mode.ProcessingMode_BUFFERED
	return c == nil || s.asked.whole
}

// tooLong reports whether the body is announced to be longer than any that we judge.
func (s *stream) tooLong() bool {
	n, err := strconv.ParseInt(s.asked.header("content-length"), 10, 64)
	return err == nil && n > s.p.Limits.Body
}

// requestBody takes the body, and with it the question is whole.
func (s *stream) requestBody(b *pb.HttpBody) *pb.ProcessingResponse {
	body := b.GetBody()
	switch {
	case s.asked == nil || s.stage != open:
		return bodyReply(nil)
	case int64(len(body)) > s.p.Limits.Body:
		return s.decide(bodyReply, nil, false)
	}
	return s.decide(bodyReply, body, s.asked.whole || b.GetEndOfStream())
}

// reply puts what is to be done into the message that the filter waits for.
type reply func(*pb.CommonResponse) *pb.ProcessingResponse

func headersReply(c *pb.CommonResponse) *pb.ProcessingResponse {
	return &pb.ProcessingResponse{Response: &pb.ProcessingResponse_RequestHeaders{RequestHeaders: &pb.HeadersResponse{Response: c}}}
}

func bodyReply(c *pb.CommonResponse) *pb.ProcessingResponse {
	return &pb.ProcessingResponse{Response: &pb.ProcessingResponse_RequestBody{RequestBody: &pb.BodyResponse{Response: c}}}
}

// decide asks the decision. What it gives is the answer to the caller, or how the
// call goes on; nil: nobody is there to be told.
func (s *stream) decide(in reply, body []byte, complete bool) *pb.ProcessingResponse {
	q := &s.asked.question
	q.Body, q.BodyComplete = body, &complete
	req, problem := q.Request(s.gateway)
	q.Body = nil // what is kept to the end is the head alone
	if problem != nil {
		return s.refuse(decidedMalformed, http.StatusBadRequest, string(decision.Malformed), problem.Error())
	}
	if !s.remember(len(body)) {
		s.p.Observe.TurnedAway(awayMemory)
		return s.overloaded()
	}
	defer s.forget(len(body))
	began := s.p.Now()
	answer, err := s.ask(req)
	how, reply := s.answer(in, &req, &answer, err)
	s.p.Observe.Decided(how, s.p.Now().Sub(began))
	return reply
}

func (s *stream) ask(req decision.Request) (decision.Answer, error) {
	ctx, cancel := context.WithTimeout(s.gone, s.p.Limits.Decide)
	defer cancel()
	return s.p.Decider.Decide(ctx, req)
}

// remember waits until there is memory for a body. The body is here already; but no
// more of them are judged at once than there is room for, so that calls that wait for
// money cannot fill all of it.
func (s *stream) remember(size int) bool {
	if s.p.Memory == nil || size == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(s.gone, s.p.Limits.Memory)
	defer cancel()
	return s.p.Memory.Acquire(ctx, int64(size)) == nil
}

func (s *stream) forget(size int) {
	if s.p.Memory != nil && size > 0 {
		s.p.Memory.Release(int64(size))
	}
}

// answer makes of the decision's answer what the filter is to do.
func (s *stream) answer(in reply, req *decision.Request, a *decision.Answer, err error) (how string, _ *pb.ProcessingResponse) {
	if err != nil {
		return s.undecided(req, err)
	}
	plan, told := a.Plan, envoy.Told(req, a)
	switch {
	case s.gone.Err() != nil:
		// Nobody waits for the answer any more, and nothing has been sent.
		s.takeBack(a)
		return decidedWithdrawn, nil
	case told.Response != nil:
		how = decidedRefused
		code := "served"
		if a.Served != nil {
			how = decidedServed
		} else if len(told.Reasons) > 0 {
			code = told.Reasons[0].Code
		}
		return how, s.immediate(told.Response, told.CallerHeaders, a.DecisionID, code)
	case plan == nil || len(plan.Deployments) == 0:
		return decidedUnmetered, s.pass(in, a)
	case !req.BodyComplete:
		// A free call is let out by its path alone; but we have not all of what goes out.
		s.takeBack(a)
		return decidedMalformed, s.fails(door.Failed{DecisionID: a.DecisionID, Status: http.StatusRequestEntityTooLarge,
			Code: string(decision.TooLarge), Message: "the body is longer than any that is sent on"})
	}
	return s.goOn(in, req, a, &told)
}

// undecided answers when there is no decision.
func (s *stream) undecided(req *decision.Request, err error) (how string, _ *pb.ProcessingResponse) {
	if s.gone.Err() != nil {
		s.stage = over
		return decidedWithdrawn, nil
	}
	if s.p.seldom.May("no decision") {
		s.p.Log.ErrorContext(s.ctx, "no decision could be made", "door", "envoy ext_proc", "cause", err)
	}
	p := door.FromDecide(req, err)
	switch {
	case p.Answer != nil && p.Answer.Response != nil:
		code := door.Overloaded
		if len(p.Answer.Reasons) > 0 {
			code = p.Answer.Reasons[0].Code
		}
		return decidedUndecided, s.immediate(p.Answer.Response, nil, p.Answer.DecisionID, code)
	case errors.Is(err, context.DeadlineExceeded):
		return decidedUndecided, s.overloaded()
	}
	return decidedUndecided, s.fails(door.Failed{Status: http.StatusInternalServerError, Code: "internal", Message: "something broke here; the operators' log says what"})
}

// takeBack gives back what was held for a call that does not go out.
func (s *stream) takeBack(a *decision.Answer) {
	s.stage = over
	if a.Plan == nil || a.Plan.ReportToken == "" {
		return
	}
	s.settleAs(decision.Report{Token: a.Plan.ReportToken, Gateway: s.gateway, Outcome: journal.OutcomeNotSent, SeenOutputTokens: -1, Learnt: true}, a.DecisionID, late)
}
