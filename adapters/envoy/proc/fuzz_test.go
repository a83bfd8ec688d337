package proc_test

import (
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
)

// anyMessage is one that an Envoy, or what stands in its place, may send at any time.
// Each byte is one.
func anyMessage(b byte) *pb.ProcessingRequest {
	end := b&0x80 != 0
	switch b & 0x0f {
	case 0:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_RequestHeaders{RequestHeaders: &pb.HttpHeaders{EndOfStream: end,
			Headers: fields(":method", "POST", ":path", chat, "authorization", "Bearer "+callerKey)}},
			ProtocolConfig: &pb.ProtocolConfiguration{RequestBodyMode: mode.ProcessingMode_BUFFERED}}
	case 1:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_RequestHeaders{}}
	case 2:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_RequestBody{RequestBody: &pb.HttpBody{Body: []byte(ask), EndOfStream: end}}}
	case 3:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_RequestTrailers{}}
	case 4:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseHeaders{ResponseHeaders: &pb.HttpHeaders{EndOfStream: end, Headers: fields(":status", "200", "content-type", "text/event-stream")}},
			Attributes: provided(1, "via_upstream")}
	case 5:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseHeaders{ResponseHeaders: &pb.HttpHeaders{EndOfStream: end, Headers: fields(":status", "200", "content-type", "application/json")}},
			Attributes: provided(2, "via_upstream")}
	case 6:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseHeaders{ResponseHeaders: &pb.HttpHeaders{Headers: fields(":status", "503", "content-type", "text/plain")}},
			Attributes: provided(3, "upstream_per_try_timeout")}
	case 7:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseHeaders{ResponseHeaders: &pb.HttpHeaders{Headers: fields(":status", "soon")}},
			Attributes:      map[string]*structpb.Struct{"x": {Fields: map[string]*structpb.Value{"upstream.request_attempt_count": structpb.NewNumberValue(1e300), "response.code_details": structpb.NewBoolValue(true)}}},
			MetadataContext: &core.Metadata{FilterMetadata: map[string]*structpb.Struct{envoy.NamespaceTries: {Fields: map[string]*structpb.Value{"d1": structpb.NewStringValue("429")}}}}}
	case 8:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseHeaders{ResponseHeaders: &pb.HttpHeaders{Headers: fields(":status", "429")}}, Attributes: provided(1, "via_upstream")}
	case 9:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseBody{ResponseBody: &pb.HttpBody{Body: []byte(oneWord), EndOfStream: end}}}
	case 10:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseBody{ResponseBody: &pb.HttpBody{Body: []byte(stopChunk + usageChunk + doneMark), EndOfStream: end}}}
	case 11:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseBody{ResponseBody: &pb.HttpBody{Body: []byte(answerJSON), EndOfStream: end}}}
	case 12:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseTrailers{}}
	case 13:
		return &pb.ProcessingRequest{ObservabilityMode: end}
	case 14:
		return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseBody{}}
	}
	return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseBody{ResponseBody: &pb.HttpBody{Body: []byte(word("STOP"))}}}
}

// Whatever messages come, in whatever order: nothing panics, no call stays behind, and
// each call that was let out is settled, once but for figures that come behind the
// end.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{"\x00\x82\x04\x09\x0a\x89", "\x80\x04\x8a", "\x00\x02\x05\x8b", "\x00\x02\x06", "\x04\x0b", "\x00\x02\x08\x09", "\x00\x82\x04\x0a\x0a\x8c", "\x00\x02\x02\x00\x04\x04\x89", "\x00\x02\x04\x0f\x09", "\x00\x02\x07", "\x0d\x03\x0e\x01", "\x00\x06", "\x00\x82\x84", "\x00\x82\x04\x0c"} {
		f.Add([]byte(seed), false, true)
		f.Add([]byte(seed), true, false)
	}
	f.Fuzz(func(t *testing.T, sent []byte, guard, hide bool) {
		h := build(t, altering(func(a *decision.Answer) {
			if hide {
				a.Changes = []decision.Change{decision.UsageRequested}
			}
		}), func(h *house) {
			if guard {
				guarded(h)
			}
		})
		with := h.filter()
		for _, b := range sent[:min(len(sent), 40)] {
			with.send(anyMessage(b))
		}
		if err := with.with.CloseSend(); err != nil {
			t.Fatal(err)
		}
		for {
			_, err := with.with.Recv()
			if err == nil {
				continue
			}
			if code := status.Code(err); code == codes.Internal {
				t.Fatalf("%v\n%s", err, h.log)
			}
			break
		}
		out := len(h.decider.asked)
		if out > 1 {
			t.Fatalf("%d calls were decided", out)
		}
		// Process has returned: what it settles it has settled.
		switch n := len(h.settler.told); {
		case n < out, n > 2*out:
			t.Fatalf("%d calls went out, %d reports came\n%s", out, n, h.watch)
		}
		if strings.Contains(h.log.String(), "panicked") {
			t.Fatal(h.log)
		}
	})
}

// However a stream is cut into pieces, the caller has all of it and nothing else, and
// the provider's figures are charged.
func FuzzPieces(f *testing.F) {
	f.Add([]byte{1, 2, 3}, false, uint8(0))
	f.Add([]byte{0, 255, 7}, true, uint8(1))
	f.Add([]byte{120, 1, 1, 1, 1}, true, uint8(2))
	f.Fuzz(func(t *testing.T, cuts []byte, guard bool, ends uint8) {
		newline := []string{"\n", "\r\n", "\r"}[ends%3]
		whole := strings.ReplaceAll(": hello\n\n"+oneWord+"data: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"two\"}}]}\n\n"+stopChunk+usageChunk+doneMark, "\n", newline)
		h := build(t, func(h *house) {
			if guard {
				guarded(h)
			}
		})
		with := h.filter()
		with.ask("POST", chat, ask)
		var pieces []string
		rest := whole
		for _, n := range cuts {
			n := min(int(n), len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		with.pass("text/event-stream", append(pieces, rest)...)
		if got := with.got.String(); got != whole && !guard || !with.whole || !strings.Contains(got, "two") {
			t.Fatalf("the caller has %q", got)
		}
		if r := h.report(); r.Usage == nil || r.Usage.Output != 3 {
			t.Fatalf("reported %+v", r)
		}
	})
}
