package decision

import (
	"github.com/signalbox-dev/signalbox/journal"
)

// capturedBytes is the most of a body that is kept: a record of the journal must
// stay under its broker's limit, and a prompt is read by people.
const capturedBytes = 512 << 10

// What a trace says of itself.
const (
	captureHash        = "hash"
	captureFull        = "full"
	captureCut         = "cut" // full, and longer than is kept
	captureRedacted    = "redacted"
	captureRedactedCut = "redacted_cut"
)

// captured is the call's prompt as the verdict lets it be kept, in a topic of its
// own that is dropped after days; nil where it lets nothing be kept. A capture
// that is to be redacted is kept as a hash where that cannot be done: what was not
// asked to be kept in the clear never is.
func (s *Service) captured(c *Case) *journal.Record {
	if c.Verdict.Capture == "" || c.Verdict.Capture == "none" || c.Subject.Model == nil {
		return nil
	}
	traced := journal.Traced{CallID: clip(c.callID(), assertedBytes), DecisionID: c.ID, At: c.At}
	traced.Capture, traced.Prompt = s.capture(c)
	return &journal.Record{Topic: journal.TopicTraces, Key: c.tenant(), Event: traced}
}

// capture is what is kept, and its name.
func (s *Service) capture(c *Case) (string, []byte) {
	whole, cut, body := captureFull, captureCut, c.Request.Body
	switch c.Verdict.Capture {
	case captureFull:
	case captureRedacted:
		redacted, ok := s.redacted(c)
		if !ok {
			return captureHash, []byte(s.promptHash(c.tenant(), c))
		}
		whole, cut, body = captureRedacted, captureRedactedCut, redacted
	default:
		return captureHash, []byte(s.promptHash(c.tenant(), c))
	}
	if len(body) > capturedBytes {
		return cut, body[:capturedBytes]
	}
	return whole, body
}
