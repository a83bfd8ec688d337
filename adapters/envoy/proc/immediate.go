package proc

import (
	"maps"
	"net/http"
	"slices"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	kind "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// immediate is an answer of ours in place of the provider's, whole. code is a word
// for Envoy's own log and id what to look for; neither holds anything of the call.
func (s *stream) immediate(r *door.Response, caller map[string]string, id, code string) *pb.ProcessingResponse {
	s.stage = over
	headers := &pb.HeaderMutation{SetHeaders: make([]*core.HeaderValueOption, 0, len(r.Headers)+len(caller))}
	for _, from := range [...]map[string]string{r.Headers, caller} {
		for _, name := range slices.Sorted(maps.Keys(from)) {
			headers.SetHeaders = append(headers.SetHeaders, set(name, from[name]))
		}
	}
	m := &pb.ImmediateResponse{Status: &kind.HttpStatus{Code: kind.StatusCode(r.Status)}, Headers: headers, Body: r.Bytes(), Details: "signalbox_" + code}
	if s.asked != nil && s.asked.grpc {
		m.GrpcStatus = &pb.GrpcStatus{Status: uint32(grpcStatus(r.Status))}
	}
	out := &pb.ProcessingResponse{Response: &pb.ProcessingResponse_ImmediateResponse{ImmediateResponse: m}}
	if s.call == nil {
		// An allowed call's stand there already.
		out.DynamicMetadata = toLog(envoy.Refused(id, code))
	}
	return out
}

// toLog is metadata for whoever reads of the call in the access log.
func toLog(of *structpb.Struct) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{envoy.NamespaceCall: structpb.NewStructValue(of)}}
}

// set is one header, in place of any other of its name. The value goes raw: what is
// put into the other field arrives empty, without an error.
func set(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, RawValue: []byte(value)}, AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}
}

// grpcStatus is what a caller who speaks gRPC reads in place of a status. Money and
// rates are both a resource that has run out.
func grpcStatus(status int) codes.Code {
	switch status {
	case http.StatusOK:
		return codes.OK
	case http.StatusBadRequest:
		return codes.InvalidArgument
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.Unimplemented
	case http.StatusPaymentRequired, http.StatusTooManyRequests, http.StatusRequestEntityTooLarge:
		return codes.ResourceExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return codes.Unavailable
	case http.StatusGatewayTimeout:
		return codes.DeadlineExceeded
	}
	return codes.Internal
}

// fails answers with a failure of ours, in the caller's dialect.
func (s *stream) fails(f door.Failed) *pb.ProcessingResponse {
	if f.Dialect == "" {
		f.Dialect = s.dialect()
	}
	r := door.Failure(f)
	return s.immediate(&r, nil, f.DecisionID, f.Code)
}

func (s *stream) dialect() llm.Dialect {
	if s.call != nil {
		return s.call.Dialect
	}
	if s.asked != nil {
		return s.asked.route.Dialect
	}
	return ""
}

// refuse answers what the decision is not asked about.
func (s *stream) refuse(how string, status int, code, message string) *pb.ProcessingResponse {
	s.p.Observe.Decided(how, 0)
	return s.fails(door.Failed{Status: status, Code: code, Message: message})
}

func (s *stream) overloaded() *pb.ProcessingResponse {
	return s.fails(door.Failed{Status: http.StatusServiceUnavailable, Code: door.Overloaded, RetryAfter: soon,
		Message: "too much is asked at once, or this process is about to end; try again"})
}

// plainly sends a caller who asks for a WebSocket back to plain HTTP, where each call
// is decided by itself; at 426 clients turn round at once.
func (s *stream) plainly() *pb.ProcessingResponse {
	s.p.Observe.Decided(decidedMalformed, 0)
	r := door.Failure(door.Failed{Dialect: s.dialect(), Status: http.StatusUpgradeRequired, Code: string(decision.PathUnknown),
		Message: "no WebSocket is spoken here; send the call by POST"})
	return s.immediate(&r, nil, "", string(decision.PathUnknown))
}

// impossible answers where the filter does not send the body: what was not read
// cannot be judged, and what is not judged does not go out.
func (s *stream) impossible() *pb.ProcessingResponse {
	s.misconfigured(wrongBodyMode, "an Envoy's ext_proc filter does not send the whole body of calls: set processing_mode.request_body_mode to BUFFERED")
	return s.refuse(decidedImpossible, http.StatusInternalServerError, "internal", "the gateway is not set up to have calls judged; the operators' log says what to set")
}

// misconfigured tells the operators, who alone can mend it.
func (s *stream) misconfigured(what, sentence string) {
	s.p.Observe.Misconfigured(what)
	if s.p.seldom.May(what + s.gateway) {
		s.p.Log.ErrorContext(s.ctx, sentence, "gateway", s.gateway, "profile", s.profile)
	}
}
