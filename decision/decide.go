package decision

import (
	"context"
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// Case is the file we keep on one call. Each stage adds one page; the finished
// file is what we journal and what we answer.
type Case struct {
	ID      string             // of the decision
	At      time.Time          // the only clock reading
	World   *registry.Snapshot // the only reading of what we were told
	Request Request

	Caller     Caller      // who is asking
	Ask        *llm.Ask    // what for
	Subject    Subject     // as whom, with what limits
	Facts      Facts       // what policy may know
	Verdict    Verdict     // what policy said
	Redactions []llm.Edit  // what it takes out of the prompt
	Candidates []Candidate // where it may go, and at what ceiling
	Held       ledger.Held // what was set aside
	Unmetered  bool        // nothing was: by rule, or because the journal was away and the operator chose open

	found *findings // in the prompt; nil: nobody looked yet
	place *call     // among the calls we remember, where its id was claimed
}

// Decide answers one call. A refusal is an answer; an error means that there is
// no answer to give: *Conflict, *Unavailable, or the question was withdrawn.
func (s *Service) Decide(ctx context.Context, req Request) (Answer, error) {
	c := &Case{ID: s.newID(), At: s.now(), World: s.registry.Snapshot(), Request: req}
	return s.conclude(ctx, c, s.judge(ctx, c))
}

// judge is the whole of a decision; read it top to bottom. Each line is one
// stage and each stage is the file of that name. Whatever a stage cannot pass
// ends the case, and conclude is the only exit.
func (s *Service) judge(ctx context.Context, c *Case) (err error) {
	if c.Caller, err = s.authenticate(c); err != nil { // who is asking?
		return err
	}
	if err = s.recall(ctx, c); err != nil { // have we answered this very call?
		return err
	}
	if c.Ask, err = s.inspect(c); err != nil { // what for?
		return err
	}
	if c.Subject, c.Facts, err = s.gather(c); err != nil { // what do we know? the last read
		return err
	}
	if c.Verdict, err = s.consult(ctx, c); err != nil { // may they?
		return err
	}
	if c.Redactions, err = s.redact(c); err != nil { // without what?
		return err
	}
	if c.Candidates, err = s.route(c); err != nil { // where, at what ceiling?
		return err
	}
	c.Held, err = s.reserve(ctx, c) // can they pay? the first write
	return err
}
