package ledger_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

var (
	seeds    = flag.Int("seeds", 12, "simulated worlds for each kind")
	seedFrom = flag.Uint64("seed", 0, "first seed of the simulation")
)

// sim is one world: some replicas over one log, a network that loses, repeats and
// delays, processes that die with and without their disks, and callers whose
// reports come late, twice, elsewhere or never.
type sim struct {
	t       *testing.T
	seed    uint64
	rmu     sync.Mutex
	rand    *rand.Rand
	memory  *journal.Memory
	budgets []*registry.Budget
	loses   bool // disks are lost with some of the processes
	fault   fault
	quiet   bool // no more faults and no more calls
	work    sync.WaitGroup

	mu       sync.Mutex
	replicas []*process
	epochs   uint16
	calls    []*simCall
	real     map[journal.Meter]int64 // what calls let out really cost
	watch    map[string]*ledger.Book
	broken   map[string]int // violated laws
	rewrite  *rewriter
}

// simCall is one call that was let out.
type simCall struct {
	held   ledger.Held
	actual map[journal.Meter]int64
	heldOn map[journal.Meter]int64
	rank   journal.Rank // the best word that was given
	unsure journal.Rank // a word that may have been written before its process died
	lost   bool         // with its disk
}

// process is one life of one replica.
type process struct {
	sim    *sim
	slot   int
	dir    string
	keeper *ledger.Keeper
	ctx    context.Context
	kill   context.CancelFunc
	ended  chan struct{}
	spool  *simSpool
	cut    time.Time    // until then nothing goes in or out
	gate   sync.RWMutex // a dead process writes nothing more to its disk
}

// Put writes to the process's spool while it lives.
func (p *process) Put(recs ...journal.Record) error {
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.ctx.Err() != nil {
		return errNet
	}
	return p.spool.Put(recs...)
}

// keep writes a hold to disk while the process lives.
func (p *process) keep(held ledger.Held) error {
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.ctx.Err() != nil {
		return errNet
	}
	return p.keeper.Keep(held, "c", nil)
}

func (s *sim) n(n int) int {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	return s.rand.IntN(n)
}

func (s *sim) chance(percent int) bool { return s.n(100) < percent }

func (s *sim) ms(most int) time.Duration { return time.Duration(s.n(most+1)) * time.Millisecond }

func (s *sim) law(broken bool, name string) {
	if broken {
		s.mu.Lock()
		s.broken[name]++
		s.mu.Unlock()
	}
}

func (s *sim) isQuiet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quiet
}

// The network of one process.

var errNet = errors.New("the network failed")

func (p *process) Append(ctx context.Context, recs ...journal.Record) error {
	s := p.sim
	if !p.reach(ctx) || p.ctx.Err() != nil {
		return errNet
	}
	recs = s.rewrite.sent(p, recs)
	calm := s.isQuiet()
	if !calm && s.chance(4) {
		return errNet // Lost.
	}
	if err := s.memory.Append(context.WithoutCancel(ctx), recs...); err != nil {
		return err
	}
	if !calm && s.chance(10) { // Once more, later, by a client that did not see the answer.
		again, later := s.rewrite.again(recs), s.ms(3000)
		if s.fault == newNumber {
			later = s.ms(10) // Before its own next ask has the number.
		}
		s.work.Go(func() {
			time.Sleep(later)
			_ = s.memory.Append(context.Background(), again...)
		})
	}
	if !calm && s.chance(4) {
		return errNet // Written, but nobody was told.
	}
	return nil
}

// reach waits as long as the network takes. No timer is made for no time: several
// that are due at once when they are waited for crash the race detector inside a
// bubble (Go 1.26).
func (p *process) reach(ctx context.Context) bool {
	if took := p.sim.ms(3); took > 0 {
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return false
		}
	} else if ctx.Err() != nil {
		return false
	}
	for {
		p.sim.mu.Lock()
		wait := time.Until(p.cut)
		p.sim.mu.Unlock()
		if wait <= 0 {
			return true
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
}

func (p *process) Follow(ctx context.Context, topic journal.Topic, partition int32, from int64, handle func([]journal.Entry) error) error {
	back := int64(p.sim.n(3))
	return p.sim.memory.Follow(ctx, topic, partition, max(0, from-back), func(entries []journal.Entry) error {
		if !p.reach(ctx) {
			return ctx.Err()
		}
		return handle(p.sim.rewrite.read(p, entries))
	})
}

func (p *process) Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error) {
	return p.sim.memory.Ends(ctx, topic)
}

