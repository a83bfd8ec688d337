package proc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/proc"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	callerKey = "sbx_callers-own-key"
	chat      = "/v1/chat/completions"
	messages  = "/v1/messages"
	ask       = `{"model":"gpt","messages":[{"role":"user","content":"hi"}],"stream":true}`
)

// house is a processor with everything around it, and what they were told.
type house struct {
	t       testing.TB
	parts   proc.Parts
	profile envoy.Profile
	log     *lockedBuffer
	decider *decider
	settler *settler
	health  *signs
	watch   *watcher
	places  []*registry.Deployment

	proc   *proc.Processor
	over   pb.ExternalProcessorServer // nil: the processor
	client pb.ExternalProcessorClient
}

// build makes a house whose calls go to deployments d1, d2 and d3, in this order.
// change may change anything before it opens.
func build(t testing.TB, change ...func(*house)) *house {
	t.Helper()
	h := &house{t: t, profile: envoy.ProfileOrder, log: &lockedBuffer{}, decider: &decider{}, settler: &settler{told: make(chan decision.Report, 1000)},
		health: &signs{}, watch: &watcher{}}
	for i := 1; i <= 3; i++ {
		p := &registry.Provider{Name: fmt.Sprint("p", i), Kind: registry.ProviderOpenAI, BaseURL: fmt.Sprintf("https://p%d.test/v%d", i, i), OnAbort: registry.AbortSeen}
		h.places = append(h.places, &registry.Deployment{Name: fmt.Sprint("d", i), Provider: p.Name, UpstreamModel: fmt.Sprint("up-", i), ProviderRef: p})
	}
	h.decider.answer = h.allow()
	limits := proc.DefaultLimits()
	limits.Body = 64 << 10
	h.parts = proc.Parts{Decider: h.decider, Settler: h.settler, Health: h.health, Observe: h.watch, Limits: limits, Now: time.Now,
		Log:   slog.New(slog.NewTextHandler(h.log, nil)),
		Admit: func(context.Context) (string, *door.Problem) { return "edge", nil }}
	for _, c := range change {
		c(h)
	}
	h.proc = proc.New(h.parts)
	h.open(t)
	t.Cleanup(func() {
		if strings.Contains(h.log.String(), callerKey) {
			t.Errorf("the log holds a key:\n%s", h.log)
		}
	})
	return h
}

