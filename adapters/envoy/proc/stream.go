package proc

import (
	"context"
	"errors"
	"io"

	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
)

// stream is one call on its way through. Only run's goroutine touches it, but for in
// and what the reader ends.
type stream struct {
	p       *Processor
	with    pb.ExternalProcessor_ProcessServer
	ctx     context.Context // of the stream of messages
	gateway string
	profile envoy.Profile

	in   chan received
	gone context.Context // ends when the stream does: nobody waits for a reply

	asked *asked // what the caller wants; nil: not known yet
	stage stage
	call  *call // once it may go out, and somebody is to be told of it
}

// stage is how far a call is. It only goes forward.
type stage uint8

const (
	open      stage = iota // nothing is decided
	passing                // let through unjudged, by its path
	out                    // allowed; the provider's answer is waited for
	answering              // its head has been read, and its body passes by
	over                   // nothing more is to be said
)

type received struct {
	m   *pb.ProcessingRequest
	err error
}

// run takes message after message. Envoy sends none before it has had its reply, but
// for those of a body that goes both ways at once.
func (s *stream) run() (err error) {
	gone, leave := context.WithCancel(s.ctx)
	s.gone, s.in = gone, make(chan received)
	ended := make(chan struct{})
	defer leave()
	defer close(ended)
	go s.read(leave, ended)
	defer func() {
		if v := recover(); v != nil {
			s.p.Log.ErrorContext(s.ctx, "a call of an Envoy's panicked; it is charged by rule", "decision", s.decision(), "at", door.PanicSite())
			err = status.Error(codes.Internal, "something broke here; the operators' log says what")
			s.leave(err)
		}
	}()
	for s.stage != over {
		m, err := s.next()
		if err != nil {
			s.leave(err)
			return farewell(err)
		}
		for _, reply := range s.take(m) {
			if err := s.say(reply); err != nil {
				s.leave(err)
				return err
			}
		}
	}
	return nil
}

// say sends a reply. One that lets a call out is not sent to who has gone, and one
// that could not be sent let nothing out: then the call has cost nothing.
func (s *stream) say(reply *pb.ProcessingResponse) error {
	letsOut := s.stage == out && !s.call.out
	err := s.gone.Err()
	if err == nil || !letsOut {
		err = s.with.Send(reply)
	}
	if letsOut {
		s.call.out = err == nil
	}
	return err
}

// read receives ahead, one message: that nobody waits any more must be known while
// the call is being decided. It ends with the stream, which ends when run does.
func (s *stream) read(leave context.CancelFunc, ended <-chan struct{}) {
	for {
		m, err := s.with.Recv()
		if isEnd(err) {
			leave()
		}
		select {
		case s.in <- received{m, err}:
		case <-ended:
			return
		}
		if err != nil {
			return
		}
	}
}

func (s *stream) next() (*pb.ProcessingRequest, error) {
	select {
	case got := <-s.in:
		return got.m, got.err
	case <-s.p.flights.Context().Done():
		return nil, door.ErrStopping
	}
}

// isEnd reports whether the stream has ended, and not broken here. Which of the two
// ways it was says nothing.
func isEnd(err error) bool { return err == io.EOF || status.Code(err) == codes.Canceled }

// farewell is what the filter is told at the end. That it went away is no error; all
// else is, because it takes a clean end for leave to let the call on without us.
func farewell(err error) error {
	switch {
	case errors.Is(err, door.ErrStopping):
		return status.Error(codes.Unavailable, door.ErrStopping.Error())
	case isEnd(err):
		return nil
	}
	return err
}

// take is the whole of a call, one message at a time. A message that cannot come
// where it comes is answered so that nothing happens.
func (s *stream) take(m *pb.ProcessingRequest) []*pb.ProcessingResponse {
	switch of := m.GetRequest().(type) {
	case *pb.ProcessingRequest_RequestHeaders: // what does the caller want?
		return one(s.requestHeaders(m, of.RequestHeaders))
	case *pb.ProcessingRequest_RequestBody: // may they?
		return one(s.requestBody(of.RequestBody))
	case *pb.ProcessingRequest_RequestTrailers:
		return one(&pb.ProcessingResponse{Response: &pb.ProcessingResponse_RequestTrailers{RequestTrailers: &pb.TrailersResponse{}}})
	case *pb.ProcessingRequest_ResponseHeaders: // who answered?
		return one(s.responseHeaders(m, of.ResponseHeaders))
	case *pb.ProcessingRequest_ResponseBody: // what was used?
		return s.responseBody(of.ResponseBody)
	case *pb.ProcessingRequest_ResponseTrailers:
		return s.responseTrailers()
	}
	return nil
}

func one(reply *pb.ProcessingResponse) []*pb.ProcessingResponse {
	if reply == nil {
		return nil
	}
	return []*pb.ProcessingResponse{reply}
}

// turnAway answers a call that is one too many, as soon as it has said what it is:
// nothing is decided, and nothing is written down.
func (p *Processor) turnAway(with pb.ExternalProcessor_ProcessServer, why string) error {
	p.Observe.TurnedAway(why)
	s := &stream{p: p, with: with, ctx: with.Context()}
	m, err := with.Recv()
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return err
	}
	if h := m.GetRequestHeaders(); h != nil {
		s.asked = newAsked(h)
	}
	return with.Send(s.overloaded())
}

// decision is the id to look for, "" before there is one.
func (s *stream) decision() string {
	if s.call == nil {
		return ""
	}
	return s.call.DecisionID
}
