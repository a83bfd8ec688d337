package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/signalbox-dev/signalbox/analytics"
	"github.com/signalbox-dev/signalbox/analytics/embedded"
	"github.com/signalbox-dev/signalbox/journal/kafka"
)

// latestStore is the store once there is one: decisions do not wait for it.
type latestStore struct {
	atomic.Pointer[analytics.Store]
}

var errNoAnalytics = errors.New("analytics are not up yet")

// Query asks the store, if it is up.
func (l *latestStore) Query(ctx context.Context, sql string) (*analytics.Result, error) {
	if store := l.Load(); store != nil {
		return store.Query(ctx, sql)
	}
	return nil, errNoAnalytics
}

// openAnalytics starts the engine, if it is ours, and streams the journal into
// ClickHouse in the background: where it is missing, decisions go on, readiness
// says so, and it catches up later.
func (b *box) openAnalytics(ctx context.Context) error {
	b.store = &latestStore{}
	if b.config.Analytics.Disabled {
		b.ready.watch(false, func() string { return "analytics: switched off by analytics.disabled" })
		return nil
	}
	dsn := string(b.config.Analytics.ClickHouse)
	var ready func() error // a server of the operator's own says by itself whether it answers
	if dsn == "" {
		engine, err := embedded.Start(context.WithoutCancel(ctx), embedded.Config{Dir: b.config.path("clickhouse"), EnginePath: b.config.Analytics.Engine}, b.log)
		if err != nil {
			return err
		}
		b.onStop("analytics engine", func(context.Context) error { return engine.Close() })
		dsn, ready = engine.DSN(), engine.Err
	}
	store, err := analytics.Open(ctx, analytics.Config{DSN: dsn, Ready: ready}, b.log)
	if err != nil {
		return err
	}
	b.onStop("analytics store", func(context.Context) error { return store.Close() })
	sink := analytics.NewSink(store, b.journal, analytics.RegistryCatalog{Registry: b.registry}, analytics.SinkConfig{Encode: kafka.Codec{}.Encode}, b.log)
	b.sink = sink
	b.watchAnalytics(sink, ready)
	b.run("analytics", func(ctx context.Context) error { return b.stream(ctx, store, sink) })
	return nil
}

// stream migrates the schema as soon as the store answers, and then never ends.
func (b *box) stream(ctx context.Context, store *analytics.Store, sink *analytics.Sink) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, store.Migrate(ctx) },
		backoff.WithBackOff(backoff.NewConstantBackOff(500*time.Millisecond)), backoff.WithMaxElapsedTime(0))
	if err != nil {
		return err
	}
	b.store.Store(store)
	return sink.Run(ctx)
}

// watchAnalytics tells readiness what is missing.
func (b *box) watchAnalytics(sink *analytics.Sink, ready func() error) {
	b.ready.watch(false, func() string {
		if b.store.Load() == nil {
			if ready != nil && ready() != nil {
				return fmt.Sprintf("analytics: %v", ready())
			}
			return fmt.Sprintf("analytics: %v", errNoAnalytics)
		}
		if err := sink.Err(); err != nil {
			return fmt.Sprintf("analytics: %v", err)
		}
		return ""
	})
}
