package kafka_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/kafka"
	pb "github.com/signalbox-dev/signalbox/proto/gen/journal/v1"
)

// drawing makes any value of each type that an event can hold.
var drawing = rapid.MakeConfig{Types: map[reflect.Type]*rapid.Generator[any]{
	reflect.TypeFor[time.Time](): rapid.Custom(func(t *rapid.T) any {
		s := rapid.Int64Range(-62135596800+1, 253402300799).Draw(t, "seconds") // years 1 to 9999: what a timestamp may say
		return time.Unix(s, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
	}),
	reflect.TypeFor[journal.Unit]():  rapid.Custom(func(t *rapid.T) any { return journal.Unit(rapid.IntRange(0, 6).Draw(t, "unit")) }),
	reflect.TypeFor[journal.Every](): rapid.Custom(func(t *rapid.T) any { return journal.Every(rapid.IntRange(0, 6).Draw(t, "every")) }),
	reflect.TypeFor[journal.Rank]():  rapid.Custom(func(t *rapid.T) any { return journal.Rank(rapid.IntRange(0, 3).Draw(t, "rank")) }),
}}

func events[E journal.Event]() *rapid.Generator[journal.Event] {
	return rapid.Map(rapid.MakeCustom[E](drawing), func(e E) journal.Event { return e })
}

// every holds a generator for each event. TestEveryEventIsCarried fails when one
// is added to package journal and not here.
var every = map[string]*rapid.Generator[journal.Event]{
	"EpochStarted": events[journal.EpochStarted](), "Asked": events[journal.Asked](), "AskCancelled": events[journal.AskCancelled](),
	"Returned": events[journal.Returned](), "Settled": events[journal.Settled](), "Reported": events[journal.Reported](),
	"Closed": events[journal.Closed](), "EpochEnded": events[journal.EpochEnded](), "EpochForgotten": events[journal.EpochForgotten](),
	"LimitSet": events[journal.LimitSet](), "Adjusted": events[journal.Adjusted](), "MetersForgotten": events[journal.MetersForgotten](),
	"RulesRaised": events[journal.RulesRaised](), "Checkpoint": events[journal.Checkpoint](), "Decided": events[journal.Decided](),
	"Named": events[journal.Named](), "Traced": events[journal.Traced](), "RegistryChanged": events[journal.RegistryChanged](),
	"SnapshotChunk": events[journal.SnapshotChunk](), "Paused": events[journal.Paused](),
}

func records(kind string) *rapid.Generator[journal.Record] {
	return rapid.Custom(func(t *rapid.T) journal.Record {
		return journal.Record{
			Topic: journal.TopicLedger, Key: rapid.String().Draw(t, "key"), Name: rapid.String().Draw(t, "name"),
			Origin: rapid.Make[journal.Origin]().Draw(t, "origin"), Event: every[kind].Draw(t, "event"),
		}
	})
}

func TestDecodeUndoesEncode(t *testing.T) {
	for kind := range every {
		t.Run(kind, rapid.MakeCheck(func(t *rapid.T) {
			want := records(kind).Draw(t, "record")
			b, err := kafka.Codec{}.Encode(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, kafka.Codec{}.Decode(want.Topic, b), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		}))
	}
}

// TestEveryEventIsCarried reads package journal, so that an event added there
// cannot be forgotten here: it names what has the method that makes an event.
func TestEveryEventIsCarried(t *testing.T) {
	var declared []string
	files, err := filepath.Glob("../*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "event" && f.Recv != nil {
				declared = append(declared, f.Recv.List[0].Type.(*ast.Ident).Name)
			}
		}
	}
	carried := []string{"Unreadable"} // stands for what could not be carried
	for kind := range every {
		carried = append(carried, kind)
	}
	slices.Sort(declared)
	slices.Sort(carried)
	if diff := cmp.Diff(declared, carried); diff != "" {
		t.Errorf("events of package journal (-declared +carried):\n%s", diff)
	}
	if n := (&pb.Envelope{}).ProtoReflect().Descriptor().Oneofs().ByName("event").Fields().Len(); n != len(every) {
		t.Errorf("the envelope knows %d events; %d are carried", n, len(every))
	}
	if _, err := (kafka.Codec{}).Encode(journal.Record{Topic: journal.TopicLedger, Event: journal.Unreadable{}}); err == nil {
		t.Error("Unreadable was written")
	}
}

