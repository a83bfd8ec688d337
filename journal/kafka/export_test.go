package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/signalbox-dev/signalbox/journal"
)

// AppendRaw writes bytes that no Codec made.
func (j *Journal) AppendRaw(ctx context.Context, topic journal.Topic, key string, value []byte) error {
	r := &kgo.Record{Topic: string(topic), Key: []byte(key), Value: value, Partition: j.PartitionFor(topic, key)}
	return j.producer.send(ctx, []*kgo.Record{r}, int64(len(value)))
}

// Verify is verify.
var Verify = verify

// Bearer is the token that SASL would send.
func Bearer(s SASL, ctx context.Context) (string, error) {
	auth, err := s.bearer(ctx)
	return auth.Token, err
}
