package kafka

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/signalbox-dev/signalbox/journal"
	pb "github.com/signalbox-dev/signalbox/proto/gen/journal/v1"
)

// decoder builds events and keeps the first thing that was wrong. Its methods go
// on after an error, so that the mapping below reads as a list.
type decoder struct{ err error }

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// event is the mirror of envelope.
func (d *decoder) event(env *pb.Envelope) journal.Event {
	switch o := env.GetEvent().(type) {
	case nil:
		return nil
	case *pb.Envelope_EpochStarted:
		return journal.EpochStarted{Epoch: d.epoch(o.EpochStarted.GetEpoch())}
	case *pb.Envelope_Asked:
		e := o.Asked
		return journal.Asked{Epoch: d.epoch(e.GetEpoch()), N: e.GetN(), TTL: d.duration(e.GetTtl()), Div: e.GetDiv(), Asks: each(e.GetAsks(), d.ask)}
	case *pb.Envelope_AskCancelled:
		return journal.AskCancelled{Epoch: d.epoch(o.AskCancelled.GetEpoch()), N: o.AskCancelled.GetN()}
	case *pb.Envelope_Returned:
		e := o.Returned
		return journal.Returned{Epoch: d.epoch(e.GetEpoch()), N: e.GetN(), Meter: d.meter(e.GetMeter()), Total: e.GetTotal()}
	case *pb.Envelope_Settled:
		return d.settled(o.Settled)
	case *pb.Envelope_Reported:
		return d.reported(o.Reported)
	case *pb.Envelope_Closed:
		return journal.Closed{Epoch: d.epoch(o.Closed.GetEpoch()), N: o.Closed.GetN()}
	case *pb.Envelope_EpochEnded:
		e := o.EpochEnded
		return journal.EpochEnded{Epoch: d.epoch(e.GetEpoch()), Open: each(e.GetOpen(), d.openHold), By: e.GetBy(), Why: e.GetWhy()}
	case *pb.Envelope_EpochForgotten:
		return journal.EpochForgotten{Epoch: d.epoch(o.EpochForgotten.GetEpoch())}
	case *pb.Envelope_LimitSet:
		e := o.LimitSet
		return journal.LimitSet{Budget: e.GetBudget(), Version: e.GetVersion(), Unit: d.unit(e.GetUnit()), Window: d.window(e.GetWindow()),
			MaxValues: e.GetMaxValues(), Amount: e.GetAmount()}
	case *pb.Envelope_Adjusted:
		e := o.Adjusted
		return journal.Adjusted{ID: e.GetId(), Meter: d.meter(e.GetMeter()), Amount: e.GetAmount(), By: e.GetBy(), Why: e.GetWhy()}
	case *pb.Envelope_MetersForgotten:
		return journal.MetersForgotten{Meters: each(o.MetersForgotten.GetMeters(), d.meter), Offset: o.MetersForgotten.GetOffset()}
	case *pb.Envelope_RulesRaised:
		return journal.RulesRaised{Rules: o.RulesRaised.GetRules()}
	case *pb.Envelope_Checkpoint:
		return journal.Checkpoint{Offset: o.Checkpoint.GetOffset(), Hash: d.hash(o.Checkpoint.GetHash())}
	case *pb.Envelope_Decided:
		return d.decided(o.Decided)
	case *pb.Envelope_Named:
		return journal.Named{Kind: o.Named.GetKind(), Pseudonym: o.Named.GetPseudonym(), Name: o.Named.GetName()}
	case *pb.Envelope_Traced:
		e := o.Traced
		return journal.Traced{CallID: e.GetCallId(), DecisionID: e.GetDecisionId(), At: d.time(e.GetAt()), Capture: e.GetCapture(),
			Prompt: e.GetPrompt(), Response: e.GetResponse()}
	case *pb.Envelope_RegistryChanged:
		e := o.RegistryChanged
		return journal.RegistryChanged{Txn: e.GetTxn(), Index: int(e.GetIndex()), Count: int(e.GetCount()), Kind: e.GetKind(),
			Tenant: e.GetTenant(), Name: e.GetName(), Deleted: e.GetDeleted(), Body: e.GetBody(), At: d.time(e.GetAt()), By: e.GetBy(), Why: e.GetWhy()}
	case *pb.Envelope_SnapshotChunk:
		e := o.SnapshotChunk
		return journal.SnapshotChunk{Partition: e.GetPartition(), Offset: e.GetOffset(), Rules: e.GetRules(),
			Index: int(e.GetIndex()), Count: int(e.GetCount()), Hash: d.hash(e.GetHash()), Data: e.GetData()}
	case *pb.Envelope_Paused:
		e := o.Paused
		return journal.Paused{Deployment: e.GetDeployment(), Cause: e.GetCause(), Since: d.time(e.GetSince()), Until: d.time(e.GetUntil()),
			Pauses: e.GetPauses(), LastBad: d.time(e.GetLastBad())}
	}
	d.fail("its event %T is not one that this program knows", env.GetEvent())
	return nil
}