// open serves the processor to a client in the same process.
func (h *house) open(t testing.TB) {
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(4 << 20))
	if h.over != nil {
		pb.RegisterExternalProcessorServer(server, h.over)
	} else {
		h.proc.Register(server)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///envoy", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(4<<20)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	h.client = pb.NewExternalProcessorClient(conn)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := h.proc.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// allow lets every call out.
func (h *house) allow() func(decision.Request) (decision.Answer, error) {
	return func(req decision.Request) (decision.Answer, error) {
		route, _ := llm.Recognise(req.Method, req.Path)
		plan := &decision.Plan{Deployments: h.places, ModelAsked: "gpt", ReportToken: "token",
			Hold: decision.Hold{Attempts: 1, ExpiresAt: time.Now().Add(time.Minute)}, Budget: &decision.BudgetLeft{Name: "month", Left: "12.5"}}
		if at := bytes.Index(req.Body, []byte(`"model":"`)); at >= 0 {
			from := at + len(`"model":"`)
			plan.ModelSpan = [2]int{from, from + max(0, bytes.IndexByte(req.Body[from:], '"'))}
		}
		return decision.Answer{DecisionID: "d-1", Dialect: route.Dialect, Plan: plan}, nil
	}
}

// altering lets every call out, after this was done to its answer.
func altering(change func(*decision.Answer)) func(*house) {
	return func(h *house) {
		allow := h.decider.answer
		h.decider.answer = func(req decision.Request) (decision.Answer, error) {
			a, err := allow(req)
			change(&a)
			return a, err
		}
	}
}

// answering gives every call this answer.
func answering(a decision.Answer, err error) func(*house) {
	return func(h *house) { h.decider.answer = func(decision.Request) (decision.Answer, error) { return a, err } }
}

func refusing(code decision.Code) decision.Answer {
	return decision.Answer{DecisionID: "d-2", Dialect: llm.OpenAI, Refusal: &decision.Refusal{Reasons: []decision.Reason{{Code: code, Message: "no"}}}}
}

// report waits for what was settled.
func (h *house) report() decision.Report {
	h.t.Helper()
	select {
	case r := <-h.settler.told:
		if r.Gateway != "edge" || r.Token != "token" || !r.Learnt {
			h.t.Errorf("reported as %+v", r)
		}
		return r
	case <-time.After(20 * time.Second):
		h.t.Fatal("nothing was settled")
		return decision.Report{}
	}
}

// settledOnce fails where more was settled than the test has taken.
func (h *house) settledOnce() {
	h.t.Helper()
	select {
	case r := <-h.settler.told:
		h.t.Errorf("settled once more: %+v", r)
	default:
	}
}

// filter is an Envoy's filter in the middle of one call. It keeps Envoy's side of the
// protocol to the letter, and fails the test where the processor does not.
type filter struct {
	t    testing.TB
	with pb.ExternalProcessor_ProcessClient
	stop context.CancelFunc

	headers map[string]string // of the request, as they go on
	body    string
	meta    map[string]*structpb.Struct // dynamic metadata, by namespace
	noted   *structpb.Struct            // by the tries
	cleared bool

	mode    mode.ProcessingMode_BodySendMode // of the answer's body
	length  int                              // content-length that the caller was told; -1: none
	reached map[string]string                // headers that reached the caller
	got     bytes.Buffer                     // bytes that did
	instead *pb.ImmediateResponse
	whole   bool // the caller's answer has ended as one that is whole
}

func (h *house) filter() *filter {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	with, err := h.client.Process(metadata.AppendToOutgoingContext(ctx, envoy.HeaderProfile, string(h.profile)))
	if err != nil {
		h.t.Fatal(err)
	}
	return &filter{t: h.t, with: with, stop: cancel, headers: map[string]string{}, meta: map[string]*structpb.Struct{}, length: -1}
}

func fields(pairs ...string) *core.HeaderMap {
	m := &core.HeaderMap{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m.Headers = append(m.Headers, &core.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return m
}

// send sends a message; nothing is the reply's.
func (f *filter) send(m *pb.ProcessingRequest) {
	f.t.Helper()
	if err := f.with.Send(m); err != nil && err != io.EOF { // io.EOF: the next Recv says why
		f.t.Fatal(err)
	}
}

// reply takes the processor's word. Metadata is merged, as Envoy does.
func (f *filter) reply() (*pb.ProcessingResponse, error) {
	m, err := f.with.Recv()
	if err != nil {
		return nil, err
	}
	for namespace, v := range m.GetDynamicMetadata().GetFields() {
		if f.meta[namespace] == nil {
			f.meta[namespace] = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		}
		for name, field := range v.GetStructValue().GetFields() {
			f.meta[namespace].Fields[name] = field
		}
	}
	f.instead = m.GetImmediateResponse()
	return m, nil
}

// ask sends a call: its head, and the body that is buffered. true: it goes on.
func (f *filter) ask(method, path, body string, more ...string) bool {
	f.t.Helper()
	var head []string
	for _, pair := range [][2]string{{"authorization", "Bearer " + callerKey}, {"content-type", "application/json"}, {"content-length", strconv.Itoa(len(body))}} {
		if !slices.Contains(more, pair[0]) {
			head = append(head, pair[0], pair[1])
		}
	}
	m := f.head(method, path, body == "", append(head, more...)...)
	f.send(m)
	r, err := f.reply()
	if err != nil {
		f.t.Fatal(err)
	}
	if f.instead != nil {
		return false
	}
	f.mutate(r.GetRequestHeaders().GetResponse(), body == "")
	if body == "" {
		return true
	}
	f.body = body
	f.headers["content-length"] = strconv.Itoa(len(body))
	f.send(&pb.ProcessingRequest{Request: &pb.ProcessingRequest_RequestBody{RequestBody: &pb.HttpBody{Body: []byte(body), EndOfStream: true}}})
	if r, err = f.reply(); err != nil {
		f.t.Fatal(err)
	}
	if f.instead != nil {
		return false
	}
	if r.GetRequestBody() == nil {
		f.t.Fatalf("the body was answered with %v", r)
	}
	f.mutate(r.GetRequestBody().GetResponse(), true)
	return true
}

func (f *filter) head(method, path string, end bool, more ...string) *pb.ProcessingRequest {
	all := append([]string{":method", method, ":path", path, ":authority", "gateway.test", ":scheme", "https"}, more...)
	for i := 0; i < len(all); i += 2 {
		f.headers[all[i]] = all[i+1]
	}
	return &pb.ProcessingRequest{Request: &pb.ProcessingRequest_RequestHeaders{RequestHeaders: &pb.HttpHeaders{Headers: fields(all...), EndOfStream: end}},
		ProtocolConfig: &pb.ProtocolConfiguration{RequestBodyMode: mode.ProcessingMode_BUFFERED}}
}

// mutate changes the request as Envoy does, which removes first and then sets.
func (f *filter) mutate(c *pb.CommonResponse, last bool) {
	f.t.Helper()
	for _, name := range c.GetHeaderMutation().GetRemoveHeaders() {
		if name == "x-forwarded-proto" || name == "host" || strings.HasPrefix(name, ":") {
			f.t.Errorf("a filter cannot remove %s", name)
		}
		delete(f.headers, name)
	}
	for _, o := range c.GetHeaderMutation().GetSetHeaders() {
		name := o.GetHeader().GetKey()
		if name == ":authority" || name == "host" || name == ":method" || name == ":scheme" || o.GetHeader().GetValue() != "" || o.GetAppendAction() != core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			f.t.Errorf("a filter cannot set %v", o)
		}
		f.headers[name] = string(o.GetHeader().GetRawValue())
	}
	if b := c.GetBodyMutation(); b != nil {
		f.body = string(b.GetBody())
	}
	f.cleared = f.cleared || c.GetClearRouteCache()
	if last && f.body != "" && f.headers["content-length"] != strconv.Itoa(len(f.body)) {
		f.t.Errorf("the body has %d bytes, and its length is said to be %s", len(f.body), f.headers["content-length"])
	}
}

// attributes of an answer that a provider gave at its first try.
func provided(attempts int, details string) map[string]*structpb.Struct {
	of := map[string]*structpb.Value{}
	if details != "" {
		of["response.code_details"] = structpb.NewStringValue(details)
	}
	if attempts >= 0 {
		of["upstream.request_attempt_count"] = structpb.NewNumberValue(float64(attempts))
	}
	return map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {Fields: of}}
}

// note is what the filter at a try leaves of its answer.
func (f *filter) note(deployment string, pairs ...string) {
	if f.noted == nil {
		f.noted = &structpb.Struct{Fields: map[string]*structpb.Value{}}
	}
	s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for i := 0; i < len(pairs); i += 2 {
		s.Fields[pairs[i]] = structpb.NewStringValue(pairs[i+1])
	}
	f.noted.Fields[deployment] = structpb.NewStructValue(s)
}

// answer sends an answer's head. true: it goes on to the caller.
func (f *filter) answer(attempts int, details string, status int, end bool, more ...string) bool {
	f.t.Helper()
	pairs := append([]string{":status", strconv.Itoa(status)}, more...)
	m := &pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseHeaders{ResponseHeaders: &pb.HttpHeaders{Headers: fields(pairs...), EndOfStream: end}},
		Attributes: provided(attempts, details)}
	if f.noted != nil {
		m.MetadataContext = &core.Metadata{FilterMetadata: map[string]*structpb.Struct{envoy.NamespaceTries: f.noted}}
	}
	f.send(m)
	r, err := f.reply()
	if err != nil {
		f.t.Fatal(err)
	}
	if f.instead != nil {
		return false
	}
	f.reached = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		f.reached[pairs[i]] = pairs[i+1]
	}
	for _, name := range r.GetResponseHeaders().GetResponse().GetHeaderMutation().GetRemoveHeaders() {
		delete(f.reached, name)
	}
	for _, o := range r.GetResponseHeaders().GetResponse().GetHeaderMutation().GetSetHeaders() {
		f.reached[o.GetHeader().GetKey()] = string(o.GetHeader().GetRawValue())
	}
	if n, ok := f.reached["content-length"]; ok {
		f.length, _ = strconv.Atoi(n)
	}
	f.mode = r.GetModeOverride().GetResponseBodyMode()
	if f.mode == mode.ProcessingMode_FULL_DUPLEX_STREAMED && r.GetModeOverride().GetResponseTrailerMode() != mode.ProcessingMode_SEND {
		f.t.Error("Envoy refuses this mode without trailers")
	}
	return true
}

