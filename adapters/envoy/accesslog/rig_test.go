package accesslog_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/accesslog"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house stands behind the log, and remembers.
type house struct {
	mu        sync.Mutex
	reports   []decision.Report
	undecided []decision.Undecided
	signs     []sign
	became    map[string]int
	err       error
	admitted  int // messages, after which the gateway's token is revoked; 0: never
}

type sign struct {
	deployment string
	health.Sign
}

func (h *house) Settle(_ context.Context, r decision.Report) (decision.Settled, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, earlier := range h.reports {
		if earlier.Token == r.Token {
			return decision.Settled{Repeated: true}, h.err
		}
	}
	h.reports = append(h.reports, r)
	return decision.Settled{}, h.err
}

func (h *house) Undecided(_ context.Context, u decision.Undecided) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.undecided = append(h.undecided, u)
	return h.err
}

func (h *house) Learn(deployment string, s health.Sign) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signs = append(h.signs, sign{deployment, s})
}

func (h *house) Logged(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.became == nil {
		h.became = map[string]int{}
	}
	h.became[what]++
}

// send sends entries as an Envoy does that is let in or not, and waits until the log
// has read all of them.
func (h *house) send(t *testing.T, refused *door.Problem, messages ...[]*datav3.HTTPAccessLogEntry) error {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	accesslog.New(accesslog.Parts{Settler: h, Undecider: h, Health: h, Observe: h,
		Admit: h.admit(refused)}).Register(server)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	defer func() { server.Stop(); <-done }()
	conn, err := grpc.NewClient("passthrough:///envoy", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	stream, err := accesslogv3.NewAccessLogServiceClient(conn).StreamAccessLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, entries := range messages {
		m := &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries}}}
		if err := stream.Send(m); err != nil {
			break // the log has ended the stream, and CloseAndRecv says why
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}

// admit lets the gateway in unless it is refused from the beginning, or from some
// message on.
func (h *house) admit(refused *door.Problem) func(context.Context) (string, *door.Problem) {
	asked := 0
	return func(context.Context) (string, *door.Problem) {
		asked++ // by the one goroutine of the one stream
		if refused == nil && h.admitted > 0 && asked > 1+h.admitted {
			return "", &door.Problem{Kind: door.UnknownGateway, Message: "revoked"}
		}
		return "edge-1", refused
	}
}

// began is when the calls of these tests began, by Envoy's clock.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// entry is a chat that Envoy logged, as 1.40.0 was seen to.
type entry struct {
	*datav3.HTTPAccessLogEntry
}

func chat(change ...func(*entry)) *datav3.HTTPAccessLogEntry {
	e := &entry{&datav3.HTTPAccessLogEntry{
		CommonProperties: &datav3.AccessLogCommon{
			StartTime: timestamppb.New(began), Duration: durationpb.New(500 * time.Millisecond), AccessLogType: datav3.AccessLogType_DownstreamEnd,
			TimeToFirstUpstreamTxByte: durationpb.New(2 * time.Millisecond), TimeToFirstUpstreamRxByte: durationpb.New(42 * time.Millisecond),
			UpstreamCluster: "deployment/a", UpstreamRequestAttemptCount: 1, UpstreamWireBytesReceived: 700,
			Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}},
		},
		Request: &datav3.HTTPRequestProperties{RequestMethod: corev3.RequestMethod_POST, Path: "/v1/chat/completions?x=1"},
		Response: &datav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200), ResponseCodeDetails: "via_upstream", ResponseBodyBytes: 600,
			ResponseHeaders: map[string]string{"content-type": "text/event-stream"}},
	}}
	for _, c := range change {
		c(e)
	}
	return e.HTTPAccessLogEntry
}

func (e *entry) put(namespace string, m *structpb.Struct) {
	e.CommonProperties.Metadata.FilterMetadata[namespace] = m
}

// call is the metadata of an allowed call, tried at a and b.
func call(token string, attempts int) *structpb.Struct {
	c := envoy.Call{DecisionID: "d-1", Token: token, Dialect: llm.OpenAI, Endpoint: llm.ChatCompletions, Order: []string{"a", "b"}, Attempts: attempts}
	return c.Metadata()
}

// allowed says that ext_authz let the call through.
func allowed(e *entry) { e.put(envoy.NamespaceAuthz, call("token", 1)) }

// allowedByProc says that ext_proc did.
func allowedByProc(e *entry) { e.put(envoy.NamespaceCall, call("token", 1)) }

func texts(pairs ...string) *structpb.Struct {
	m := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for i := 0; i < len(pairs); i += 2 {
		m.Fields[pairs[i]] = structpb.NewStringValue(pairs[i+1])
	}
	return m
}

// counted says what sse_to_metadata has read of a chat's stream.
func counted(e *entry) {
	e.put(envoy.NamespaceUsage, texts("usage", `{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}`))
}

// details says how Envoy says that the call ended.
func details(code uint32, word string) func(*entry) {
	return func(e *entry) {
		e.Response.ResponseCode, e.Response.ResponseCodeDetails = wrapperspb.UInt32(code), word
	}
}

// silent says that no provider answered.
func silent(e *entry) { e.CommonProperties.TimeToFirstUpstreamRxByte = nil }

// tried says how deployments answered, by name and status.
func tried(pairs ...string) func(*entry) {
	return func(e *entry) {
		m := &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for i := 0; i < len(pairs); i += 2 {
			m.Fields[pairs[i]] = structpb.NewStructValue(texts("status", pairs[i+1], "retry-after", "7"))
		}
		e.put(envoy.NamespaceTries, m)
	}
}

func at(cluster string) func(*entry) {
	return func(e *entry) { e.CommonProperties.UpstreamCluster = cluster }
}

// times says how often Envoy tried.
func times(n uint32) func(*entry) {
	return func(e *entry) { e.CommonProperties.UpstreamRequestAttemptCount = n }
}

// unrouted says that the call did not come as far as the router.
func unrouted(e *entry) {
	e.CommonProperties.UpstreamRequestAttemptCount, e.CommonProperties.TimeToFirstUpstreamTxByte = 0, nil
}
