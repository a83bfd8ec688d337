package adaptertest

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
)

// Door is the far end of one door: a gateway's side of it.
type Door interface {
	// Decide asks a question with a gateway token ("" for none).
	Decide(t *testing.T, token string, q door.Question) (*door.Answer, *Failure)
	// Report reports with a gateway token.
	Report(t *testing.T, token string, r door.Report) (*door.Receipt, *Failure)
}

// Failure is what a gateway sees where there is no answer.
type Failure struct {
	Kind    door.Kind
	Message string
	Answer  *door.Answer // of Unavailable
}

// House is what stands behind the door under test.
type House struct {
	Decider *Decider
	Settler *Settler
	Guard   door.Guard
}

// Token is the gateway token that is known; Gateway is whose it is, and Other
// is a second gateway of the registry.
const (
	Token   = "sbg_edge1secret"
	Gateway = "edge-1"
	Other   = "edge-2"
)

// Gateways is a registry of two gateways, one token.
type Gateways struct{}

// GatewayByToken knows Token.
func (Gateways) GatewayByToken(token string) (string, bool) { return Gateway, token == Token }

// KnownGateway knows Gateway and Other.
func (Gateways) KnownGateway(name string) bool { return name == Gateway || name == Other }

// Decider answers what it is told to, and remembers what it was asked.
type Decider struct {
	Answer decision.Answer
	Err    error

	mu   sync.Mutex
	seen []decision.Request
}

// Decide implements the doors' Decider.
func (d *Decider) Decide(_ context.Context, req decision.Request) (decision.Answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, req)
	return d.Answer, d.Err
}

// Seen is everything asked so far.
func (d *Decider) Seen() []decision.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen
}

// Settler settles as it is told to, and remembers what was reported.
type Settler struct {
	Settled decision.Settled
	Err     error

	mu   sync.Mutex
	seen []decision.Report
}

// Settle implements the doors' Settler.
func (s *Settler) Settle(_ context.Context, r decision.Report) (decision.Settled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r)
	return s.Settled, s.Err
}

// Seen is everything reported so far.
func (s *Settler) Seen() []decision.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// exactly compares by meaning: protobuf does not tell an empty list from none.
// Bodies of megabytes are compared as bytes, not one by one.
var exactly = []cmp.Option{cmpopts.EquateEmpty(), cmp.FilterValues(
	func(x, y []byte) bool { return len(x)+len(y) > 0 }, cmp.Comparer(bytes.Equal))}

// Run takes every story through a door.
func Run(t *testing.T, open func(t *testing.T, h House) Door) {
	for _, story := range questions() {
		t.Run("decide/"+story.name, func(t *testing.T) { story.tell(t, open) })
	}
	for _, story := range reports() {
		t.Run("report/"+story.name, func(t *testing.T) { story.tell(t, open) })
	}
}

func newHouse(local bool) House {
	return House{Decider: &Decider{}, Settler: &Settler{}, Guard: door.Guard{Gateways: Gateways{}, TrustLocal: local}}
}

func (s *question) tell(t *testing.T, open func(t *testing.T, h House) Door) {
	house := newHouse(s.local)
	house.Decider.Answer, house.Decider.Err = s.answer, s.err
	got, failure := open(t, house).Decide(t, s.token, s.ask)
	asked := house.Decider.Seen()
	if s.problem != 0 {
		if failure == nil || failure.Kind != s.problem {
			t.Fatalf("got %+v and failure %+v, want failure %d", got, failure, s.problem)
		}
		if s.err == nil && len(asked) != 0 {
			t.Errorf("the decision was asked %+v, and should not have been", asked)
		}
		if (failure.Answer != nil) != s.tells {
			t.Errorf("an answer for the caller: %v, want %v", failure.Answer != nil, s.tells)
		}
		return
	}
	if failure != nil {
		t.Fatalf("failed: %+v", failure)
	}
	if diff := cmp.Diff([]decision.Request{s.want}, asked, exactly...); diff != "" {
		t.Errorf("the decision was asked something else (-want +got):\n%s", diff)
	}
	want := door.Render(&s.want, &s.answer)
	if diff := cmp.Diff(&want, got, exactly...); diff != "" {
		t.Errorf("the gateway read something else (-want +got):\n%s", diff)
	}
}

func (s *report) tell(t *testing.T, open func(t *testing.T, h House) Door) {
	house := newHouse(s.local)
	house.Settler.Settled, house.Settler.Err = s.settled, s.err
	got, failure := open(t, house).Report(t, s.token, s.say)
	if s.problem != 0 {
		if failure == nil || failure.Kind != s.problem && !bothUnauthenticated(failure.Kind, s.problem) {
			t.Fatalf("got %+v and failure %+v, want failure %d", got, failure, s.problem)
		}
		if s.err == nil && len(house.Settler.Seen()) != 0 {
			t.Errorf("a report was settled that should have been refused")
		}
		return
	}
	if failure != nil {
		t.Fatalf("failed: %+v", failure)
	}
	if diff := cmp.Diff([]decision.Report{s.want}, house.Settler.Seen(), exactly...); diff != "" {
		t.Errorf("something else was settled (-want +got):\n%s", diff)
	}
	want := door.NewReceipt(s.settled)
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("the gateway read something else (-want +got):\n%s", diff)
	}
}

// bothUnauthenticated: gRPC has one word for a gateway that is not known and a
// report token that is not ours.
func bothUnauthenticated(got, want door.Kind) bool {
	return got == door.UnknownGateway && want == door.ForgedToken
}