// TestAFieldWeDoNotKnowIsFoundAtAnyDepth plants one in each message that can stand
// in an entry: every event in turn, with every field of it filled.
func TestAFieldWeDoNotKnowIsFoundAtAnyDepth(t *testing.T) {
	stranger := protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1)
	planted := map[protoreflect.FullName]bool{}
	kinds := (&pb.Envelope{}).ProtoReflect().Descriptor().Oneofs().ByName("event").Fields()
	for i := range kinds.Len() {
		env := &pb.Envelope{Rules: journal.Rules, Origin: &pb.Origin{}}
		fill(env.ProtoReflect().Mutable(kinds.Get(i)).Message())
		for _, m := range messages(env.ProtoReflect()) {
			planted[m.Descriptor().FullName()] = true
			m.SetUnknown(stranger)
			b, err := proto.Marshal(env)
			if err != nil {
				t.Fatal(err)
			}
			wantUnreadable(t, b, string(m.Descriptor().Name())+" holds a field")
			m.SetUnknown(nil)
		}
	}
	for _, name := range []string{"Envelope", "Origin", "Attempt", "Tokens", "Meter", "Charge", "HoldID", "Reason", "Window"} {
		if !planted[protoreflect.FullName("signalbox.journal.v1."+name)] {
			t.Errorf("none was planted in %s", name)
		}
	}
	for _, name := range []protoreflect.FullName{"google.protobuf.Timestamp", "google.protobuf.Duration"} {
		if !planted[name] {
			t.Errorf("none was planted in %s", name)
		}
	}
}

// fill puts one message into every field that holds messages, at every depth.
func fill(m protoreflect.Message) {
	for i := range m.Descriptor().Fields().Len() {
		switch f := m.Descriptor().Fields().Get(i); {
		case f.IsMap() || f.Message() == nil:
		case f.IsList():
			fill(m.Mutable(f).List().AppendMutable().Message())
		default:
			fill(m.Mutable(f).Message())
		}
	}
}

func messages(m protoreflect.Message) []protoreflect.Message {
	all := []protoreflect.Message{m}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() || f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				all = append(all, messages(v.List().Get(i).Message())...)
			}
		default:
			all = append(all, messages(v.Message())...)
		}
		return true
	})
	return all
}

func wantUnreadable(t interface {
	Helper()
	Fatalf(string, ...any)
}, b []byte, why string) {
	t.Helper()
	got := kafka.Codec{}.Decode(journal.TopicLedger, b)
	if u, ok := got.Event.(journal.Unreadable); !ok || !strings.Contains(u.Why, why) {
		t.Fatalf("it was read as %+v; want it unreadable because %q", got.Event, why)
	}
}

// unknownField does not look into maps: no map may hold messages.
func TestNoMapHoldsMessages(t *testing.T) {
	var walk func(d protoreflect.MessageDescriptor)
	known := map[protoreflect.FullName]bool{}
	walk = func(d protoreflect.MessageDescriptor) {
		if known[d.FullName()] {
			return
		}
		known[d.FullName()] = true
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			if f.IsMap() && f.MapValue().Message() != nil {
				t.Errorf("%s is a map of messages", f.FullName())
			}
			if f.Message() != nil && !f.IsMap() {
				walk(f.Message())
			}
		}
	}
	walk((&pb.Envelope{}).ProtoReflect().Descriptor())
}

func TestWhatCannotBeReadIsUnreadable(t *testing.T) {
	ep := make([]byte, 16)
	m := &pb.Meter{Unit: pb.Unit_UNIT_USD}
	for why, env := range map[string]*pb.Envelope{
		"rules are 2 and this program knows rules up to 1": {Rules: 2, Event: &pb.Envelope_RulesRaised{RulesRaised: &pb.RulesRaised{}}},
		"names no rules":      {Event: &pb.Envelope_RulesRaised{RulesRaised: &pb.RulesRaised{}}},
		"holds no event":      {Rules: 1},
		"an epoch of 3 bytes": {Rules: 1, Event: &pb.Envelope_EpochStarted{EpochStarted: &pb.EpochStarted{Epoch: ep[:3]}}},
		"an epoch of 0 bytes": {Rules: 1, Event: &pb.Envelope_EpochStarted{EpochStarted: &pb.EpochStarted{}}},
		"an epoch of 1 bytes": {Rules: 1, Origin: &pb.Origin{Epoch: ep[:1]}, Event: &pb.Envelope_RulesRaised{RulesRaised: &pb.RulesRaised{}}},
		"a hash of 16 bytes":  {Rules: 1, Event: &pb.Envelope_Checkpoint{Checkpoint: &pb.Checkpoint{Hash: ep}}},
		"unit 77":             {Rules: 1, Event: &pb.Envelope_LimitSet{LimitSet: &pb.LimitSet{Unit: 77}}},
		"unit -1":             {Rules: 1, Event: &pb.Envelope_Adjusted{Adjusted: &pb.Adjusted{Meter: &pb.Meter{Unit: -1}}}},
		"period 257":          {Rules: 1, Event: &pb.Envelope_LimitSet{LimitSet: &pb.LimitSet{Window: &pb.Window{Every: 257}}}},
		"rank 9":              {Rules: 1, Event: &pb.Envelope_Settled{Settled: &pb.Settled{Hold: &pb.HoldID{Epoch: ep}, Rank: 9, Charges: []*pb.Charge{{Meter: m}}}}},
	} {
		b, err := proto.Marshal(env)
		if err != nil {
			t.Fatal(err)
		}
		wantUnreadable(t, b, why)
	}
	wantUnreadable(t, []byte("no envelope"), "not an envelope")
	wantUnreadable(t, nil, "names no rules")

	event55 := protowire.AppendTag([]byte{8, 1}, 55, protowire.BytesType) // an event of a later program, in the envelope's oneof
	wantUnreadable(t, protowire.AppendBytes(event55, []byte("x")), "Envelope holds a field")
}

