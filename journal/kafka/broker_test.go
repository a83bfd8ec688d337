package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/journaltest"
	"github.com/signalbox-dev/signalbox/journal/kafka"
)

var quiet = slog.New(slog.DiscardHandler)

// brokers starts some on loopback; the journal reaches them as it reaches any.
func brokers(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, []string) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ListenAddrs()
}

func openBrokers(t *testing.T, cfg kafka.Config) *kafka.Journal {
	t.Helper()
	cfg.CreateTopics = true
	j, err := kafka.Open(t.Context(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close(context.Background()) })
	return j
}

func admin(t *testing.T, addrs []string) *kadm.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return kadm.NewClient(c)
}

// TestBrokersAreAJournal runs the suite over TCP, against three brokers, and
// against the real ones that SIGNALBOX_TEST_BROKERS names.
func TestBrokersAreAJournal(t *testing.T) {
	addrs := strings.FieldsFunc(os.Getenv("SIGNALBOX_TEST_BROKERS"), func(r rune) bool { return r == ',' })
	if len(addrs) == 0 {
		_, addrs = brokers(t, kfake.NumBrokers(3))
	}
	var notOurs []goleak.Option // the broker's half of connections that we have closed
	for _, half := range []string{"read", "read.func1", "write", "write.func1"} {
		notOurs = append(notOurs, goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn)."+half))
	}
	journaltest.Run(t, func(t *testing.T) journaltest.Opened {
		cfg := kafka.Config{Brokers: addrs}
		j := openBrokers(t, cfg)
		return journaltest.Opened{
			Journal: j, NotOurs: notOurs,
			Reopen: func(t *testing.T) journaltest.Journal {
				closeNow(t, j)
				j = openBrokers(t, cfg)
				return j
			},
			Damage: func(t *testing.T, topic journal.Topic, key string) {
				if err := j.AppendRaw(t.Context(), topic, key, []byte("no envelope")); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func TestTopicsThatStandWrongAreNamedWithWhatToMend(t *testing.T) {
	_, addrs := brokers(t)
	adm := admin(t, addrs)
	set := func(kv ...string) map[string]*string {
		m := map[string]*string{"message.timestamp.type": kadm.StringPtr("LogAppendTime")}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = &kv[i+1]
		}
		return m
	}
	for topic, c := range map[journal.Topic]struct {
		partitions int32
		configs    map[string]*string
	}{
		journal.TopicRegistry:  {1, set("retention.ms", "604800000")},
		journal.TopicLedger:    {3, set("retention.ms", "3600000", "message.timestamp.type", "CreateTime")},
		journal.TopicSnapshots: {1, set("cleanup.policy", "delete")},
		journal.TopicDecisions: {4, set("max.message.bytes", "1000", "retention.ms", "-1")},
		journal.TopicNames:     {4, set("cleanup.policy", "compact")},
	} {
		if _, err := adm.CreateTopic(t.Context(), c.partitions, 1, c.configs, string(topic)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := kafka.Open(t.Context(), kafka.Config{Brokers: addrs}, quiet)
	var wrong *kafka.TopicsError
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"topic signalbox.registry has retention.ms=604800000: it must be at least -1",
		"topic signalbox.ledger has 3 partitions and this program is set to 4",
		"topic signalbox.ledger has message.timestamp.type=CreateTime: it must be LogAppendTime",
		"topic signalbox.ledger has retention.ms=3600000: it must be at least 604800000",
		"topic signalbox.snapshots has cleanup.policy=delete: it must be compact",
		"topic signalbox.decisions has max.message.bytes=1000: it must be at least 1000000",
		"topic signalbox.traces does not exist: create it with 4 partitions, or allow it",
		"topic signalbox.health does not exist: create it with 1 partitions, or allow it",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say: %s", want)
		}
	}
	if n := len(wrong.Problems); n != 8 {
		t.Errorf("%d problems; want 8: %v", n, err)
	}
}

func TestRetentionThatWouldLoseMoneyIsRefused(t *testing.T) {
	for topic, d := range map[journal.Topic]time.Duration{
		journal.TopicLedger: time.Hour, journal.TopicRegistry: 24 * 365 * time.Hour, journal.TopicNames: time.Hour,
	} {
		_, err := kafka.OpenEmbedded(t.Context(), t.TempDir(), kafka.EmbeddedConfig{Retention: map[journal.Topic]time.Duration{topic: d}}, quiet)
		if err == nil || !strings.Contains(err.Error(), string(topic)) {
			t.Errorf("%s kept for %s: %v", topic, d, err)
		}
	}
	openEmbedded(t, t.TempDir(), kafka.EmbeddedConfig{Retention: map[journal.Topic]time.Duration{journal.TopicLedger: 30 * 24 * time.Hour, journal.TopicTraces: time.Hour}})
}

func TestConfigurationThatCannotWork(t *testing.T) {
	for want, cfg := range map[string]kafka.Config{
		"name at least one host:port":     {},
		`"broker" is not host:port`:       {Brokers: []string{"broker"}},
		"partitions: -1":                  {Brokers: []string{"b:1"}, Partitions: -1},
		`compression: "lz77"`:             {Brokers: []string{"b:1"}, Compression: "lz77"},
		`mechanism "GSSAPI"`:              {Brokers: []string{"b:1"}, SASL: kafka.SASL{Mechanism: "GSSAPI"}},
		"PLAIN needs a user":              {Brokers: []string{"b:1"}, SASL: kafka.SASL{Mechanism: "PLAIN", User: "u"}},
		"SCRAM-SHA-512 needs a user":      {Brokers: []string{"b:1"}, SASL: kafka.SASL{Mechanism: "SCRAM-SHA-512"}},
		"credentials without a mechanism": {Brokers: []string{"b:1"}, SASL: kafka.SASL{User: "u"}},
		"needs a token file or a token":   {Brokers: []string{"b:1"}, SASL: kafka.SASL{Mechanism: "OAUTHBEARER"}},
	} {
		if _, err := kafka.Open(t.Context(), cfg, quiet); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

func TestCredentialsArePrintedNowhere(t *testing.T) {
	s := kafka.SASL{Mechanism: "PLAIN", User: "signalbox", Password: "hunter2"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "sasl", s, "config", fmt.Sprintf("%v %+v %#v %s", s, s, s, s))
	if strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), "PLAIN signalbox") {
		t.Error(log.String())
	}
}

func TestBrokersThatWantCredentials(t *testing.T) {
	_, addrs := brokers(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "signalbox", "secret"), kfake.Superuser("SCRAM-SHA-256", "signalbox", "secret"),
		kfake.Superuser("SCRAM-SHA-512", "signalbox", "secret"))
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			j := openBrokers(t, kafka.Config{Brokers: addrs, SASL: kafka.SASL{Mechanism: mechanism, User: "signalbox", Password: "secret"}})
			if err := j.Append(t.Context(), numbered("acme", 1)); err != nil {
				t.Error(err)
			}
			_, err := kafka.Open(t.Context(), kafka.Config{Brokers: addrs, OpenWait: time.Nanosecond, SASL: kafka.SASL{Mechanism: mechanism, User: "signalbox", Password: "wrong"}}, quiet)
			if err == nil {
				t.Error("a wrong password was accepted")
			}
		})
	}
}

