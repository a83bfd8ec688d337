package conformance_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	procv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
)

// byProc is an Envoy with ext_proc: it shows the service the call, and then the answer,
// and does with both what it is told. Its access log speaks afterwards, as it does of
// every call, and must change nothing.
type byProc struct {
	called  string
	profile envoy.Profile
	farEnd
	client procv3.ExternalProcessorClient
}

func (p *byProc) name() string { return p.called }

func (p *byProc) traits() traits { return traits{alone: p.profile == envoy.ProfileHeader} }

func (p *byProc) open(t *testing.T, w *world) {
	conn := w.dial(t)
	p.farEnd = farEnd{world: w, conn: conn, profile: p.profile}
	p.client = procv3.NewExternalProcessorClient(conn)
}

// talk is the stream of one call.
type talk struct {
	t      *testing.T
	stream procv3.ExternalProcessor_ProcessClient
	f      *flow
	chunk  int // of the answer, in bytes
}

func (p *byProc) take(ctx context.Context, t *testing.T, c *call) *reply {
	t.Helper()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.client.Process(metadata.AppendToOutgoingContext(inner, envoy.HeaderProfile, string(p.profile)))
	if err != nil {
		t.Fatal(err)
	}
	s := &talk{t: t, stream: stream, f: c.flow(), chunk: 7}
	if s.request() {
		p.route(t, s.f)
		s.answer()
	}
	if s.f.reply.left {
		cancel() // Envoy resets the stream; it does not end it
	}
	_ = stream.CloseSend()
	for { // until the service has done with the call, as Envoy would not wait
		if _, err := stream.Recv(); err != nil {
			break
		}
	}
	p.log(ctx, t, s.f)
	return s.f.reply
}

func (s *talk) ask(m *procv3.ProcessingRequest) *procv3.ProcessingResponse {
	s.t.Helper()
	if err := s.stream.Send(m); err != nil {
		s.t.Fatal(err)
	}
	got, err := s.stream.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	for name, value := range got.GetDynamicMetadata().GetFields() {
		s.f.data[name] = value.GetStructValue()
	}
	return got
}

// request shows the call, and reports whether it goes on.
func (s *talk) request() bool {
	s.t.Helper()
	f := s.f
	got := s.ask(&procv3.ProcessingRequest{
		Request:        &procv3.ProcessingRequest_RequestHeaders{RequestHeaders: &procv3.HttpHeaders{Headers: headerMap(f.pseudo()), EndOfStream: f.body == ""}},
		ProtocolConfig: &procv3.ProtocolConfiguration{RequestBodyMode: filterv3.ProcessingMode_BUFFERED},
	})
	if s.replaced(got.GetImmediateResponse()) {
		return false
	}
	s.change(got.GetRequestHeaders().GetResponse())
	if f.body == "" {
		return true
	}
	got = s.ask(&procv3.ProcessingRequest{Request: &procv3.ProcessingRequest_RequestBody{RequestBody: &procv3.HttpBody{Body: []byte(f.body), EndOfStream: true}}})
	if s.replaced(got.GetImmediateResponse()) {
		return false
	}
	s.change(got.GetRequestBody().GetResponse())
	if said, err := strconv.Atoi(f.header["content-length"]); err != nil || said != len(f.body) {
		s.t.Errorf("content-length is %q of a body of %d bytes", f.header["content-length"], len(f.body))
	}
	return true
}

// change does with the request what it is told.
func (s *talk) change(c *procv3.CommonResponse) {
	for name, value := range values(c.GetHeaderMutation().GetSetHeaders()) {
		s.f.set(name, value)
	}
	for _, name := range c.GetHeaderMutation().GetRemoveHeaders() {
		delete(s.f.header, name)
	}
	if c.GetBodyMutation() != nil {
		s.f.body = string(c.GetBodyMutation().GetBody())
	}
}

// replaced takes an answer of the service's own.
func (s *talk) replaced(m *procv3.ImmediateResponse) bool {
	if m == nil {
		return false
	}
	s.f.reply, s.f.details = &reply{status: int(m.GetStatus().GetCode()), header: http.Header{}, body: string(m.GetBody())}, m.GetDetails()
	s.f.reply.add(values(m.GetHeaders().GetSetHeaders()))
	return true
}

// answer shows the provider's answer.
func (s *talk) answer() {
	s.t.Helper()
	r := s.f.reply
	headers := map[string]string{":status": strconv.Itoa(r.status)}
	for name := range r.header {
		headers[strings.ToLower(name)] = r.header.Get(name)
	}
	about, err := structpb.NewStruct(map[string]any{"response.code_details": "via_upstream", "xds.cluster_name": s.f.cluster, "upstream.request_attempt_count": float64(len(s.f.tries))})
	if err != nil {
		s.t.Fatal(err)
	}
	shown := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
	if tries := s.f.data[envoy.NamespaceTries]; tries != nil {
		shown.FilterMetadata[envoy.NamespaceTries] = tries
	}
	got := s.ask(&procv3.ProcessingRequest{
		Request:         &procv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: &procv3.HttpHeaders{Headers: headerMap(headers), EndOfStream: r.body == ""}},
		Attributes:      map[string]*structpb.Struct{"envoy.filters.http.ext_proc": about},
		MetadataContext: shown,
	})
	if s.replaced(got.GetImmediateResponse()) {
		return
	}
	mutation := got.GetResponseHeaders().GetResponse().GetHeaderMutation()
	for _, name := range mutation.GetRemoveHeaders() {
		r.header.Del(name)
	}
	r.add(values(mutation.GetSetHeaders()))
	if r.body != "" && got.GetModeOverride().GetResponseBodyMode() == filterv3.ProcessingMode_STREAMED {
		s.body()
	}
}

// body shows the answer's body piece by piece.
func (s *talk) body() {
	s.t.Helper()
	r := s.f.reply
	var out strings.Builder
	for rest := r.body; rest != ""; {
		piece := rest[:min(len(rest), s.chunk)]
		rest = rest[len(piece):]
		got := s.ask(&procv3.ProcessingRequest{Request: &procv3.ProcessingRequest_ResponseBody{ResponseBody: &procv3.HttpBody{Body: []byte(piece), EndOfStream: rest == "" && !r.cut}}})
		if s.replaced(got.GetImmediateResponse()) {
			return
		}
		switch mutation := got.GetResponseBody().GetResponse().GetBodyMutation(); {
		case mutation == nil:
			out.WriteString(piece)
		case !mutation.GetClearBody():
			out.Write(mutation.GetBody())
		}
	}
	r.body = out.String()
}

func headerMap(headers map[string]string) *corev3.HeaderMap {
	m := &corev3.HeaderMap{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(headers[name])})
	}
	return m
}