func (d *decoder) settled(e *pb.Settled) journal.Settled {
	return journal.Settled{Hold: d.holdID(e.GetHold()), CallID: e.GetCallId(), DecisionID: e.GetDecisionId(), Rank: d.rank(e.GetRank()),
		Outcome: journal.Outcome(e.GetOutcome()), Charges: each(e.GetCharges(), d.charge), Usage: d.usage(e.GetUsage())}
}

func (d *decoder) reported(e *pb.Reported) journal.Reported {
	r := journal.Reported{CallID: e.GetCallId(), Gateway: e.GetGateway()}
	if u := d.usage(e.GetUsage()); u != nil {
		r.Usage = *u
	}
	return r
}

func (d *decoder) usage(u *pb.Usage) *journal.Usage {
	if u == nil {
		return nil
	}
	return &journal.Usage{At: d.time(u.GetAt()), Principal: d.principal(u.GetPrincipal()), Gateway: u.GetGateway(), Dialect: u.GetDialect(),
		Model: u.GetModel(), RegistryVersion: u.GetRegistryVersion(), Attempts: each(u.GetAttempts(), d.attempt),
		OverHold: u.GetOverHold(), ChargedNanoUSD: u.GetChargedNanoUsd()}
}

func (d *decoder) attempt(a *pb.Attempt) journal.Attempt {
	return journal.Attempt{Deployment: a.GetDeployment(), Provider: a.GetProvider(), UpstreamModel: a.GetUpstreamModel(),
		Status: int(a.GetStatus()), Outcome: journal.Outcome(a.GetOutcome()), Tokens: d.tokens(a.GetTokens()),
		ServiceTier: a.GetServiceTier(), Source: journal.Source(a.GetSource()), ChargedNanoUSD: a.GetChargedNanoUsd(),
		TTFT: d.duration(a.GetTtft()), Latency: d.duration(a.GetLatency())}
}

func (d *decoder) tokens(t *pb.Tokens) journal.Tokens {
	return journal.Tokens{Input: t.GetInput(), Cached: t.GetCached(), CacheWrite: t.GetCacheWrite(), CacheWriteLong: t.GetCacheWriteLong(),
		Output: t.GetOutput(), Reasoning: t.GetReasoning(), Other: t.GetOther()}
}

func (d *decoder) principal(p *pb.Principal) journal.Principal {
	return journal.Principal{Tenant: p.GetTenant(), Team: p.GetTeam(), App: p.GetApp(), Key: p.GetKey(),
		User: p.GetUser(), Session: p.GetSession(), Agent: p.GetAgent(), Tags: p.GetTags()}
}

func (d *decoder) decided(e *pb.Decided) journal.Decided {
	return journal.Decided{DecisionID: e.GetDecisionId(), CallID: e.GetCallId(), At: d.time(e.GetAt()), Latency: d.duration(e.GetLatency()),
		Action: e.GetAction(), Changes: e.GetChanges(), Reasons: each(e.GetReasons(), d.reason), Principal: d.principal(e.GetPrincipal()),
		Gateway: e.GetGateway(), Method: e.GetMethod(), Path: e.GetPath(), Dialect: e.GetDialect(), ModelAsked: e.GetModelAsked(),
		Model: e.GetModel(), Deployments: e.GetDeployments(), InputTokens: e.GetInputTokens(), MaxOutputTokens: e.GetMaxOutputTokens(),
		HeldNanoUSD: e.GetHeldNanoUsd(), Holds: each(e.GetHolds(), d.heldOn), ExpiresAt: d.time(e.GetExpiresAt()),
		PolicyRevision: e.GetPolicyRevision(), RegistryVersion: e.GetRegistryVersion(), ZoneRules: e.GetZoneRules(),
		Findings: e.GetFindings(), Facts: e.GetFacts(), Verdict: e.GetVerdict(), PromptHash: e.GetPromptHash(),
		TraceParent: e.GetTraceParent(), RetryCount: e.GetRetryCount()}
}

