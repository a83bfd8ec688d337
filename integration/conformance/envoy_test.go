package conformance_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
)

// farEnd is what of an Envoy stands behind its filters and before its access log: the
// router with the clusters' filters, and the log itself. It does what the printed
// configurations tell an Envoy to do; that the real one does so too is shown elsewhere.
type farEnd struct {
	*world
	conn    *grpc.ClientConn
	profile envoy.Profile
}

// flow is one call on its way through an Envoy.
type flow struct {
	*call
	method, path string
	header       map[string]string
	body         string
	data         map[string]*structpb.Struct // dynamic metadata, by namespace

	tries   []tried
	cluster string
	details string
	flags   *datav3.ResponseFlags
	began   time.Time
	reply   *reply
}

func (c *call) flow() *flow {
	f := &flow{call: c, method: c.method, path: c.path, header: maps.Clone(c.header), body: c.body, data: map[string]*structpb.Struct{}, began: time.Now()}
	if f.body != "" {
		f.header["content-length"] = strconv.Itoa(len(f.body))
	}
	return f
}

// pseudo are the headers as HTTP/2 has them.
func (f *flow) pseudo() map[string]string {
	all := maps.Clone(f.header)
	maps.Copy(all, map[string]string{":method": f.method, ":path": f.path, ":authority": "calls.example", ":scheme": "https"})
	return all
}

func (f *flow) set(name, value string) {
	switch {
	case name == ":path":
		f.path = value
	default:
		f.header[name] = value
	}
}

// route sends the call where its metadata, or a header, says.
func (e *farEnd) route(t *testing.T, f *flow) {
	t.Helper()
	if e.profile == envoy.ProfileOrder {
		e.inOrder(t, f)
	} else {
		deployment := f.header[envoy.HeaderDeployment]
		e.attempt(t, f, deployment, f.path, f.body)
		f.cluster = "somebodys"
	}
	f.reply, f.details = f.tries[len(f.tries)-1].reply, "via_upstream"
	switch {
	case f.reply.left:
		f.flags, f.details = &datav3.ResponseFlags{DownstreamConnectionTermination: true}, "downstream_remote_disconnect"
	case f.reply.cut:
		f.flags = &datav3.ResponseFlags{UpstreamConnectionTermination: true}
	}
}

func (e *farEnd) attempt(t *testing.T, f *flow, deployment, path, body string) *reply {
	t.Helper()
	out := maps.Clone(f.header)
	delete(out, "content-length")
	for _, name := range keyHeaders {
		if out[name] != "" {
			t.Errorf("%s goes beyond the filter", name)
		}
	}
	if e.profile == envoy.ProfileHeader {
		delete(out, envoy.HeaderDeployment) // somebody's own routes send on what they like
	}
	got := e.send(t, deployment, path, f.call, out, body)
	f.tries = append(f.tries, got)
	return got.reply
}

// inOrder is the router with xds's routes: one group a try, and in each cluster what
// its try needs.
func (e *farEnd) inOrder(t *testing.T, f *flow) {
	t.Helper()
	decided, order := f.data[envoy.NamespaceCall], f.data[envoy.NamespaceRoute]
	if decided == nil {
		decided, order = f.data[envoy.NamespaceAuthz], f.data[envoy.NamespaceAuthz]
	}
	said := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	f.data[envoy.NamespaceTries] = said
	retries, err := strconv.Atoi(f.header["x-envoy-max-retries"])
	if err != nil {
		t.Fatalf("how often to try again: %v", err)
	}
	delete(f.header, "x-envoy-max-retries")
	for i, group := range order.GetFields()["priority_groups"].GetListValue().GetValues() {
		if i > retries {
			break
		}
		f.cluster = group.GetStructValue().GetFields()["clusters"].GetListValue().GetValues()[0].GetStructValue().GetFields()["cluster_name"].GetStringValue()
		deployment, ok := envoy.Deployment(f.cluster)
		if !ok {
			t.Fatalf("%s is no deployment's cluster", f.cluster)
		}
		try := decided.GetFields()["tries"].GetStructValue().GetFields()[deployment].GetStructValue().GetFields()
		r := e.attempt(t, f, deployment, try["path"].GetStringValue(), edited(f.body, try["edits"].GetListValue().GetValues()))
		note := map[string]*structpb.Value{"status": structpb.NewStringValue(strconv.Itoa(r.status))}
		if after := r.header.Get("Retry-After"); after != "" {
			note["retry-after"] = structpb.NewStringValue(after)
		}
		said.Fields[deployment] = structpb.NewStructValue(&structpb.Struct{Fields: note})
		if !slices.Contains([]int{429, 500, 502, 503, 504, 529}, r.status) {
			break
		}
	}
}

