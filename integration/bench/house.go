package main

import (
	"context"
	_ "embed"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/opa"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/kafka"
	"github.com/signalbox-dev/signalbox/journal/spool"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

//go:embed world.yaml
var world []byte

// house is everything a decision needs, on the embedded journal in a folder of
// its own: the default policy, five budgets, three deployments.
type house struct {
	dir       string
	journal   *kafka.Journal
	spool     *spool.Spool
	keeper    *ledger.Keeper
	decisions *decision.Service
	secret    string
	stop      context.CancelFunc
	loops     sync.WaitGroup
}

func newHouse(ctx context.Context) (_ *house, err error) {
	h := &house{}
	if h.dir, err = os.MkdirTemp("", "signalbox-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(h.dir))
		}
	}()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if h.journal, err = kafka.OpenEmbedded(ctx, h.dir+"/journal", kafka.EmbeddedConfig{}, log); err != nil {
		return nil, err
	}
	loops, stop := context.WithCancel(context.Background())
	h.stop = stop
	run := func(loop func(context.Context) error) { h.loops.Go(func() { _ = loop(loops) }) }
	epoch := journal.Epoch{1}
	if h.spool, err = spool.Open(spool.Config{Dir: h.dir + "/spool", Epoch: epoch, MaxBytes: 4 << 30}, kafka.Codec{}, h.journal, log); err != nil {
		return nil, err
	}
	run(h.spool.Run)
	hasher := registry.NewKeyHasher([32]byte{1})
	reg, err := registry.Open(ctx, h.journal, hasher, time.Now, log)
	if err != nil {
		return nil, err
	}
	run(reg.Run)
	if _, err := reg.Apply(ctx, []registry.File{{Name: "world.yaml", Data: world}}, registry.ApplyOptions{By: "bench", Confirmed: true}); err != nil {
		return nil, err
	}
	if _, h.secret, err = reg.CreateKey(ctx, registry.KeyRequest{Kind: registry.KeyApp, Tenant: "acme", App: "helpdesk", By: "bench"}); err != nil {
		return nil, err
	}
	names := registry.NewNames(registry.NewPseudonymiser([32]byte{2}), h.journal)
	policy, err := opa.Load(ctx, opa.Config{Log: log})
	if err != nil {
		return nil, err
	}
	h.keeper, err = ledger.NewKeeper(ledger.Config{Dir: h.dir + "/ledger", Epoch: epoch, LeaseWait: 5 * time.Second, HoldTTL: 15 * time.Minute,
		Spool: h.spool, Drain: h.spool.Flush}, h.journal, ledger.LimitsFunc(reg.Snapshot), time.Now, log)
	if err != nil {
		return nil, err
	}
	run(h.keeper.Run)
	for h.keeper.Ready() != nil {
		time.Sleep(time.Millisecond)
	}
	h.decisions = decision.New(decision.DefaultConfig(), decision.Parts{Registry: reg, Hasher: hasher, Policy: policy, Ledger: h.keeper,
		Recorder: h.spool, Names: names, Signer: ledger.Signer{Current: [32]byte{3}}, Now: time.Now, Log: log})
	return h, nil
}

func (h *house) close() {
	h.stop()
	h.loops.Wait()
	_ = h.spool.Close()
	_ = h.journal.Close(context.Background())
	_ = os.RemoveAll(h.dir)
}