func TestWhatCouldNotBeReadBackIsNotWritten(t *testing.T) {
	for name, e := range map[string]journal.Event{
		"a unit":             journal.LimitSet{Unit: 9},
		"a period":           journal.LimitSet{Window: journal.Window{Every: 9}},
		"a rank":             journal.Settled{Rank: 9},
		"a time":             journal.Traced{At: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"no event":           nil,
		"text in the ledger": journal.Adjusted{ID: "\xff"},
	} {
		if _, err := (kafka.Codec{}).Encode(journal.Record{Topic: journal.TopicLedger, Event: e}); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func TestADecisionAboutStrangeTextIsStillWritten(t *testing.T) {
	r := journal.Record{Topic: journal.TopicDecisions, Key: "acme", Event: journal.Decided{
		Path: "/v1/\xff", Findings: []string{"a\xc3"}, Principal: journal.Principal{Tags: map[string]string{"k\xfe": "v\xff"}},
		Reasons: []journal.Reason{{Message: "no \x80"}}, Facts: []byte{0xff},
	}}
	b, err := kafka.Codec{}.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	want := journal.Decided{
		Path: "/v1/\uFFFD", Findings: []string{"a\uFFFD"}, Principal: journal.Principal{Tags: map[string]string{"k\uFFFD": "v\uFFFD"}},
		Reasons: []journal.Reason{{Message: "no \uFFFD"}}, Facts: []byte{0xff},
	}
	if diff := cmp.Diff(journal.Event(want), kafka.Codec{}.Decode(r.Topic, b).Event, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r.Key = "\xff" // the key decides the partition: mending it would move the record
	if _, err := (kafka.Codec{}).Encode(r); err == nil {
		t.Error("a key that is not UTF-8 was mended")
	}
}

func TestARecordTooLargeIsNotEncoded(t *testing.T) {
	r := journal.Record{Topic: journal.TopicTraces, Event: journal.Traced{Prompt: make([]byte, journal.MaxRecordBytes)}}
	if _, err := (kafka.Codec{}).Encode(r); !errors.Is(err, journal.ErrTooLarge) {
		t.Errorf("got %v; want %v", err, journal.ErrTooLarge)
	}
}

// FuzzDecode: whatever stands in a topic, it is read or it is Unreadable, and
// what was read is written again as the same record.
func FuzzDecode(f *testing.F) {
	for kind := range every {
		for seed := range 3 {
			b, err := kafka.Codec{}.Encode(records(kind).Example(seed))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
			f.Add(b[:len(b)/2])
		}
	}
	f.Add([]byte{8, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, topic := range journal.Topics() {
			r := kafka.Codec{}.Decode(topic, b)
			if _, unreadable := r.Event.(journal.Unreadable); unreadable {
				continue
			}
			again, err := kafka.Codec{}.Encode(r)
			if errors.Is(err, journal.ErrTooLarge) {
				continue
			}
			if err != nil {
				t.Fatalf("read as %+v and then not written: %v", r, err)
			}
			if diff := cmp.Diff(r, kafka.Codec{}.Decode(topic, again), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("(-first +second):\n%s", diff)
			}
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	r := journal.Record{Topic: journal.TopicLedger, Key: "acme", Event: records("Settled").Example(1).Event}
	if facts, err := os.ReadFile("../doc.go"); err == nil {
		r = journal.Record{Topic: journal.TopicDecisions, Key: "acme", Event: journal.Decided{DecisionID: "d", CallID: "c", Facts: facts,
			Holds: []journal.HeldOn{{Key: "acme", Charges: make([]journal.Charge, 3)}, {Key: "*", Charges: make([]journal.Charge, 1)}}}}
	}
	encoded, err := kafka.Codec{}.Encode(r)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = kafka.Codec{}.Encode(r)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			kafka.Codec{}.Decode(r.Topic, encoded)
		}
	})
}
