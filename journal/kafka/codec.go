package kafka

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/signalbox-dev/signalbox/journal"
	pb "github.com/signalbox-dev/signalbox/proto/gen/journal/v1"
)

// Codec turns records into bytes and back. The zero value is ready.
type Codec struct{}

// Encode gives the bytes of a record; its topic travels beside them. Text that is
// not UTF-8 is mended outside the ledger (a decision about a strange path must
// still be written) and refused inside it (two meters must not become one).
func (Codec) Encode(r journal.Record) ([]byte, error) {
	env, err := envelope(r)
	if err != nil {
		return nil, fmt.Errorf("encode a record for %s: %w", r.Topic, err)
	}
	if d := (&decoder{}); r.Event != nil {
		if d.event(env); d.err != nil { // what could not be read back would stop every fold
			return nil, fmt.Errorf("encode %T for %s: %w", r.Event, r.Topic, d.err)
		}
	}
	b, err := proto.Marshal(env)
	if err != nil && r.Topic != journal.TopicLedger && utf8.ValidString(r.Key+r.Name) {
		mendText(env.ProtoReflect())
		b, err = proto.Marshal(env)
	}
	if err != nil {
		return nil, fmt.Errorf("encode %T for %s: %w", r.Event, r.Topic, err)
	}
	if len(b) > journal.MaxRecordBytes {
		return nil, fmt.Errorf("encode %T for %s: %d bytes, at most %d: %w", r.Event, r.Topic, len(b), journal.MaxRecordBytes, journal.ErrTooLarge)
	}
	return b, nil
}

// Decode reads what Encode wrote. It never fails and never guesses: what it
// cannot read whole has journal.Unreadable as its Event.
func (Codec) Decode(topic journal.Topic, b []byte) journal.Record {
	var env pb.Envelope
	if err := proto.Unmarshal(b, &env); err != nil {
		return journal.Record{Topic: topic, Event: journal.Unreadable{Why: "not an envelope: " + err.Error()}}
	}
	rec := journal.Record{Topic: topic, Key: env.GetKey(), Name: env.GetName()}
	if err := readable(topic, &env); err != nil {
		rec.Event = journal.Unreadable{Why: err.Error()}
		return rec
	}
	d := &decoder{}
	rec.Origin = journal.Origin{Epoch: d.optionalEpoch(env.GetOrigin().GetEpoch()), Seq: env.GetOrigin().GetSeq()}
	rec.Event = d.event(&env)
	if d.err != nil {
		rec.Event = journal.Unreadable{Why: d.err.Error()}
	}
	return rec
}

// readable checks what protobuf would pass over in silence.
func readable(topic journal.Topic, env *pb.Envelope) error {
	switch {
	case env.GetRules() == 0:
		return errors.New("it names no rules")
	case env.GetRules() > journal.Rules:
		return fmt.Errorf("its rules are %d and this program knows rules up to %d: upgrade this program", env.GetRules(), journal.Rules)
	}
	if where := unknownField(env.ProtoReflect()); where != "" {
		return fmt.Errorf("%s holds a field that this program does not know", where)
	}
	if env.GetEvent() == nil && !topic.Compacted() {
		return errors.New("it holds no event")
	}
	return nil
}

// unknownField names the first message of the tree with a field we do not know,
// or gives "". It looks at every depth: a charge inside a settlement may carry
// the one field that changes what the settlement means.
func unknownField(m protoreflect.Message) (where string) {
	if len(m.GetUnknown()) > 0 {
		return string(m.Descriptor().Name())
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap(): // no map of the journal has messages as values; a test holds that
		case f.Message() == nil:
		case f.IsList():
			for i := 0; i < v.List().Len() && where == ""; i++ {
				where = unknownField(v.List().Get(i).Message())
			}
		default:
			where = unknownField(v.Message())
		}
		return where == ""
	})
	return where
}

// mendText replaces what is not UTF-8 in every text of the tree.
func mendText(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			mendMap(f, v.Map())
		case f.IsList():
			for i := range v.List().Len() {
				if f.Message() != nil {
					mendText(v.List().Get(i).Message())
				} else {
					v.List().Set(i, mended(f, v.List().Get(i)))
				}
			}
		case f.Message() != nil:
			mendText(v.Message())
		default:
			m.Set(f, mended(f, v))
		}
		return true
	})
}

func mendMap(f protoreflect.FieldDescriptor, m protoreflect.Map) {
	type pair struct{ k, v protoreflect.Value }
	var pairs []pair
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		pairs = append(pairs, pair{k.Value(), v})
		return true
	})
	for _, p := range pairs {
		m.Clear(p.k.MapKey())
		m.Set(mended(f.MapKey(), p.k).MapKey(), mended(f.MapValue(), p.v))
	}
}

func mended(f protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	if f.Kind() != protoreflect.StringKind {
		return v
	}
	return protoreflect.ValueOfString(strings.ToValidUTF8(v.String(), "\uFFFD"))
}
