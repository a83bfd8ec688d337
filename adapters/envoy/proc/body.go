package proc

import (
	"bytes"
	"net/http"

	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/journal"
)

// responseBody takes the next piece of an answer, and gives what of it may go on.
func (s *stream) responseBody(b *pb.HttpBody) []*pb.ProcessingResponse {
	if s.stage != answering {
		return one(answerBody(nil))
	}
	p := s.call.answer
	out, broken := s.feed(b.GetBody(), b.GetEndOfStream())
	last := b.GetEndOfStream() || p.follow.Stopped()
	if broken && !p.events {
		return one(s.brokenOff())
	}
	if last {
		s.stage = over
	}
	if p.duplex {
		return pieces(out, last)
	}
	return one(answerBody(changed(b.GetBody(), out)))
}

// responseTrailers takes what stands behind a body whose end has not been said.
func (s *stream) responseTrailers() []*pb.ProcessingResponse {
	trailers := &pb.ProcessingResponse{Response: &pb.ProcessingResponse_ResponseTrailers{ResponseTrailers: &pb.TrailersResponse{}}}
	if s.stage != answering {
		return one(trailers)
	}
	p := s.call.answer
	out, broken := s.feed(nil, true)
	if broken && !p.events {
		return one(s.brokenOff())
	}
	s.stage = over
	if !p.duplex {
		return one(trailers) // the body has gone as far as it will
	}
	return append(pieces(out, false), trailers)
}

// feed takes the next bytes, gives those that may go to the caller, and settles
// before it gives the end. broken: the provider ended the answer as if it were whole,
// and it is not; a stream then ends with an event that says so.
func (s *stream) feed(chunk []byte, last bool) (out []byte, broken bool) {
	p := s.call.answer
	p.seen = true
	p.bytes += int64(len(chunk))
	out = p.follow.Write(chunk)
	if p.firstToken.IsZero() && p.follow.Started() {
		p.firstToken = s.p.Now()
	}
	if last {
		out = bytes.Clone(out) // it is good until follow is told more
		p.follow.EOF()
	}
	if p.ended {
		if last {
			out = append(out, p.follow.Release()...)
			s.again()
		}
		return out, false
	}
	if !p.follow.Ended() {
		return out, false
	}
	if !p.follow.Complete() && !p.follow.Failed() && !p.follow.Stopped() {
		return s.cutShort(out), true
	}
	how, outcome := endComplete, journal.OutcomeCompleted
	switch {
	case p.follow.Stopped():
		how, outcome = endGuarded, journal.OutcomeAborted
	case p.follow.Failed():
		how, outcome = endFailed, journal.OutcomeFailed
	default:
		s.p.Health.Learn(s.call.last(), health.Sign{Whole: true, Began: s.call.sent})
	}
	s.end(how, outcome)
	return append(out, p.follow.Release()...), false
}

// cutShort ends an answer that came to an end before its protocol's. Servers behind
// the provider break off so, and an SDK would take the half for the whole.
func (s *stream) cutShort(out []byte) []byte {
	c := s.call
	// With its status, because each such answer began well, and a good beginning would
	// otherwise end the row of failures that this one belongs to.
	s.p.Health.Learn(c.last(), health.Sign{Status: c.answer.status, Failed: true, Began: c.sent})
	s.end(endBroken, journal.OutcomeAborted)
	if !c.answer.events {
		return out
	}
	return append(out, door.ErrorEvent(c.Endpoint, s.failure())...)
}

// brokenOff answers in the place of a document that has no end: before its head has
// gone the caller reads why, and after that the connection is cut, so that nobody
// takes what came for all of it.
func (s *stream) brokenOff() *pb.ProcessingResponse { return s.fails(s.failure()) }

func (s *stream) failure() door.Failed {
	return door.Failed{Dialect: s.call.Dialect, DecisionID: s.call.DecisionID, Status: http.StatusBadGateway,
		Code: door.UpstreamUnavailable, Message: "the provider broke off its answer"}
}

// changed is what takes a chunk's place; nil: it stays as it is.
func changed(chunk, out []byte) *pb.CommonResponse {
	switch {
	case bytes.Equal(chunk, out):
		return nil
	case len(out) == 0:
		return &pb.CommonResponse{BodyMutation: &pb.BodyMutation{Mutation: &pb.BodyMutation_ClearBody{ClearBody: true}}}
	}
	return &pb.CommonResponse{BodyMutation: &pb.BodyMutation{Mutation: &pb.BodyMutation_Body{Body: out}}}
}

func answerBody(c *pb.CommonResponse) *pb.ProcessingResponse {
	return &pb.ProcessingResponse{Response: &pb.ProcessingResponse_ResponseBody{ResponseBody: &pb.BodyResponse{Response: c}}}
}

// pieces are bytes for a body that goes both ways at once: as many replies as it
// takes, and none where there is nothing to say. last ends the body for the caller,
// and the call at the provider if that is still writing.
func pieces(out []byte, last bool) []*pb.ProcessingResponse {
	var replies []*pb.ProcessingResponse
	for len(out) > maxPiece {
		replies = append(replies, piece(out[:maxPiece], false))
		out = out[maxPiece:]
	}
	if len(out) > 0 || last {
		replies = append(replies, piece(out, last))
	}
	return replies
}

func piece(b []byte, last bool) *pb.ProcessingResponse {
	return answerBody(&pb.CommonResponse{BodyMutation: &pb.BodyMutation{Mutation: &pb.BodyMutation_StreamedResponse{
		StreamedResponse: &pb.StreamedBodyResponse{Body: b, EndOfStream: last},
	}}})
}
