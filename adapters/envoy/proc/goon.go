package proc

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/decision/llm/follow"
	"github.com/signalbox-dev/signalbox/registry"
)

// call is one that has been allowed, without its body: what is needed to its end.
type call struct {
	DecisionID string
	Token      string // "": it is free
	Dialect    llm.Dialect
	Endpoint   llm.Endpoint

	order    []string
	places   map[string]place
	attempts int // tries that the hold pays for which may each be billed
	free     bool
	hide     bool // the usage in a stream is not for the caller
	caller   map[string]string
	guards   func(follow.Part) follow.Guard
	sent     time.Time // when it went out
	out      bool      // whoever lets it out was told so

	tries   []tried
	retried bool     // by routes of somebody's own, who do not say after what
	answer  *passage // once its body passes by
}

// place is what is needed of a deployment to the call's end. A pointer to it would
// keep the whole registry of the moment in memory for as long as a model thinks.
type place struct {
	provider string
	onAbort  string
}

// pass lets a call through that a rule says is not judged. The caller's key stays
// here all the same.
func (s *stream) pass(in reply, a *decision.Answer) *pb.ProcessingResponse {
	if why := envoy.KeyInPath(s.asked.question.Path); why != "" {
		return s.fails(door.Failed{DecisionID: a.DecisionID, Status: http.StatusBadRequest, Code: string(decision.Malformed), Message: why})
	}
	s.stage = passing
	o := envoy.NewOutgoing(s.asked.question.Headers, s.asked.route.Dialect, false)
	m := in(&pb.CommonResponse{HeaderMutation: &pb.HeaderMutation{RemoveHeaders: append(o.Remove, s.asked.keyed...)}})
	m.DynamicMetadata = toLog((&envoy.Call{DecisionID: a.DecisionID}).Metadata())
	return m
}

// goOn lets a call out: with the body that was planned, and the first deployment's
// model in it; with the headers that providers may see; and with what the routes, the
// later tries and the access log are to know.
func (s *stream) goOn(in reply, req *decision.Request, a *decision.Answer, told *door.Answer) (how string, _ *pb.ProcessingResponse) {
	order := envoy.Order(a.Plan, s.profile, s.p.Usable)
	body, err := envoy.OutgoingBody(req, a.Plan, order[0])
	var c envoy.Call
	if err == nil {
		c, err = envoy.NewCall(req, a, told, order, true)
	}
	if err != nil {
		s.takeBack(a)
		s.p.Log.ErrorContext(s.ctx, "an allowed call could not be written", "decision", a.DecisionID, "err", err)
		return decidedUndecided, s.fails(door.Failed{DecisionID: a.DecisionID, Status: http.StatusInternalServerError,
			Code: "internal", Message: "something broke here; the operators' log says what"})
	}
	common := &pb.CommonResponse{HeaderMutation: s.headersOut(req, &c, body), ClearRouteCache: true}
	s.begin(a, told, &c)
	if body != nil {
		common.BodyMutation = &pb.BodyMutation{Mutation: &pb.BodyMutation_Body{Body: body}}
	}
	m := in(common)
	fields := map[string]*structpb.Value{envoy.NamespaceCall: structpb.NewStructValue(c.Metadata())}
	if s.profile == envoy.ProfileOrder {
		fields[envoy.NamespaceRoute] = structpb.NewStructValue(c.OrderMetadata())
	}
	m.DynamicMetadata = &structpb.Struct{Fields: fields}
	return decidedGo, m
}

// begin notes what is needed of the call from now on.
func (s *stream) begin(a *decision.Answer, told *door.Answer, c *envoy.Call) {
	s.stage = out
	s.call = &call{
		DecisionID: c.DecisionID, Token: c.Token, Dialect: c.Dialect, Endpoint: c.Endpoint,
		order: c.Order, attempts: c.Attempts, free: a.Plan.Free, places: make(map[string]place, len(c.Order)),
		hide: slices.Contains(a.Changes, decision.UsageRequested), caller: told.CallerHeaders, sent: s.p.Now(),
	}
	for _, d := range a.Plan.Deployments {
		if slices.Contains(c.Order, d.Name) {
			s.call.places[d.Name] = placeOf(d)
		}
	}
	if s.p.Guards != nil && !a.Plan.Free {
		s.call.guards = s.p.Guards(a)
	}
	s.asked.question = door.Question{} // an answer takes minutes, and has no use for it
}

func placeOf(d *registry.Deployment) place {
	out := place{provider: d.Provider, onAbort: registry.AbortSeen}
	if d.ProviderRef != nil && d.ProviderRef.OnAbort != "" {
		out.onAbort = d.ProviderRef.OnAbort
	}
	return out
}

// headersOut is what changes in the caller's headers.
func (s *stream) headersOut(req *decision.Request, c *envoy.Call, body []byte) *pb.HeaderMutation {
	o := envoy.NewOutgoing(req.Headers, c.Dialect, len(req.Body) > 0)
	first := c.Order[0]
	if s.profile == envoy.ProfileHeader {
		o.Name(first, c.Tries[first].Path, req.Path)
	} else {
		o.Retry(c, s.p.Limits.Try)
	}
	if body != nil {
		// In the same message, or Envoy refuses the body.
		o.Set["content-length"] = strconv.Itoa(len(body))
	}
	m := &pb.HeaderMutation{SetHeaders: make([]*core.HeaderValueOption, 0, len(o.Set))}
	if !s.asked.cleaned {
		m.RemoveHeaders = append(o.Remove, s.asked.keyed...)
	}
	for name, value := range o.Set {
		m.SetHeaders = append(m.SetHeaders, set(name, value))
	}
	return m
}
