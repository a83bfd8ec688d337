package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/folder"
)

// EmbeddedConfig is for the journal without brokers.
type EmbeddedConfig struct {
	Partitions int32                           // as Config.Partitions
	Retention  map[journal.Topic]time.Duration // as Config.Retention
	Sync       bool                            // fsync each batch before it is acknowledged
	Now        func() time.Time                // the append time; nil: time.Now
}

// OpenEmbedded runs a Kafka broker inside this process, with its files in dir.
// Nobody else can reach it: it listens on an in-memory network, not on a port.
// The folder is held under a lock until Close.
func OpenEmbedded(ctx context.Context, dir string, cfg EmbeddedConfig, log *slog.Logger) (_ *Journal, err error) {
	if cfg.Partitions < 0 || cfg.Partitions > partitionsMax {
		return nil, fmt.Errorf("journal: partitions: %d is not between 1 and %d", cfg.Partitions, partitionsMax)
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = partitionsDefault
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	lay, err := newLayout(cfg.Partitions, cfg.Retention)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	lock, err := folder.Hold(dir) // the broker itself would share its files with a second process
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	data := filepath.Join(dir, "kafka")
	if err := verify(data, log); err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), lock.Release())
	}
	var network kfake.VirtualNetwork
	cluster, err := kfake.NewCluster(embeddedOptions(data, cfg, &network, log)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal: open the embedded journal in %s: %w", dir, err), lock.Release())
	}
	release := func() error {
		cluster.Close()
		return lock.Release()
	}
	j, err := open(ctx, opening{
		layout: lay, create: true, compression: kgo.NoCompression(), wait: openWaitDefault,
		dial:  []kgo.Opt{kgo.SeedBrokers(embeddedAddress), kgo.Dialer(network.DialContext)},
		stamp: cfg.Now, after: release, log: log,
	})
	if err != nil {
		return nil, errors.Join(err, release())
	}
	return j, nil
}

// The port is a name on the in-memory network and nothing on the machine's.
const (
	embeddedPort    = 9092
	embeddedAddress = "127.0.0.1:9092"
)

func embeddedOptions(data string, cfg EmbeddedConfig, network *kfake.VirtualNetwork, log *slog.Logger) []kfake.Opt {
	opts := []kfake.Opt{
		kfake.Ports(embeddedPort),
		kfake.ListenFn(network.Listen),
		kfake.DataDir(data),
		kfake.WithLogger(brokerLog{log}),
		// An hour between two looks at retention is the broker's default; segments of
		// 64 MiB keep what one look can drop, and what a start reads, small.
		kfake.BrokerConfigs(map[string]string{"log.segment.bytes": "67108864"}),
	}
	if cfg.Sync {
		opts = append(opts, kfake.SyncWrites())
	}
	return opts
}
