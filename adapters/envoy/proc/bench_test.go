package proc_test

import (
	"io"
	"testing"

	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/signalbox-dev/signalbox/adapters/envoy/proc"
)

// noop answers each message so that nothing happens: the floor under a call.
type noop struct {
	pb.UnimplementedExternalProcessorServer
}

func (noop) Process(with pb.ExternalProcessor_ProcessServer) error {
	for {
		m, err := with.Recv()
		if err != nil {
			return nil
		}
		out := &pb.ProcessingResponse{}
		switch m.GetRequest().(type) {
		case *pb.ProcessingRequest_RequestHeaders:
			out.Response = &pb.ProcessingResponse_RequestHeaders{RequestHeaders: &pb.HeadersResponse{}}
		case *pb.ProcessingRequest_RequestBody:
			out.Response = &pb.ProcessingResponse_RequestBody{RequestBody: &pb.BodyResponse{}}
		case *pb.ProcessingRequest_ResponseHeaders:
			out.Response = &pb.ProcessingResponse_ResponseHeaders{ResponseHeaders: &pb.HeadersResponse{}}
		case *pb.ProcessingRequest_ResponseBody:
			out.Response = &pb.ProcessingResponse_ResponseBody{ResponseBody: &pb.BodyResponse{}}
		}
		if err := with.Send(out); err != nil {
			return err
		}
	}
}

// One call of four messages: ours, with a decision that costs nothing, and one whose
// answers say nothing.
func BenchmarkCall(b *testing.B) {
	of := []*pb.ProcessingRequest{
		(&filter{headers: map[string]string{}}).head("POST", chat, false, "authorization", "Bearer "+callerKey, "content-type", "application/json", "user-agent", "OpenAI/Python", "x-stainless-lang", "python", "x-request-id", "9f2e"),
		anyMessage(0x82), anyMessage(5), anyMessage(0x8b),
	}
	for _, name := range []string{"noop", "ours"} {
		b.Run(name, func(b *testing.B) {
			h := build(b, func(h *house) {
				if name == "noop" {
					h.over = noop{}
				}
				h.decider.forget, h.settler.forget, h.parts.Observe, h.health.forget = true, true, proc.NewMetrics(noRegistry{}), true
			})
			b.ReportAllocs()
			for b.Loop() {
				with, err := h.client.Process(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				for _, m := range of {
					if err := with.Send(m); err != nil {
						b.Fatal(err)
					}
					if _, err := with.Recv(); err != nil {
						b.Fatal(err)
					}
				}
				if err := with.CloseSend(); err != nil {
					b.Fatal(err)
				}
				if _, err := with.Recv(); err != io.EOF {
					b.Fatal(err)
				}
			}
		})
	}
}