// chunk sends a piece of the answer, and passes on to the caller what comes of it.
// false: the answer has ended, by this piece or before it.
func (f *filter) chunk(piece string, last bool) bool {
	f.t.Helper()
	if f.mode == mode.ProcessingMode_NONE {
		f.got.WriteString(piece)
		f.whole = f.whole || last
		return !last
	}
	f.send(&pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseBody{ResponseBody: &pb.HttpBody{Body: []byte(piece), EndOfStream: last}}})
	if f.mode == mode.ProcessingMode_FULL_DUPLEX_STREAMED {
		return !last || f.drain()
	}
	r, err := f.reply()
	if err != nil {
		f.t.Fatalf("a piece of the answer was not answered: %v", err)
	}
	if f.instead != nil {
		return false // the caller's connection is cut
	}
	switch b := r.GetResponseBody().GetResponse().GetBodyMutation(); b.GetMutation().(type) {
	case nil:
		f.got.WriteString(piece)
	case *pb.BodyMutation_Body:
		f.got.Write(b.GetBody())
	case *pb.BodyMutation_ClearBody:
	default:
		f.t.Fatalf("a piece was answered with %v", r)
	}
	f.whole = f.whole || last
	return !last
}

// drain reads what comes of a body that goes both ways, to its end.
func (f *filter) drain() bool {
	f.t.Helper()
	for {
		r, err := f.reply()
		if err == io.EOF {
			return false
		}
		if err != nil {
			f.t.Fatal(err)
		}
		if f.instead != nil {
			return false
		}
		if f.whole {
			f.t.Fatalf("after its end: %v", r)
		}
		b := r.GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse()
		if b == nil {
			f.t.Fatalf("a piece was answered with %v", r)
		}
		f.got.Write(b.GetBody())
		f.whole = b.GetEndOfStream()
	}
}

