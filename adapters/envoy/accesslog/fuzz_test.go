package accesslog_test

import (
	"context"
	"testing"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy/accesslog"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/journal"
)

// one is a stream of one message.
type one struct {
	grpc.ServerStream
	ctx     context.Context
	message *accesslogv3.StreamAccessLogsMessage
}

func (o *one) Context() context.Context { return o.ctx }

func (o *one) Recv() (*accesslogv3.StreamAccessLogsMessage, error) {
	m := o.message
	o.message = nil
	if m == nil {
		return nil, context.Canceled
	}
	return m, nil
}

func (o *one) SendAndClose(*accesslogv3.StreamAccessLogsResponse) error { return nil }

// strict fails where a report could not be taken.
type strict struct{ t *testing.T }

func (s strict) Settle(_ context.Context, r decision.Report) (decision.Settled, error) {
	if r.Token == "" || !r.Learnt || r.Gateway != "edge-1" || r.LatencyMS < 0 || r.TTFTMS < 0 || r.SeenOutputTokens < -1 || r.Status < 0 {
		s.t.Errorf("report %+v", r)
	}
	if r.Outcome == journal.OutcomeNotSent && (r.Usage != nil || r.SeenOutputTokens >= 0 || r.Status != 0) {
		s.t.Errorf("not sent, and yet %+v", r)
	}
	return decision.Settled{}, nil
}

func (s strict) Undecided(context.Context, decision.Undecided) error { return nil }

func (s strict) Learn(deployment string, _ health.Sign) {
	if deployment == "" {
		s.t.Error("a sign of no deployment")
	}
}

// FuzzEntry: whatever an entry holds, nothing breaks, and what is reported of it can be.
func FuzzEntry(f *testing.F) {
	entries := []*datav3.HTTPAccessLogEntry{{}}
	for _, s := range stories {
		entries = append(entries, s.entry)
	}
	for _, e := range entries {
		seed, err := proto.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &datav3.HTTPAccessLogEntry{}
		if proto.Unmarshal(b, e) != nil {
			return
		}
		h := strict{t}
		broke := observed{}
		s := accesslog.New(accesslog.Parts{Settler: h, Undecider: h, Health: h, Observe: broke,
			Admit: func(context.Context) (string, *door.Problem) { return "edge-1", nil }})
		m := &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*datav3.HTTPAccessLogEntry{e}}}}
		_ = s.StreamAccessLogs(&one{ctx: t.Context(), message: m})
		if broke[accesslog.Unsettled] > 0 {
			t.Error("an entry panicked")
		}
	})
}

// observed counts what became of the one entry.
type observed map[string]int

func (o observed) Logged(what string) { o[what]++ }
