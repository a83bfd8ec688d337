package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/journal/kafka"
	"github.com/signalbox-dev/signalbox/journal/spool"
	"github.com/signalbox-dev/signalbox/registry"
)

// openJournal reaches the brokers, or runs the embedded journal in our folder.
func (b *box) openJournal(ctx context.Context) (err error) {
	c := b.config.Journal
	if b.config.Embedded() {
		b.journal, err = kafka.OpenEmbedded(ctx, b.config.path("journal"), kafka.EmbeddedConfig{Sync: c.Sync}, b.log)
	} else {
		b.journal, err = b.openBrokers(ctx)
	}
	if err != nil {
		return err
	}
	b.onStop("journal", b.unlessAway(b.journal.Close))
	return nil
}

func (b *box) openBrokers(ctx context.Context) (*kafka.Journal, error) {
	c := b.config.Journal
	tlsConfig, err := clientTLS(c.TLS)
	if err != nil {
		return nil, fmt.Errorf("journal.tls: %w", err)
	}
	password, err := c.SASL.Password.read()
	if err != nil {
		return nil, fmt.Errorf("journal.sasl.password: %w", err)
	}
	sasl := kafka.SASL{Mechanism: strings.ToUpper(c.SASL.Mechanism), User: c.SASL.User, Password: password}
	if sasl.Mechanism == "OAUTHBEARER" {
		sasl.TokenFile, sasl.Password = c.SASL.Password.File, ""
	}
	return kafka.Open(ctx, kafka.Config{Brokers: c.Brokers, TLS: tlsConfig, SASL: sasl,
		CreateTopics: c.CreateTopics, Compression: c.Compression}, b.log)
}

// openSpool starts the forwarder of what must not be lost and need not be waited
// for. It sends what the process before left first.
func (b *box) openSpool(context.Context) (err error) {
	b.spool, err = spool.Open(spool.Config{
		Dir: b.config.path("spool"), Epoch: b.epoch, MaxBytes: int64(b.config.Journal.SpoolMax), Sync: b.config.Journal.Sync,
	}, kafka.Codec{}, b.journal, b.log)
	if err != nil {
		return err
	}
	b.onStop("spool's file", func(context.Context) error { return b.spool.Close() })
	b.run("spool", b.spool.Run)
	b.onStop("spool's facts", func(ctx context.Context) error {
		// What cannot be sent now is on disk and goes first at the next start.
		if err := b.spool.Flush(ctx); err != nil {
			b.log.Warn("the spool keeps facts for the next start", "err", err)
		}
		return nil
	})
	return nil
}

// openRegistry reads what we were told, to the end of its topic.
func (b *box) openRegistry(ctx context.Context) (err error) {
	b.hasher = b.newHasher()
	if b.registry, err = registry.Open(ctx, b.journal, b.hasher, time.Now, b.log); err != nil {
		return err
	}
	b.run("registry", b.registry.Run)
	b.pseudonyms = registry.NewPseudonymiser(b.secret.Derive("pseudonym"))
	b.names = registry.NewNames(b.pseudonyms, b.journal)
	b.run("names", b.names.Run)
	return nil
}

func (b *box) newHasher() registry.KeyHasher {
	if previous, ok := b.secret.DerivePrevious("key-hash"); ok {
		return registry.NewKeyHasher(b.secret.Derive("key-hash"), previous)
	}
	return registry.NewKeyHasher(b.secret.Derive("key-hash"))
}

// read is the secret's value, from its file or the environment.
func (s Secret) read() (string, error) {
	if s.Value != "" || s.File == "" {
		return s.Value, nil
	}
	data, err := os.ReadFile(s.File)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(data)), nil
}

// clientTLS is how we call a broker; nil when TLS is off.
func clientTLS(c ClientTLS) (*tls.Config, error) {
	if !c.Enabled && c.CA == "" && c.Cert == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", c.CA)
		}
	}
	if c.Cert != "" {
		cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}
