package authz

import (
	"maps"
	"slices"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// verdict is what becomes of a call, in the words of neither variant.
type verdict struct {
	how    string
	denied *door.Response // nil: the call goes on
	out    envoy.Outgoing
	caller map[string]string // headers for whatever the caller is given
	call   *envoy.Call       // of a call that goes on
	data   *structpb.Struct  // for the filter's metadata
}

// verdictOf reads an answer.
func (a *Authorizer) verdictOf(q *asked, answer *decision.Answer) (verdict, error) {
	told := envoy.Told(&q.request, answer)
	v := verdict{how: Allowed, denied: told.Response, caller: told.CallerHeaders}
	switch {
	case answer.Refusal != nil:
		v.how = Refused
	case answer.Served != nil:
		v.how = Served
	}
	if v.denied != nil {
		why := v.how
		if answer.Refusal != nil && len(answer.Refusal.Reasons) > 0 {
			why = string(answer.Refusal.Reasons[0].Code)
		}
		return v.about(answer.DecisionID, why), nil
	}
	order := envoy.Order(answer.Plan, q.profile, a.Usable)
	if q.profile == envoy.ProfileOrder && len(order) == 0 {
		// A path that a rule lets through unjudged: routes of xds know providers by their
		// models alone. A gateway with routes of its own knows where it goes.
		return failed(door.Failed{Dialect: dialectOf(&q.request), DecisionID: answer.DecisionID, Status: 404, Code: string(decision.PathUnknown),
			Message: "this path is let through unjudged, and this Envoy does not know which provider it is for"}), nil
	}
	if why := envoy.KeyInPath(q.request.Path); why != "" && len(order) == 0 {
		return failed(door.Failed{Dialect: dialectOf(&q.request), DecisionID: answer.DecisionID, Status: 400, Code: string(decision.Malformed), Message: why}), nil
	}
	return v, a.goesOn(&v, q, answer, &told, order)
}

// goesOn fills in where the call goes, and with which headers.
func (a *Authorizer) goesOn(v *verdict, q *asked, answer *decision.Answer, told *door.Answer, order []string) error {
	v.out = envoy.NewOutgoing(q.request.Headers, answer.Dialect, len(q.request.Body) > 0)
	call, err := envoy.NewCall(&q.request, answer, told, order, false)
	if err != nil {
		return err
	}
	v.call = &call
	if q.profile == envoy.ProfileOrder {
		v.out.Retry(&call, a.Limits.FirstByte)
		v.data = call.Metadata()
		maps.Copy(v.data.Fields, call.OrderMetadata().Fields)
		return nil
	}
	if len(order) > 0 {
		v.out.Name(order[0], call.Tries[order[0]].Path, q.request.Path)
		v.caller = maps.Clone(v.caller)
		v.caller[envoy.HeaderDeployment] = order[0]
	}
	call.Tries = nil // for clusters that xds makes
	v.data = call.Metadata()
	return nil
}

// failed is a verdict where there is no decision to speak of.
func failed(f door.Failed) verdict {
	r := door.Failure(f)
	v := verdict{how: Failed, denied: &r}
	return v.about(f.DecisionID, f.Code)
}

// about is a verdict that the access log can tell from a filter that was not answered.
func (v verdict) about(decisionID, why string) verdict {
	v.data = envoy.Refused(decisionID, why)
	return v
}

func dialectOf(req *decision.Request) llm.Dialect {
	route, _ := llm.Recognise(req.Method, req.Path)
	return route.Dialect
}

// response spells a verdict for the gRPC variant. One that nobody waits for is a
// refusal: were it read all the same, it must not let a call through.
func (v *verdict) response() *authv3.CheckResponse {
	if v.denied == nil && v.call != nil {
		return &authv3.CheckResponse{Status: &rpc.Status{Code: int32(codes.OK)}, DynamicMetadata: v.data,
			HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
				Headers: options(v.out.Set), HeadersToRemove: v.out.Remove, ResponseHeadersToAdd: options(v.caller),
			}}}
	}
	r := v.reply()
	return &authv3.CheckResponse{Status: &rpc.Status{Code: int32(codes.PermissionDenied)}, DynamicMetadata: v.data,
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(r.Status)}, Headers: options(r.Headers), Body: string(r.Bytes()),
		}}}
}

// reply is what the caller is given instead of a provider's answer, with all headers.
func (v *verdict) reply() door.Response {
	r := door.Failure(door.Failed{Status: 503, Code: door.Overloaded, RetryAfter: soon, Message: "nobody waited for the decision"})
	if v.denied != nil {
		r = *v.denied
	}
	if !utf8.Valid(r.Bytes()) {
		// A protobuf string cannot carry it, and half of it would be another answer.
		r = door.Failure(door.Failed{Status: 500, Code: "internal", Message: "the answer is no text, and this gateway can be given nothing else"})
	}
	headers := maps.Clone(r.Headers)
	if headers == nil {
		headers = map[string]string{}
	}
	maps.Copy(headers, v.caller)
	r.Headers = headers
	return r
}

// options are headers that take the place of whatever stands there, in one order.
// Older Envoys go by append, which is false here, newer ones by the action.
func options(headers map[string]string) []*corev3.HeaderValueOption {
	out := make([]*corev3.HeaderValueOption, 0, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		out = append(out, &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: name, Value: headers[name]},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		})
	}
	return out
}