// end ends the stream as Envoy does when all went well: it is reset.
func (f *filter) end() { f.stop() }

// abort ends it as Envoy does when the caller, or the provider, has gone.
func (f *filter) abort() {
	f.t.Helper()
	if err := f.with.CloseSend(); err != nil {
		f.t.Fatal(err)
	}
	for {
		if _, err := f.with.Recv(); err != nil {
			return
		}
	}
}

// pass takes a provider's answer through, in these pieces.
func (f *filter) pass(contentType string, pieces ...string) {
	f.t.Helper()
	if !f.answer(1, "via_upstream", 200, false, "content-type", contentType) {
		return
	}
	for i, piece := range pieces {
		if !f.chunk(piece, i == len(pieces)-1) {
			break
		}
	}
	f.end()
}

type decider struct {
	mu     sync.Mutex
	asked  []decision.Request
	answer func(decision.Request) (decision.Answer, error)
	during func(context.Context) // nil: nothing happens meanwhile
	forget bool                  // so many calls that nobody asks later
}

func (d *decider) Decide(ctx context.Context, req decision.Request) (decision.Answer, error) {
	if !d.forget {
		d.mu.Lock()
		d.asked = append(d.asked, req)
		d.mu.Unlock()
	}
	if d.during != nil {
		d.during(ctx)
	}
	return d.answer(req)
}

func (d *decider) last(t testing.TB) decision.Request {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		t.Fatal("the decision was not asked")
	}
	return d.asked[len(d.asked)-1]
}

type settler struct {
	told   chan decision.Report
	when   func(context.Context, decision.Report) error // nil: settles
	forget bool
}

func (s *settler) Settle(ctx context.Context, r decision.Report) (decision.Settled, error) {
	if s.when != nil {
		if err := s.when(ctx, r); err != nil {
			return decision.Settled{}, err
		}
	}
	if !s.forget {
		s.told <- r
	}
	return decision.Settled{Settled: true}, nil
}

var errAway = errors.New("the journal is away")

type signs struct {
	words
	forget bool
}

func (s *signs) Learn(deployment string, sign health.Sign) {
	if s.forget {
		return
	}
	word := fmt.Sprint(deployment, " ", sign.Status)
	if sign.Failed {
		word += " failed"
	}
	if sign.Whole {
		word += " whole"
	}
	if after := sign.Header.Get("Retry-After"); after != "" {
		word += " after " + after
	}
	s.add("%s", word)
}

// words remembers what was said, in a word each.
type words struct {
	mu   sync.Mutex
	said []string
}

func (w *words) add(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.said, ", ")
}

type watcher struct{ words }

func (w *watcher) TurnedAway(why string)               { w.add("away:%s", why) }
func (w *watcher) Decided(how string, _ time.Duration) { w.add("%s", how) }
func (w *watcher) Tried(t proc.Try)                    { w.add("%s:%s", t.Deployment, t.Outcome) }
func (w *watcher) Ended(e proc.Ending)                 { w.add("ended:%s", e.How) }
func (w *watcher) Unsettled()                          { w.add("unsettled") }
func (w *watcher) Misconfigured(what string)           { w.add("wrong:%s", what) }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const (
	answerJSON = `{"id":"c","object":"chat.completion","model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`
	oneWord    = `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"one"},"finish_reason":null}]}` + "\n\n"
	stopChunk  = `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usageChunk = `data: {"id":"c","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}` + "\n\n"
	doneMark   = "data: [DONE]\n\n"
)

func profile(name string) envoy.Profile { return envoy.Profile(name) }

// noRegistry takes metrics that nobody will read.
type noRegistry struct{ prometheus.Registerer }

func (noRegistry) MustRegister(...prometheus.Collector) {}
