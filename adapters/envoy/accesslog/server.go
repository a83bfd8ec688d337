package accesslog

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"

	"github.com/signalbox-dev/signalbox/adapters/door"
	doorgrpc "github.com/signalbox-dev/signalbox/adapters/grpc"
	"github.com/signalbox-dev/signalbox/decision"
)

// Server is envoy.service.accesslog.v3.AccessLogService. It is safe for concurrent use.
type Server struct {
	accesslogv3.UnimplementedAccessLogServiceServer
	Parts
	settling chan struct{} // one element an entry that is being settled
	quiet    sync.Mutex
	said     time.Time // when the log last heard of a report that was not taken
}

// New puts a Server together.
func New(parts Parts) *Server {
	parts = parts.orDefaults()
	return &Server{Parts: parts, settling: make(chan struct{}, parts.Limits.Settling)}
}

// Register adds it to a server.
func (s *Server) Register(r grpc.ServiceRegistrar) { accesslogv3.RegisterAccessLogServiceServer(r, s) }

// StreamAccessLogs reads one Envoy's log until it ends the stream. Envoy waits for no
// answer and sends nothing twice, so that no entry may end it.
func (s *Server) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	if _, p := s.Admit(stream.Context()); p != nil {
		// An Envoy says nothing of it, and every call that only its log can settle would
		// be charged as held without anybody knowing why.
		s.complain(stream.Context(), "an Envoy's access log was turned away; calls that it would settle are charged by rule", "why", p.Error())
		return doorgrpc.Refused(p)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&accesslogv3.StreamAccessLogsResponse{})
		}
		if err != nil {
			return err // the connection's, or ours to stop
		}
		// Each message anew: such a stream lasts for weeks, and a token that was revoked
		// meanwhile is nobody's any more.
		gateway, p := s.Admit(stream.Context())
		if p != nil {
			return doorgrpc.Refused(p)
		}
		s.take(stream.Context(), gateway, m.GetHttpLogs().GetLogEntry())
	}
}

// take reads the entries of one message, several at once: each may wait for the journal,
// and an Envoy under load logs faster than one after another can be settled. The next
// message is read when all of them are done, which is what holds the sender back.
func (s *Server) take(ctx context.Context, gateway string, entries []*datav3.HTTPAccessLogEntry) {
	if len(entries) > s.Limits.Entries {
		for range entries[s.Limits.Entries:] {
			s.Observe.Logged(TooMany)
		}
		entries = entries[:s.Limits.Entries]
	}
	var all sync.WaitGroup
	for _, e := range entries {
		if !isEnd(e) {
			s.Observe.Logged(Passed)
			continue
		}
		s.settling <- struct{}{} // whoever holds one gives it back within Limits.Settle
		all.Go(func() {
			defer func() { <-s.settling }()
			s.Observe.Logged(s.enter(ctx, gateway, e))
		})
	}
	all.Wait()
}

// isEnd reports whether an entry is of a whole call, and not of a part of it, or of one
// try: Envoy has access logs of those too.
func isEnd(e *datav3.HTTPAccessLogEntry) bool {
	c := e.GetCommonProperties()
	return c.GetAccessLogType() == datav3.AccessLogType_NotSet || c.GetAccessLogType() == datav3.AccessLogType_DownstreamEnd
}

// enter takes one entry, and says what became of it. What it has begun it finishes
// although the stream may end meanwhile: nobody sends the entry again.
func (s *Server) enter(ctx context.Context, gateway string, e *datav3.HTTPAccessLogEntry) (what string) {
	defer func() {
		if v := recover(); v != nil {
			s.Log.ErrorContext(ctx, "an access log's entry panicked", "at", door.PanicSite())
			what = Unsettled
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Limits.Settle)
	defer cancel()
	call, ok := read(e, gateway)
	switch {
	case ok:
		return s.settle(ctx, &call)
	case weAnswered(e):
		return Answered
	}
	u, ok := undecided(e, gateway)
	if !ok {
		return Passed
	}
	if s.Undecider != nil {
		if err := s.Undecider.Undecided(ctx, u); err != nil {
			s.complain(ctx, "a call that nobody decided is not in the audit", "gateway", gateway, "err", err)
		}
	}
	return Undecided
}

// settle reports one call. Health hears of it once, and only by a token that is ours: a
// gateway that could make calls up could put any deployment out of service for all.
func (s *Server) settle(ctx context.Context, call *logged) string {
	if call.call.Token == "" {
		return Free
	}
	settled, err := s.Settler.Settle(ctx, call.report())
	forged := new(decision.ReportError)
	if !settled.Repeated && !errors.As(err, &forged) {
		call.learn(s.Health)
	}
	if err != nil {
		s.complain(ctx, "a call was not settled by the access log; it is charged by rule when its hold is over", "decision", call.call.DecisionID, "err", err)
		return Unsettled
	}
	if settled.Repeated {
		return Repeated
	}
	return Settled
}

// seldomly is how often the log hears of the same trouble: while the journal is away
// each entry has it, and the observer counts them.
const seldomly = time.Minute

func (s *Server) complain(ctx context.Context, what string, args ...any) {
	s.quiet.Lock()
	now := s.Now()
	again := s.said.IsZero() || now.Sub(s.said) >= seldomly
	if again {
		s.said = now
	}
	s.quiet.Unlock()
	if again {
		s.Log.ErrorContext(ctx, what, args...)
	}
}