func (d *decoder) reason(r *pb.Reason) journal.Reason {
	return journal.Reason{Code: r.GetCode(), Message: r.GetMessage(), Budget: r.GetBudget(), Unit: d.unit(r.GetUnit()), Limit: r.GetLimit(),
		Spent: r.GetSpent(), Held: r.GetHeld(), Asked: r.GetAsked(), ResetsAt: d.time(r.GetResetsAt()), Warning: r.GetWarning()}
}

func (d *decoder) heldOn(h *pb.HeldOn) journal.HeldOn {
	return journal.HeldOn{Key: h.GetKey(), Hold: d.holdID(h.GetHold()), Charges: each(h.GetCharges(), d.charge)}
}

func (d *decoder) ask(a *pb.Ask) journal.Ask {
	return journal.Ask{Meter: d.meter(a.GetMeter()), Want: a.GetWant(), Least: a.GetLeast()}
}

func (d *decoder) charge(c *pb.Charge) journal.Charge {
	return journal.Charge{Meter: d.meter(c.GetMeter()), Lease: c.GetLease(), Held: c.GetHeld(), Actual: c.GetActual(), Kept: c.GetKept()}
}

func (d *decoder) openHold(h *pb.OpenHold) journal.OpenHold {
	return journal.OpenHold{N: h.GetN(), Charges: each(h.GetCharges(), d.charge)}
}

func (d *decoder) holdID(h *pb.HoldID) journal.HoldID {
	return journal.HoldID{Epoch: d.epoch(h.GetEpoch()), N: h.GetN()}
}

func (d *decoder) meter(m *pb.Meter) journal.Meter {
	return journal.Meter{Budget: m.GetBudget(), Unit: d.unit(m.GetUnit()), Per: m.GetPer(), Label: m.GetLabel()}
}

func (d *decoder) window(w *pb.Window) journal.Window {
	return journal.Window{Every: d.every(w.GetEvery()), Zone: w.GetZone(), Rolling: d.duration(w.GetRolling())}
}

// Enumerations are open in protobuf: a number we have no name for arrives as it
// is and must be refused here.

func (d *decoder) unit(u pb.Unit) journal.Unit {
	if _, known := pb.Unit_name[int32(u)]; !known {
		d.fail("unit %d is not one that this program knows", u)
	}
	return journal.Unit(u)
}

func (d *decoder) every(e pb.Every) journal.Every {
	if _, known := pb.Every_name[int32(e)]; !known {
		d.fail("period %d is not one that this program knows", e)
	}
	return journal.Every(e)
}

func (d *decoder) rank(r pb.Rank) journal.Rank {
	if _, known := pb.Rank_name[int32(r)]; !known {
		d.fail("rank %d is not one that this program knows", r)
	}
	return journal.Rank(r)
}

func (d *decoder) epoch(b []byte) (e journal.Epoch) {
	if len(b) != len(e) {
		d.fail("an epoch of %d bytes, want %d", len(b), len(e))
	}
	copy(e[:], b)
	return e
}

func (d *decoder) optionalEpoch(b []byte) journal.Epoch {
	if len(b) == 0 {
		return journal.Epoch{}
	}
	return d.epoch(b)
}

func (d *decoder) hash(b []byte) (h [32]byte) {
	if len(b) != len(h) {
		d.fail("a hash of %d bytes, want %d", len(b), len(h))
	}
	copy(h[:], b)
	return h
}

func (d *decoder) time(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	if err := t.CheckValid(); err != nil {
		d.fail("%v", err)
	}
	return t.AsTime()
}

func (d *decoder) duration(p *durationpb.Duration) time.Duration {
	v := p.AsDuration()
	if p != nil && (p.CheckValid() != nil || v/time.Second != time.Duration(p.GetSeconds())) {
		d.fail("a duration of %d s is out of range", p.GetSeconds())
	}
	return v
}
