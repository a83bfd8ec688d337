package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/opa"
	"github.com/signalbox-dev/signalbox/guard"
	"github.com/signalbox-dev/signalbox/ledger"
)

// openPolicy loads the policy; one that does not compile stops the start.
func (b *box) openPolicy(ctx context.Context) (err error) {
	if b.policy, err = opa.Load(ctx, opa.Config{Dir: b.config.Policy.Dir, Log: b.log}); err != nil {
		return err
	}
	b.run("policy", b.policy.Run)
	return nil
}

// openLedger folds the books and waits for their tail: before it is folded
// nobody knows what may be spent.
func (b *box) openLedger(ctx context.Context) (err error) {
	c := b.config.Ledger
	mode := ledger.ModeLease
	if decision.FailureMode(c.FailureMode) == decision.FailClosed {
		mode = ledger.ModeClosed
	}
	b.keeper, err = ledger.NewKeeper(ledger.Config{
		Dir: b.config.path("ledger"), Epoch: b.epoch, Mode: mode, Sync: b.config.Journal.Sync,
		LeaseWait: time.Duration(c.LeaseWait), HoldWait: time.Duration(c.HoldWait), HoldTTL: time.Duration(c.HoldTTL),
		Spool: b.spool, Drain: b.spool.Flush,
	}, b.journal, ledger.LimitsFunc(b.registry.Snapshot), time.Now, b.log)
	if err != nil {
		return err
	}
	b.onStop("ledger's leases", b.unlessAway(b.keeper.Shutdown)) // after Run has ended
	b.run("ledger", b.keeper.Run)
	return b.waitForBooks(ctx)
}

func (b *box) waitForBooks(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := b.keeper.Ready()
		if err == nil {
			return nil
		}
		var stopped *ledger.StoppedError
		if errors.As(err, &stopped) {
			b.ready.broken("ledger", err) // its partition's tenants are stopped; the others are served
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// openDecisions puts the pipeline together.
func (b *box) openDecisions(context.Context) error {
	signer := ledger.Signer{Current: b.secret.Derive("report-token")}
	if previous, ok := b.secret.DerivePrevious("report-token"); ok {
		signer.Previous = previous
	}
	config := decision.DefaultConfig()
	config.HoldTTL = time.Duration(b.config.Ledger.HoldTTL)
	config.FailureMode = decision.FailureMode(b.config.Ledger.FailureMode)
	config.MaxBody = int64(b.config.Limits.Body)
	config.PromptKey = b.secret.Derive("prompt-hash")
	b.decisions = decision.New(config, decision.Parts{
		Registry: b.registry, Hasher: b.hasher, Policy: b.policy, Ledger: b.keeper, Recorder: b.spool,
		Names: b.names, Signer: signer, Observe: decision.NewMetrics(b.metrics, b.log), Now: time.Now, Log: b.log,
		Health: b.health, Learn: b.health, Guard: guard.Email{},
	})
	b.run("decisions", b.decisions.Run)
	if err := b.metrics.Register(gauges{b}); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}