func TestATokenFileIsReadForEachConnection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	s := kafka.SASL{Mechanism: "OAUTHBEARER", TokenFile: file}
	if _, err := kafka.Bearer(s, t.Context()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("no file: %v", err)
	}
	for _, token := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := kafka.Bearer(s, t.Context()); err != nil || got != token {
			t.Errorf("got %q, %v; want %q", got, err, token)
		}
	}
	s = kafka.SASL{Mechanism: "OAUTHBEARER", Token: func(context.Context) (string, error) { return "three", nil }}
	if got, err := kafka.Bearer(s, t.Context()); err != nil || got != "three" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestBrokersBehindTLS(t *testing.T) {
	server, client := certificates(t)
	_, addrs := brokers(t, kfake.TLS(server))
	j := openBrokers(t, kafka.Config{Brokers: addrs, TLS: client})
	if err := j.Append(t.Context(), numbered("acme", 1)); err != nil {
		t.Error(err)
	}
	if _, err := kafka.Open(t.Context(), kafka.Config{Brokers: addrs, TLS: &tls.Config{}, OpenWait: time.Nanosecond}, quiet); err == nil {
		t.Error("a certificate of nobody's was accepted")
	}
}

func certificates(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: pool}
}

// A log whose beginning went away under a reader is a gap, at its start and later.
func TestALogThatLostItsBeginningIsAGap(t *testing.T) {
	_, addrs := brokers(t)
	j := openBrokers(t, kafka.Config{Brokers: addrs, Partitions: 1})
	for n := range 10 {
		if err := j.Append(t.Context(), numbered("acme", n)); err != nil {
			t.Fatal(err)
		}
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: string(journal.TopicLedger), Partition: 0, At: 6})
	if _, err := admin(t, addrs).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	err := j.Follow(t.Context(), journal.TopicLedger, 0, 3, func([]journal.Entry) error { return errors.New("it read on") })
	var gap *journal.GapError
	if !errors.As(err, &gap) || gap.Want != 3 || gap.Start != 6 || gap.End != 10 {
		t.Errorf("got %v; want a gap: 3 is needed, the log begins at 6", err)
	}
}

