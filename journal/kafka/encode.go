package kafka

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/signalbox-dev/signalbox/journal"
	pb "github.com/signalbox-dev/signalbox/proto/gen/journal/v1"
)

// envelope is the one switch over the events on their way out; decoder.event is
// its mirror. A test fails when an event of package journal is missing here.
func envelope(r journal.Record) (*pb.Envelope, error) {
	env := &pb.Envelope{Rules: journal.Rules, Key: r.Key, Name: r.Name}
	if r.Origin != (journal.Origin{}) {
		env.Origin = &pb.Origin{Epoch: epochBytes(r.Origin.Epoch), Seq: r.Origin.Seq}
	}
	switch e := r.Event.(type) {
	case nil:
		if !r.Topic.Compacted() {
			return nil, fmt.Errorf("a record without an event")
		}
	case journal.EpochStarted:
		env.Event = &pb.Envelope_EpochStarted{EpochStarted: &pb.EpochStarted{Epoch: e.Epoch[:]}}
	case journal.Asked:
		env.Event = &pb.Envelope_Asked{Asked: &pb.Asked{Epoch: e.Epoch[:], N: e.N, Ttl: duration(e.TTL), Div: e.Div, Asks: each(e.Asks, ask)}}
	case journal.AskCancelled:
		env.Event = &pb.Envelope_AskCancelled{AskCancelled: &pb.AskCancelled{Epoch: e.Epoch[:], N: e.N}}
	case journal.Returned:
		env.Event = &pb.Envelope_Returned{Returned: &pb.Returned{Epoch: e.Epoch[:], N: e.N, Meter: meter(e.Meter), Total: e.Total}}
	case journal.Settled:
		env.Event = &pb.Envelope_Settled{Settled: settled(e)}
	case journal.Reported:
		env.Event = &pb.Envelope_Reported{Reported: &pb.Reported{CallId: e.CallID, Gateway: e.Gateway, Usage: usage(&e.Usage)}}
	case journal.Closed:
		env.Event = &pb.Envelope_Closed{Closed: &pb.Closed{Epoch: e.Epoch[:], N: e.N}}
	case journal.EpochEnded:
		env.Event = &pb.Envelope_EpochEnded{EpochEnded: &pb.EpochEnded{Epoch: e.Epoch[:], Open: each(e.Open, openHold), By: e.By, Why: e.Why}}
	case journal.EpochForgotten:
		env.Event = &pb.Envelope_EpochForgotten{EpochForgotten: &pb.EpochForgotten{Epoch: e.Epoch[:]}}
	case journal.LimitSet:
		env.Event = &pb.Envelope_LimitSet{LimitSet: &pb.LimitSet{Budget: e.Budget, Version: e.Version, Unit: pb.Unit(e.Unit),
			Window: window(e.Window), MaxValues: e.MaxValues, Amount: e.Amount}}
	case journal.Adjusted:
		env.Event = &pb.Envelope_Adjusted{Adjusted: &pb.Adjusted{Id: e.ID, Meter: meter(e.Meter), Amount: e.Amount, By: e.By, Why: e.Why}}
	case journal.MetersForgotten:
		env.Event = &pb.Envelope_MetersForgotten{MetersForgotten: &pb.MetersForgotten{Meters: each(e.Meters, meter), Offset: e.Offset}}
	case journal.RulesRaised:
		env.Event = &pb.Envelope_RulesRaised{RulesRaised: &pb.RulesRaised{Rules: e.Rules}}
	case journal.Checkpoint:
		env.Event = &pb.Envelope_Checkpoint{Checkpoint: &pb.Checkpoint{Offset: e.Offset, Hash: e.Hash[:]}}
	case journal.Decided:
		env.Event = &pb.Envelope_Decided{Decided: decided(e)}
	case journal.Named:
		env.Event = &pb.Envelope_Named{Named: &pb.Named{Kind: e.Kind, Pseudonym: e.Pseudonym, Name: e.Name}}
	case journal.Traced:
		env.Event = &pb.Envelope_Traced{Traced: &pb.Traced{CallId: e.CallID, DecisionId: e.DecisionID, At: timestamp(e.At),
			Capture: e.Capture, Prompt: e.Prompt, Response: e.Response}}
	case journal.RegistryChanged:
		env.Event = &pb.Envelope_RegistryChanged{RegistryChanged: &pb.RegistryChanged{Txn: e.Txn, Index: int64(e.Index), Count: int64(e.Count),
			Kind: e.Kind, Tenant: e.Tenant, Name: e.Name, Deleted: e.Deleted, Body: e.Body, At: timestamp(e.At), By: e.By, Why: e.Why}}
	case journal.SnapshotChunk:
		env.Event = &pb.Envelope_SnapshotChunk{SnapshotChunk: &pb.SnapshotChunk{Partition: e.Partition, Offset: e.Offset, Rules: e.Rules,
			Index: int64(e.Index), Count: int64(e.Count), Hash: e.Hash[:], Data: e.Data}}
	case journal.Paused:
		env.Event = &pb.Envelope_Paused{Paused: &pb.Paused{Deployment: e.Deployment, Cause: e.Cause, Since: timestamp(e.Since),
			Until: timestamp(e.Until), Pauses: e.Pauses, LastBad: timestamp(e.LastBad)}}
	default:
		return nil, fmt.Errorf("%T is not an event that can be written", r.Event)
	}
	return env, nil
}

