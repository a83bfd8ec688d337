package main

import (
	"context"
	"fmt"
	"io"
	"net"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	als "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authz "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	proc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// serveNoop is a process of its own, so that its CPU can be told from the callers'.
// It prints its address, and serves until it is interrupted.
func serveNoop(ctx context.Context, out io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	n := newNoop()
	authz.RegisterAuthorizationServer(server, n)
	proc.RegisterExternalProcessorServer(server, n)
	als.RegisterAccessLogServiceServer(server, n)
	fmt.Fprintln(out, listener.Addr())
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	return server.Serve(listener)
}

// noop says yes to everything: the same route for each call, written once. What it
// does for a call is what any filter must, and nothing more.
type noop struct {
	authz.UnimplementedAuthorizationServer
	proc.UnimplementedExternalProcessorServer
	als.UnimplementedAccessLogServiceServer

	yes                                *authz.CheckResponse
	head, body, answer, chunk, trailer *proc.ProcessingResponse
}

// inOrder is the deployments of world.yaml, as the decision orders them.
var inOrder = []string{"ptu", "paygo", "spare"}

func newNoop() *noop {
	call := envoy.Call{DecisionID: "01900000-0000-7000-8000-000000000000", Dialect: llm.OpenAI, Endpoint: llm.ChatCompletions, Attempts: 1, Order: inOrder,
		Token: "noop", Tries: map[string]envoy.Try{}}
	for _, name := range inOrder {
		call.Tries[name] = envoy.Try{Path: "/v1/chat/completions"}
	}
	hidden := []string{"authorization", "x-signalbox-user"}
	out := []*core.HeaderValueOption{raw("x-envoy-max-retries", "2"), raw("content-type", "application/json")}
	back := []*core.HeaderValueOption{raw("x-signalbox-decision", call.DecisionID), raw("x-signalbox-deployment", inOrder[0])}
	both := call.Metadata()
	for name, value := range call.OrderMetadata().Fields {
		both.Fields[name] = value
	}
	n := &noop{
		yes: &authz.CheckResponse{Status: &rpc.Status{}, DynamicMetadata: both, HttpResponse: &authz.CheckResponse_OkResponse{OkResponse: &authz.OkHttpResponse{
			Headers: texts(out), HeadersToRemove: hidden, ResponseHeadersToAdd: texts(back),
		}}},
		head: &proc.ProcessingResponse{Response: &proc.ProcessingResponse_RequestHeaders{RequestHeaders: &proc.HeadersResponse{
			Response: &proc.CommonResponse{HeaderMutation: &proc.HeaderMutation{RemoveHeaders: hidden}}}}},
		body: &proc.ProcessingResponse{Response: &proc.ProcessingResponse_RequestBody{RequestBody: &proc.BodyResponse{
			Response: &proc.CommonResponse{HeaderMutation: &proc.HeaderMutation{SetHeaders: out}, ClearRouteCache: true}}},
			DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{
				envoy.NamespaceCall: structpb.NewStructValue(call.Metadata()), envoy.NamespaceRoute: structpb.NewStructValue(call.OrderMetadata()),
			}}},
		answer: &proc.ProcessingResponse{Response: &proc.ProcessingResponse_ResponseHeaders{ResponseHeaders: &proc.HeadersResponse{
			Response: &proc.CommonResponse{HeaderMutation: &proc.HeaderMutation{SetHeaders: back}}}},
			ModeOverride: &mode.ProcessingMode{ResponseBodyMode: mode.ProcessingMode_STREAMED}},
		chunk:   &proc.ProcessingResponse{Response: &proc.ProcessingResponse_ResponseBody{ResponseBody: &proc.BodyResponse{}}},
		trailer: &proc.ProcessingResponse{Response: &proc.ProcessingResponse_ResponseTrailers{ResponseTrailers: &proc.TrailersResponse{}}},
	}
	return n
}

// raw is a header for ext_proc, which reads no other; texts is it for ext_authz.
func raw(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, RawValue: []byte(value)}, AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}
}

func texts(options []*core.HeaderValueOption) []*core.HeaderValueOption {
	var out []*core.HeaderValueOption
	for _, o := range options {
		out = append(out, &core.HeaderValueOption{Header: &core.HeaderValue{Key: o.Header.Key, Value: string(o.Header.RawValue)}, AppendAction: o.AppendAction})
	}
	return out
}

// Check is ext_authz.
func (n *noop) Check(context.Context, *authz.CheckRequest) (*authz.CheckResponse, error) {
	return n.yes, nil
}

// Process is ext_proc.
func (n *noop) Process(stream proc.ExternalProcessor_ProcessServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil // the call has ended, one way or another
		}
		reply := n.trailer
		switch m.Request.(type) {
		case *proc.ProcessingRequest_RequestHeaders:
			reply = n.head
		case *proc.ProcessingRequest_RequestBody:
			reply = n.body
		case *proc.ProcessingRequest_ResponseHeaders:
			reply = n.answer
		case *proc.ProcessingRequest_ResponseBody:
			reply = n.chunk
		}
		if err := stream.Send(reply); err != nil {
			return err
		}
	}
}

// StreamAccessLogs reads what it is sent.
func (n *noop) StreamAccessLogs(stream als.AccessLogService_StreamAccessLogsServer) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return nil
		}
	}
}