func (p *process) Starts(ctx context.Context, topic journal.Topic) (map[int32]int64, error) {
	return p.sim.memory.Starts(ctx, topic)
}
func (p *process) Partitions(topic journal.Topic) int32 { return p.sim.memory.Partitions(topic) }
func (p *process) PartitionFor(topic journal.Topic, key string) int32 {
	return p.sim.memory.PartitionFor(topic, key)
}

func (p *process) Healthy() error {
	p.sim.mu.Lock()
	defer p.sim.mu.Unlock()
	if time.Now().Before(p.cut) {
		return errNet
	}
	return nil
}

// simSpool is a spool's file: it outlives the process when the disk does.
type simSpool struct {
	mu     sync.Mutex
	groups [][]journal.Record
}

func (s *simSpool) Put(recs ...journal.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups = append(s.groups, recs)
	return nil
}

func (s *simSpool) first() []journal.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.groups) == 0 {
		return nil
	}
	return s.groups[0]
}

// send forwards in order for the life of a process.
func (s *simSpool) send(ctx context.Context, p *process) {
	for ctx.Err() == nil {
		group := s.first()
		if group == nil || p.Append(ctx, group...) != nil {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		s.mu.Lock()
		s.groups = s.groups[1:]
		s.mu.Unlock()
	}
}

func (s *simSpool) drain(ctx context.Context) error {
	for s.first() != nil {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// start begins a process in a slot, in a folder and with a spool that may be an
// earlier one's.
func (s *sim) start(slot int, dir string, spool *simSpool) {
	s.startWith(slot, ledger.Config{Dir: dir, LeaseWait: 60 * time.Millisecond, HoldWait: s.ms(300),
		HoldTTL: 20 * time.Second, LeaseTTL: 8 * time.Second, IdleAfter: 3 * time.Second, SettleWait: 200 * time.Millisecond,
		BootID: "boot"}, spool)
}

func (s *sim) startWith(slot int, cfg ledger.Config, spool *simSpool) {
	s.mu.Lock()
	s.epochs++
	cfg.Epoch = journal.Epoch{byte(s.epochs), byte(s.epochs >> 8), 1}
	s.mu.Unlock()
	p := &process{sim: s, slot: slot, dir: cfg.Dir, spool: spool, ended: make(chan struct{})}
	cfg.Spool, cfg.Drain = p, spool.drain
	p.ctx, p.kill = context.WithCancel(context.Background())
	k, err := ledger.NewKeeper(cfg, p, s, time.Now, discard)
	if err != nil {
		s.t.Error(err)
		return
	}
	p.keeper = k
	s.work.Go(func() {
		spoolCtx, stop := context.WithCancel(p.ctx)
		var sender sync.WaitGroup
		sender.Go(func() { spool.send(spoolCtx, p) })
		if err := k.Run(p.ctx); err != nil && p.ctx.Err() == nil && s.fault == none {
			s.t.Error("run:", err)
		}
		stop()
		sender.Wait()
		close(p.ended)
	})
	s.mu.Lock()
	s.replicas[slot] = p
	s.mu.Unlock()
}

func (s *sim) BudgetByIncarnation(n int64) (*registry.Budget, bool) {
	if n < 1 || n > int64(len(s.budgets)) {
		return nil, false
	}
	return s.budgets[n-1], true
}

// die ends a process at once, and begins the next one in its slot after a while.
func (s *sim) die(slot int) {
	s.mu.Lock()
	p := s.replicas[slot]
	s.mu.Unlock()
	p.gate.Lock()
	p.kill()
	p.gate.Unlock()
	<-p.ended
	dir, spool := p.dir, p.spool
	if s.loses && s.chance(40) {
		s.mu.Lock()
		for _, c := range s.calls {
			c.lost = c.lost || c.held.Parts[0].Hold.Epoch == p.epoch()
		}
		s.mu.Unlock()
		dir, spool = s.t.TempDir(), &simSpool{}
	}
	time.Sleep(s.ms(2000))
	s.start(slot, dir, spool)
}

func (p *process) epoch() journal.Epoch { return ledger.EpochOf(p.keeper) }

// trouble makes things go wrong for a while.
func (s *sim) trouble() {
	for !s.isQuiet() {
		time.Sleep(s.ms(3000))
		slot := s.n(len(s.replicas))
		switch {
		case s.chance(30):
			s.die(slot)
		case s.chance(60):
			s.mu.Lock()
			s.replicas[slot].cut = time.Now().Add(time.Duration(200+500*slot) * time.Millisecond)
			if s.seed%3 == 0 {
				s.replicas[slot].cut = time.Now().Add(50 * time.Second) // Longer than all patience.
			}
			s.mu.Unlock()
		}
	}
}

func (s *sim) someone() *process {
	i := s.n(len(s.replicas))
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replicas[i]
}

// call asks for a hold, is let out or not, costs something, and is reported.
func (s *sim) call() {
	p := s.someone()
	if p == nil {
		return
	}
	req := &ledger.HoldRequest{At: time.Now(), Key: "acme", Candidates: []ledger.Candidate{{}}}
	for i, b := range s.budgets {
		if i > 0 && s.chance(50) {
			continue
		}
		base := int64(1)
		if b.Unit != journal.UnitRequests && b.Unit != journal.UnitConcurrent {
			base = int64(1 + s.n(9))
		}
		per := ""
		if len(b.Per) > 0 {
			per = string(rune('a' + s.n(3)))
		}
		req.Candidates[0].Demands = append(req.Candidates[0].Demands, demand(b, per, base))
	}
	held, short, err := p.keeper.Hold(p.ctx, req)
	if err != nil {
		return
	}
	if len(short) > 0 {
		for _, sh := range short {
			s.law(sh.Exhausted && sh.Asked <= sh.Limit-sh.Spent, "402 while least ≤ limit − spent")
		}
		return
	}
	if s.chance(5) {
		p.keeper.Release(held)
		return
	}
	if p.keep(held) != nil {
		return // The process died before its answer left.
	}
	s.report(p, s.letOut(held))
}

// letOut counts what the call will really cost, which is settled from now on.
func (s *sim) letOut(held ledger.Held) *simCall {
	c := &simCall{held: held, actual: map[journal.Meter]int64{}, heldOn: map[journal.Meter]int64{}}
	for _, part := range held.Parts {
		for _, ch := range part.Charges {
			c.heldOn[ch.Meter] = ch.Held
			switch ch.Meter.Unit {
			case journal.UnitConcurrent:
			case journal.UnitRequests:
				c.actual[ch.Meter] = ch.Held
			default:
				c.actual[ch.Meter] = int64(s.n(int(ch.Held) + 1))
				if s.chance(40) {
					c.actual[ch.Meter] = ch.Held
				}
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
	for m, a := range c.actual {
		s.real[m] += a
		if m.Label == ledger.LabelTotal && s.real[m] > s.budgets[m.Budget-1].Amount {
			s.broken["the real cost passed a limit"]++
		}
	}
	return c
}

// report gives the call's cost: once, twice, late, at another replica, or never.
func (s *sim) report(p *process, c *simCall) {
	time.Sleep(s.ms(4000))
	if s.chance(12) {
		return
	}
	if s.chance(12) {
		time.Sleep(time.Duration(s.n(60)) * time.Second)
	}
	for range 1 + s.n(6)/5 {
		rank := journal.RankExact
		if s.chance(15) {
			rank = journal.RankEstimate
		}
		to := p
		if s.chance(40) || p.ctx.Err() != nil {
			to = s.someone()
		}
		s.settle(to, c, rank)
		if s.chance(30) {
			s.settle(s.someone(), c, rank)
		}
		time.Sleep(s.ms(3000))
	}
}

func (s *sim) settle(p *process, c *simCall, rank journal.Rank) {
	parts := c.held.Parts
	if s.chance(50) {
		if found, err := p.keeper.Charges(c.held.Token(nil)); err == nil {
			parts = found
		}
	}
	settled := ledger.Settlement{CallID: "c", Rank: rank, Outcome: journal.OutcomeCompleted}
	for _, part := range parts {
		part.Charges = append([]journal.Charge(nil), part.Charges...)
		for i, ch := range part.Charges {
			part.Charges[i].Actual = c.actual[ch.Meter]
			if rank == journal.RankRule || rank == journal.RankEstimate {
				part.Charges[i].Actual = c.heldOn[ch.Meter] // An estimate is never under.
			}
		}
		settled.Parts = append(settled.Parts, part)
	}
	_, err := p.keeper.Settle(p.ctx, settled)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		c.unsure = max(c.unsure, rank)
		return
	}
	c.rank = max(c.rank, rank)
	ledger.Plant(p.keeper, int(s.fault), parts, settled)
}

// overdue settles by rule what nobody reported, as decision does.
func (s *sim) overdue() {
	s.mu.Lock()
	replicas := append([]*process(nil), s.replicas...)
	s.mu.Unlock()
	for _, p := range replicas {
		for _, o := range p.keeper.Overdue(time.Now()) {
			for i := range o.Parts {
				o.Parts[i].Charges = append([]journal.Charge(nil), o.Parts[i].Charges...)
				for j, ch := range o.Parts[i].Charges {
					o.Parts[i].Charges[j].Actual = ch.Held
				}
			}
			_, _ = p.keeper.Settle(p.ctx, ledger.Settlement{Parts: o.Parts, Rank: journal.RankRule, Outcome: journal.OutcomeUnknown})
		}
	}
}

// watchLog folds the log as anyone could, and holds it to the law after every
// entry.
func (s *sim) watchLog(ctx context.Context, partition int32) {
	_ = s.memory.Follow(ctx, journal.TopicLedger, partition, 0, func(entries []journal.Entry) error {
		for _, e := range s.rewrite.read(nil, entries) {
			s.mu.Lock()
			b := s.watch[e.Key]
			if b == nil {
				b = ledger.NewBook(e.Key)
				s.watch[e.Key] = b
			}
			if err := b.Apply(e); err != nil {
				s.broken["the fold stopped"]++
			}
			ledger.EachMeter(b, func(m journal.Meter, bal ledger.Balance) {
				if bal.Limit > 0 && bal.Spent+bal.Outstanding > bal.Limit {
					s.broken["spent + outstanding passed a limit"]++
				}
			})
			s.mu.Unlock()
		}
		return nil
	})
}

// run plays one world to its end and says which laws it broke.
func (s *sim) run(replicas int) map[string]int {
	watchCtx, stopWatching := context.WithCancel(context.Background())
	for p := range s.memory.Partitions(journal.TopicLedger) {
		s.work.Go(func() { s.watchLog(watchCtx, p) })
	}
	s.replicas = make([]*process, replicas)
	for slot := range replicas {
		s.start(slot, s.t.TempDir(), &simSpool{})
	}
	var trouble sync.WaitGroup
	trouble.Go(s.trouble)
	stopRule := make(chan struct{})
	trouble.Go(func() {
		for {
			select {
			case <-stopRule:
				return
			case <-time.After(time.Second):
				s.overdue()
			}
		}
	})
	var calls sync.WaitGroup
	for range 120 {
		time.Sleep(s.ms(300))
		calls.Go(s.call)
		if s.chance(10) {
			for range 8 {
				calls.Go(s.call)
			}
		}
	}
	calls.Wait()
	s.mu.Lock()
	s.quiet = true
	for _, p := range s.replicas {
		p.cut = time.Time{}
	}
	s.mu.Unlock()
	time.Sleep(3 * time.Minute) // All ttls, closers and overdue holds.
	close(stopRule)
	trouble.Wait()
	s.mu.Lock()
	for _, p := range s.replicas {
		p.cut = time.Time{} // Trouble that was just on its way.
	}
	s.mu.Unlock()
	time.Sleep(2 * time.Minute)
	s.overdueEnd()
	s.judge()
	for _, p := range s.replicas {
		p.kill()
		<-p.ended
	}
	stopWatching()
	s.work.Wait()
	return s.broken
}

func (s *sim) overdueEnd() {
	s.overdue()
	time.Sleep(time.Minute)
}

// judge holds the end of a world to the law.
func (s *sim) judge() {
	least, most := map[journal.Meter]int64{}, map[journal.Meter]int64{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		for m, held := range c.heldOn {
			low, high := held, held // By rule, or by an estimate that is as much.
			if c.rank == journal.RankExact {
				low, high = c.actual[m], c.actual[m]
			} else if c.unsure == journal.RankExact || c.lost && c.rank == 0 {
				low = c.actual[m]
			}
			if m.Unit != journal.UnitConcurrent {
				least[m] += low
				most[m] += high
			}
		}
	}
	for key, b := range s.watch {
		ledger.EachMeter(b, func(m journal.Meter, bal ledger.Balance) {
			if bal.Outstanding != 0 {
				s.broken["money is outstanding at the end"]++
			}
			if m.Label != ledger.LabelTotal {
				return
			}
			if bal.Spent < least[m] || !s.loses && bal.Spent > most[m] {
				s.broken["what is spent is not what was used"]++
				if s.fault == none {
					s.t.Logf("seed %d: key %s %+v: spent %d, want %d to %d, suspense %d", s.seed, key, m, bal.Spent, least[m], most[m], bal.Suspense)
				}
			}
		})
		for _, p := range s.replicas {
			if offset, hash, ok := ledger.BookState(p.keeper, key); ok && offset == b.Offset() && hash != b.Hash() {
				s.broken["the books differ"]++
			} else if !ok || offset != b.Offset() {
				s.broken["a replica did not fold everything"]++
			}
		}
	}
}

func newSim(t *testing.T, seed uint64, loses bool, f fault) *sim {
	s := &sim{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 7)), loses: loses, fault: f,
		memory: journal.NewMemory(2, time.Now), real: map[journal.Meter]int64{}, watch: map[string]*ledger.Book{}, broken: map[string]int{}}
	s.rewrite = newRewriter(s)
	amounts := []int64{[]int64{30, 200, 2000}[seed%3], 40, 150, 12, 200}
	for i, b := range []registry.Budget{
		{Name: "money", Unit: journal.UnitUSD},
		{Name: "calls", Unit: journal.UnitRequests, Per: []string{"user"}},
		{Name: "rate", Unit: journal.UnitTokens, Window: journal.Window{Rolling: 10 * time.Second}},
		{Name: "parallel", Unit: journal.UnitConcurrent},
		{Name: "capacity", Unit: journal.UnitTokens, Window: journal.Window{Rolling: 5 * time.Second}, Capacity: true},
	} {
		b.Incarnation, b.Amount, b.Version, b.Mode = int64(i+1), amounts[i], 1, registry.Enforce
		if !b.Capacity {
			b.Tenant = "acme"
		}
		s.budgets = append(s.budgets, &b)
	}
	return s
}

// Whatever happens to processes, disks, the network and reports, the laws hold.
func TestSimulation(t *testing.T) {
	for name, loses := range map[string]bool{"disks kept": false, "disks lost": true} {
		t.Run(name, func(t *testing.T) {
			total := 0
			for seed := *seedFrom; seed < *seedFrom+uint64(*seeds); seed++ {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(t, seed, loses, none)
					if broken := s.run(1 + int(seed%3)); len(broken) > 0 {
						t.Errorf("seed %d: %v (go test -run TestSimulation -seed %d -seeds 1)", seed, broken, seed)
					}
					total += len(s.calls)
				})
			}
			t.Logf("seeds %d to %d: %d calls let out", *seedFrom, *seedFrom+uint64(*seeds)-1, total)
		})
	}
}

var _ = fmt.Sprint