func settled(e journal.Settled) *pb.Settled {
	return &pb.Settled{Hold: holdID(e.Hold), CallId: e.CallID, DecisionId: e.DecisionID, Rank: pb.Rank(e.Rank),
		Outcome: string(e.Outcome), Charges: each(e.Charges, charge), Usage: usage(e.Usage)}
}

func usage(u *journal.Usage) *pb.Usage {
	if u == nil {
		return nil
	}
	return &pb.Usage{At: timestamp(u.At), Principal: principal(u.Principal), Gateway: u.Gateway, Dialect: u.Dialect, Model: u.Model,
		RegistryVersion: u.RegistryVersion, Attempts: each(u.Attempts, attempt), OverHold: u.OverHold, ChargedNanoUsd: u.ChargedNanoUSD}
}

func attempt(a journal.Attempt) *pb.Attempt {
	return &pb.Attempt{Deployment: a.Deployment, Provider: a.Provider, UpstreamModel: a.UpstreamModel, Status: int64(a.Status),
		Outcome: string(a.Outcome), Tokens: tokens(a.Tokens), ServiceTier: a.ServiceTier, Source: string(a.Source),
		ChargedNanoUsd: a.ChargedNanoUSD, Ttft: duration(a.TTFT), Latency: duration(a.Latency)}
}

func tokens(t journal.Tokens) *pb.Tokens {
	return &pb.Tokens{Input: t.Input, Cached: t.Cached, CacheWrite: t.CacheWrite, CacheWriteLong: t.CacheWriteLong,
		Output: t.Output, Reasoning: t.Reasoning, Other: t.Other}
}

func principal(p journal.Principal) *pb.Principal {
	return &pb.Principal{Tenant: p.Tenant, Team: p.Team, App: p.App, Key: p.Key, User: p.User, Session: p.Session, Agent: p.Agent, Tags: p.Tags}
}

func decided(e journal.Decided) *pb.Decided {
	return &pb.Decided{DecisionId: e.DecisionID, CallId: e.CallID, At: timestamp(e.At), Latency: duration(e.Latency),
		Action: e.Action, Changes: e.Changes, Reasons: each(e.Reasons, reason), Principal: principal(e.Principal),
		Gateway: e.Gateway, Method: e.Method, Path: e.Path, Dialect: e.Dialect, ModelAsked: e.ModelAsked, Model: e.Model,
		Deployments: e.Deployments, InputTokens: e.InputTokens, MaxOutputTokens: e.MaxOutputTokens, HeldNanoUsd: e.HeldNanoUSD,
		Holds: each(e.Holds, heldOn), ExpiresAt: timestamp(e.ExpiresAt), PolicyRevision: e.PolicyRevision,
		RegistryVersion: e.RegistryVersion, ZoneRules: e.ZoneRules, Findings: e.Findings, Facts: e.Facts, Verdict: e.Verdict,
		PromptHash: e.PromptHash, TraceParent: e.TraceParent, RetryCount: e.RetryCount}
}

func reason(r journal.Reason) *pb.Reason {
	return &pb.Reason{Code: r.Code, Message: r.Message, Budget: r.Budget, Unit: pb.Unit(r.Unit), Limit: r.Limit, Spent: r.Spent,
		Held: r.Held, Asked: r.Asked, ResetsAt: timestamp(r.ResetsAt), Warning: r.Warning}
}

func heldOn(h journal.HeldOn) *pb.HeldOn {
	return &pb.HeldOn{Key: h.Key, Hold: holdID(h.Hold), Charges: each(h.Charges, charge)}
}

func ask(a journal.Ask) *pb.Ask {
	return &pb.Ask{Meter: meter(a.Meter), Want: a.Want, Least: a.Least}
}

func charge(c journal.Charge) *pb.Charge {
	return &pb.Charge{Meter: meter(c.Meter), Lease: c.Lease, Held: c.Held, Actual: c.Actual, Kept: c.Kept}
}

func openHold(h journal.OpenHold) *pb.OpenHold {
	return &pb.OpenHold{N: h.N, Charges: each(h.Charges, charge)}
}

func holdID(h journal.HoldID) *pb.HoldID {
	return &pb.HoldID{Epoch: h.Epoch[:], N: h.N}
}

func meter(m journal.Meter) *pb.Meter {
	return &pb.Meter{Budget: m.Budget, Unit: pb.Unit(m.Unit), Per: m.Per, Label: m.Label}
}

func window(w journal.Window) *pb.Window {
	return &pb.Window{Every: pb.Every(w.Every), Zone: w.Zone, Rolling: duration(w.Rolling)}
}

// epochBytes spells no epoch as nothing: most registry entries have no origin.
func epochBytes(e journal.Epoch) []byte {
	if e.IsZero() {
		return nil
	}
	return e[:]
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func duration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func each[A, B any](as []A, f func(A) B) []B {
	if len(as) == 0 {
		return nil
	}
	bs := make([]B, len(as))
	for i, a := range as {
		bs[i] = f(a)
	}
	return bs
}