// edited is what the clusters' script makes of a body.
func edited(body string, edits []*structpb.Value) string {
	for _, edit := range edits {
		e := edit.GetListValue().GetValues()
		body = body[:int(e[0].GetNumberValue())] + e[2].GetStringValue() + body[int(e[1].GetNumberValue()):]
	}
	return body
}

// readUsage is what json_to_metadata and sse_to_metadata make of an answer.
func (f *flow) readUsage() {
	kind := f.reply.header.Get("Content-Type")
	found := map[string]*structpb.Value{}
	read := func(text string, stream bool) {
		var whole any
		if json.Unmarshal([]byte(text), &whole) != nil {
			return
		}
		for _, rule := range envoy.UsageRules() {
			if rule.Stream != stream {
				continue
			}
			value := whole
			for _, name := range rule.Path {
				object, _ := value.(map[string]any)
				value = object[name]
			}
			if v := metadataOf(value, stream); v != nil {
				found[rule.Key] = v
			}
		}
	}
	switch {
	case strings.HasPrefix(kind, "text/event-stream"):
		for event := range strings.SplitSeq(f.reply.body, "\n\n") {
			for line := range strings.SplitSeq(event, "\n") {
				if data, ok := strings.CutPrefix(line, "data: "); ok {
					read(data, true)
				}
			}
		}
	case strings.HasPrefix(kind, "application/json"):
		read(f.reply.body, false)
	}
	f.data[envoy.NamespaceUsage] = &structpb.Struct{Fields: found}
}

// metadataOf is a value as the filters copy it: of a stream an object as its JSON, of a
// document no object at all, and a null nowhere.
func metadataOf(value any, stream bool) *structpb.Value {
	switch v := value.(type) {
	case map[string]any:
		if !stream {
			return nil
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		return structpb.NewStringValue(string(raw))
	case nil, []any:
		return nil
	}
	v, err := structpb.NewValue(value)
	if err != nil {
		return nil
	}
	return v
}

// log sends the entry that an Envoy writes at the end of each call, and waits until it
// was read.
func (e *farEnd) log(ctx context.Context, t *testing.T, f *flow) {
	t.Helper()
	stream, err := accesslogv3.NewAccessLogServiceClient(e.conn).StreamAccessLogs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(f.began)
	common := &datav3.AccessLogCommon{
		StartTime: timestamppb.New(f.began), Duration: durationpb.New(took), AccessLogType: datav3.AccessLogType_DownstreamEnd,
		Metadata: &corev3.Metadata{FilterMetadata: f.data}, UpstreamCluster: f.cluster, UpstreamRequestAttemptCount: uint32(len(f.tries)),
		ResponseFlags: f.flags,
	}
	if len(f.tries) > 0 {
		common.TimeToFirstUpstreamTxByte, common.TimeToFirstUpstreamRxByte = durationpb.New(took/4), durationpb.New(took/2)
	}
	entry := &datav3.HTTPAccessLogEntry{
		CommonProperties: common,
		Request: &datav3.HTTPRequestProperties{RequestMethod: corev3.RequestMethod(corev3.RequestMethod_value[f.call.method]),
			Path: f.path, OriginalPath: f.call.path},
		Response: &datav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(uint32(f.reply.status)), ResponseCodeDetails: f.details,
			ResponseHeaders: map[string]string{"content-type": f.reply.header.Get("Content-Type")}, ResponseBodyBytes: uint64(len(f.reply.body))},
	}
	if err := stream.Send(&accesslogv3.StreamAccessLogsMessage{
		Identifier: &accesslogv3.StreamAccessLogsMessage_Identifier{Node: &corev3.Node{Id: "far-end"}, LogName: "signalbox"},
		LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{
			LogEntry: []*datav3.HTTPAccessLogEntry{entry}}},
	}); err != nil {
		t.Fatal(err)
	}
	// The service says nothing, also at the end: that it has ended is the answer.
	_, _ = stream.CloseAndRecv()
}
