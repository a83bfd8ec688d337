package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/signalbox-dev/signalbox/journal"
)

// Config says where the brokers are and how the topics stand on them.
type Config struct {
	Brokers []string    // host:port
	TLS     *tls.Config // nil: none
	SASL    SASL

	CreateTopics bool
	Partitions   int32                           // of keyed topics; 0: 4. The count never changes afterwards
	Retention    map[journal.Topic]time.Duration // over the defaults in topics.go
	Compression  string                          // "zstd" (or ""), "gzip", "none"
	OpenWait     time.Duration                   // how long Open waits for brokers; 0: 30 s
}

// SASL is how this program says who it is. It never prints its secrets.
type SASL struct {
	Mechanism      string // "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"
	User, Password string
	TokenFile      string                                // OAUTHBEARER: read anew for each connection
	Token          func(context.Context) (string, error) // OAUTHBEARER: instead of TokenFile
}

// String names the mechanism and the user and nothing else.
func (s SASL) String() string { return strings.TrimSpace(s.Mechanism + " " + s.User) }

// GoString keeps %#v from printing the password.
func (s SASL) GoString() string { return s.String() }

// LogValue keeps slog from printing the password.
func (s SASL) LogValue() slog.Value { return slog.StringValue(s.String()) }

const (
	partitionsDefault = 4
	partitionsMax     = 1024
	openWaitDefault   = 30 * time.Second
)

// Validate names every field that cannot be used.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("brokers: name at least one host:port"))
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			errs = append(errs, fmt.Errorf("brokers: %q is not host:port", b))
		}
	}
	if c.Partitions < 0 || c.Partitions > partitionsMax {
		errs = append(errs, fmt.Errorf("partitions: %d is not between 1 and %d", c.Partitions, partitionsMax))
	}
	if _, err := codec(c.Compression); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.SASL.mechanism(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Partitions == 0 {
		c.Partitions = partitionsDefault
	}
	if c.OpenWait == 0 {
		c.OpenWait = openWaitDefault
	}
	return c
}

// secretsInClear reports whether a password or token would cross a network that
// is not this machine's without TLS.
func (c Config) secretsInClear() bool {
	if c.TLS != nil || (c.SASL.Mechanism != "PLAIN" && c.SASL.Mechanism != "OAUTHBEARER") {
		return false
	}
	for _, b := range c.Brokers {
		host, _, _ := net.SplitHostPort(b)
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return true
		}
	}
	return false
}

func (c Config) dialOptions() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...)}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS.Clone()))
	}
	m, err := c.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	if m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

func codec(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "", "zstd":
		return kgo.ZstdCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "none":
		return kgo.NoCompression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("compression: %q is not zstd, gzip or none", name)
}

func (s SASL) mechanism() (sasl.Mechanism, error) {
	needsUser := func(m sasl.Mechanism) (sasl.Mechanism, error) {
		if s.User == "" || s.Password == "" {
			return nil, fmt.Errorf("sasl: %s needs a user and a password", s.Mechanism)
		}
		return m, nil
	}
	switch s.Mechanism {
	case "":
		if s.User != "" || s.Password != "" || s.TokenFile != "" || s.Token != nil {
			return nil, errors.New("sasl: credentials without a mechanism")
		}
		return nil, nil
	case "PLAIN":
		return needsUser(plain.Auth{User: s.User, Pass: s.Password}.AsMechanism())
	case "SCRAM-SHA-256":
		return needsUser(scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism())
	case "SCRAM-SHA-512":
		return needsUser(scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism())
	case "OAUTHBEARER":
		if (s.TokenFile == "") == (s.Token == nil) {
			return nil, errors.New("sasl: OAUTHBEARER needs a token file or a token source, and not both")
		}
		return oauth.Oauth(s.bearer), nil
	}
	return nil, fmt.Errorf("sasl: mechanism %q is not PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER", s.Mechanism)
}

// tokenMaxBytes bounds a token file; a token travels in one small request.
const tokenMaxBytes = 64 << 10

func (s SASL) bearer(ctx context.Context) (oauth.Auth, error) {
	if s.Token != nil {
		token, err := s.Token(ctx)
		return oauth.Auth{Token: token}, err
	}
	b, err := os.ReadFile(s.TokenFile)
	if err != nil {
		return oauth.Auth{}, fmt.Errorf("read the journal's token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || len(token) > tokenMaxBytes {
		return oauth.Auth{}, fmt.Errorf("token file %s holds %d bytes; want 1 to %d", s.TokenFile, len(token), tokenMaxBytes)
	}
	return oauth.Auth{Token: token}, nil
}