// The broker refuses one write for good. What was given with it must not get in
// before it, and the same records can be given again.
func TestAWriteThatFailedForGoodCanBeGivenAgain(t *testing.T) {
	c, addrs := brokers(t)
	j := openBrokers(t, kafka.Config{Brokers: addrs, Partitions: 1})
	var refuse atomic.Bool
	refuse.Store(true)
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !refuse.CompareAndSwap(true, false) {
			return nil, nil, false
		}
		r := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, rt := range req.(*kmsg.ProduceRequest).Topics {
			t := kmsg.NewProduceResponseTopic()
			t.Topic, t.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition, p.ErrorCode = rp.Partition, kerr.PolicyViolation.Code
				t.Partitions = append(t.Partitions, p)
			}
			r.Topics = append(r.Topics, t)
		}
		return r, nil, true
	})
	recs := []journal.Record{numbered("acme", 1), numbered("acme", 2), numbered("acme", 3)}
	if err := j.Append(t.Context(), recs...); !errors.Is(err, kerr.PolicyViolation) {
		t.Fatalf("got %v; want the broker's refusal", err)
	}
	if err := j.Append(t.Context(), recs...); err != nil {
		t.Fatal(err)
	}
	if e := first(t, j, "acme"); e.Event.(journal.Adjusted).Amount != 1 {
		t.Errorf("the first entry is %+v", e.Event)
	}
}

// A caller who goes away takes only himself away.
func TestACancelledAppendFailsNobodyElses(t *testing.T) {
	c, addrs := brokers(t)
	j := openBrokers(t, kafka.Config{Brokers: addrs, Partitions: 1})
	arrived, release := make(chan struct{}, 16), make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		arrived <- struct{}{}
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := make(chan error, 1), make(chan error, 1)
	go func() { gone <- j.Append(ctx, numbered("acme", 1)) }()
	<-arrived
	go func() { stays <- j.Append(t.Context(), numbered("acme", 2)) }()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left: %v", err)
	}
	close(release)
	if err := <-stays; err != nil {
		t.Errorf("the one who stayed: %v", err)
	}
}

// While the broker is away, appends and followers wait; when it is back on the
// same files, they go on.
func TestABrokerThatComesBack(t *testing.T) {
	data := kfake.DataDir(t.TempDir())
	c, addrs := brokers(t, data)
	_, port, _ := net.SplitHostPort(addrs[0])
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	j := openBrokers(t, kafka.Config{Brokers: addrs, Partitions: 1})
	ctx, cancel := context.WithCancel(t.Context())
	got, done := make(chan int64), make(chan error, 1)
	go func() {
		done <- j.Follow(ctx, journal.TopicLedger, 0, 0, func(es []journal.Entry) error {
			for _, e := range es {
				got <- e.Event.(journal.Adjusted).Amount
			}
			return nil
		})
	}()
	if err := j.Append(t.Context(), numbered("acme", 1)); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != 1 {
		t.Fatalf("heard of %d first", n)
	}
	c.Close()
	appended := make(chan error, 1)
	go func() { appended <- j.Append(t.Context(), numbered("acme", 2)) }()
	brokers(t, data, kfake.Ports(number))
	if err := <-appended; err != nil {
		t.Errorf("append: %v", err)
	}
	if n := <-got; n != 2 {
		t.Errorf("heard of %d second", n)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("follow: %v", err)
	}
}

// On a compacted topic entries are missing as a matter of course, at the front too.
func TestACompactedTopicIsReadAroundItsHoles(t *testing.T) {
	data := kfake.DataDir(t.TempDir())
	c, addrs := brokers(t, data)
	j := openBrokers(t, kafka.Config{Brokers: addrs, Partitions: 1})
	name := func(pseudonym, name string) journal.Record {
		return journal.Record{Topic: journal.TopicNames, Key: "acme", Name: pseudonym, Event: journal.Named{Kind: "user", Pseudonym: pseudonym, Name: name}}
	}
	for _, r := range []journal.Record{name("p1", "ada"), name("p2", "bob"), name("p1", "eve"), name("p3", "joe")} {
		if err := j.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	closeNow(t, j)
	c.Compact()
	c.Close()
	_, addrs = brokers(t, data)
	j = openBrokers(t, kafka.Config{Brokers: addrs, Partitions: 1})
	var got []string
	stop := errors.New("stop")
	err := j.Follow(t.Context(), journal.TopicNames, 0, 0, func(es []journal.Entry) error {
		for _, e := range es {
			got = append(got, e.Event.(journal.Named).Name)
		}
		if es[len(es)-1].Offset == 3 {
			return stop
		}
		return nil
	})
	if want := "bob eve joe"; !errors.Is(err, stop) || strings.Join(got, " ") != want {
		t.Errorf("read %v, %v; want %s", got, err, want)
	}
}
