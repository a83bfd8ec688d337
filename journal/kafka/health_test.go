package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestHealth(t *testing.T) {
	refused := errors.New("connection refused")
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	h := newHealth(func() time.Time { return at })
	pass := func(d time.Duration) { at = at.Add(d) }
	want := func(step, text string) {
		t.Helper()
		err := h.last()
		if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v; want %q", step, err, text)
		}
	}
	want("nothing is known", "")
	h.OnBrokerConnect(kgo.BrokerMetadata{}, 0, nil, refused)
	want("one failure", "")
	pass(time.Second)
	h.OnBrokerE2E(kgo.BrokerMetadata{}, 0, kgo.BrokerE2E{})
	pass(time.Hour)
	want("another broker answered", "")
	h.OnBrokerE2E(kgo.BrokerMetadata{}, 0, kgo.BrokerE2E{ReadErr: context.Canceled})
	pass(time.Hour)
	want("we hung up ourselves", "")
	h.OnBrokerConnect(kgo.BrokerMetadata{}, 0, nil, refused)
	pass(4 * time.Second)
	h.OnBrokerConnect(kgo.BrokerMetadata{}, 0, nil, refused)
	want("nobody answers", "have not answered for 4s: connection refused")
	h.OnBrokerE2E(kgo.BrokerMetadata{}, 0, kgo.BrokerE2E{})
	want("somebody answers", "")

	w := &write{}
	h.began(w)
	pass(4 * time.Second)
	want("a write waits", "")
	pass(2 * time.Second)
	want("a write waits long", "not acknowledged a write for more than 5s")
	h.ended(w)
	want("it was acknowledged", "")
}
