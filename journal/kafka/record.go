package kafka

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/signalbox-dev/signalbox/journal"
)

// nameSeparator parts key and name in a compacted record's key. Neither holds it.
const nameSeparator = "\x00"

// originHeader carries the origin of a tombstone, which has no value to hold it.
const originHeader = "origin"

// record is a journal record as Kafka carries it: the value is the envelope, the
// key is what compaction compares.
func record(r journal.Record) (*kgo.Record, error) {
	value, err := Codec{}.Encode(r)
	if err != nil {
		return nil, err
	}
	k := &kgo.Record{Topic: string(r.Topic), Key: []byte(r.Key), Value: value}
	if !r.Topic.Compacted() {
		return k, nil
	}
	if strings.Contains(r.Key+r.Name, nameSeparator) {
		return nil, errors.New("append: a key or name holds a zero byte")
	}
	k.Key = []byte(r.Key + nameSeparator + r.Name)
	if r.Event == nil {
		k.Value = nil
		k.Headers = []kgo.RecordHeader{{Key: originHeader, Value: binary.BigEndian.AppendUint64(r.Origin.Epoch[:], r.Origin.Seq)}}
	}
	return k, nil
}

// entry is a fetched record as the journal speaks of it.
func entry(k *kgo.Record) journal.Entry {
	topic := journal.Topic(k.Topic)
	e := journal.Entry{Partition: k.Partition, Offset: k.Offset, At: k.Timestamp.UTC()}
	if k.Value == nil && topic.Compacted() {
		e.Record = tombstone(topic, k)
	} else {
		e.Record = Codec{}.Decode(topic, k.Value)
	}
	return e
}

func tombstone(topic journal.Topic, k *kgo.Record) journal.Record {
	r := journal.Record{Topic: topic}
	r.Key, r.Name, _ = strings.Cut(string(k.Key), nameSeparator)
	for _, h := range k.Headers {
		if n := len(r.Origin.Epoch); h.Key == originHeader && len(h.Value) == n+8 {
			copy(r.Origin.Epoch[:], h.Value)
			r.Origin.Seq = binary.BigEndian.Uint64(h.Value[n:])
		}
	}
	return r
}
