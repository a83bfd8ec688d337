package ledger_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// crowd is some replicas under load on a good network: nothing dies, so every
// refusal must be for want of money.
type crowd struct {
	replicas int
	limits   []int64 // of the concurrent meters that every call needs
	sizes    []int64
	pause    int // ms between calls, at most
}

// tally of one crowd.
type crowdResult struct{ calls, refused, wrong, entries int }

// crowdWait is how long a call waits; a refusal is wrong when what nobody holds,
// nor queues for since before, could have paid for the call during half of it.
const crowdWait = 60 * time.Millisecond

func (c crowd) run(t *testing.T, seed uint64, f fault) (res crowdResult) {
	s := newSim(t, seed, false, f)
	s.quiet = true // No faults of the network.
	s.budgets = nil
	for i, limit := range c.limits {
		s.budgets = append(s.budgets, &registry.Budget{Tenant: "acme", Name: "slots", Incarnation: int64(i + 1), Version: 1,
			Unit: journal.UnitConcurrent, Amount: limit, Mode: registry.Enforce})
	}
	s.replicas = make([]*process, c.replicas)
	for slot := range c.replicas {
		s.startWith(slot, ledger.Config{LeaseWait: crowdWait, HoldTTL: time.Minute, LeaseTTL: 10 * time.Second, BootID: "boot"}, &simSpool{})
	}
	synctest.Wait()
	var mu sync.Mutex
	inUse, waiting, arrivals := int64(0), map[int]int64{}, 0
	var calls sync.WaitGroup
	for _, p := range s.replicas {
		for range 60 {
			calls.Go(func() {
				time.Sleep(s.ms(c.pause * 60))
				size := c.sizes[s.n(len(c.sizes))]
				req := &ledger.HoldRequest{At: time.Now(), Key: "acme", Candidates: []ledger.Candidate{{}}}
				for _, b := range s.budgets {
					req.Candidates[0].Demands = append(req.Candidates[0].Demands, demand(b, "", min(size, b.Amount)))
				}
				mu.Lock()
				arrivals++
				me := arrivals
				waiting[me] = size
				mu.Unlock()
				could, stop := 0, make(chan struct{})
				var sampler sync.WaitGroup
				sampler.Go(func() {
					for {
						mu.Lock()
						free := c.limits[0] - inUse
						for other, size := range waiting {
							if other < me {
								free -= size // Somebody came before, and queues for it.
							}
						}
						if free >= size {
							could++
						}
						mu.Unlock()
						select {
						case <-stop:
							return
						case <-time.After(time.Millisecond):
						}
					}
				})
				held, short, err := p.keeper.Hold(context.Background(), req)
				close(stop)
				sampler.Wait()
				mu.Lock()
				delete(waiting, me)
				res.calls++
				if err != nil || len(short) > 0 {
					res.refused++
					if could > int(crowdWait/time.Millisecond)/2 {
						res.wrong++
					}
					mu.Unlock()
					return
				}
				inUse += size
				mu.Unlock()
				time.Sleep(20*time.Millisecond + s.ms(60))
				mu.Lock()
				inUse -= size
				mu.Unlock()
				pay(t, p.keeper, held, 0)
			})
		}
	}
	calls.Wait()
	for p := range s.memory.Partitions(journal.TopicLedger) {
		ends, _ := s.memory.Ends(context.Background(), journal.TopicLedger)
		res.entries += int(ends[p])
	}
	for _, p := range s.replicas {
		p.kill()
		<-p.ended
	}
	s.work.Wait()
	return res
}

// Nobody is refused while money that nobody holds could pay; and the log does not
// fill with asks under contention.
func TestNobodyIsRefusedWhileMoneyIsIdle(t *testing.T) {
	for name, c := range crowds {
		t.Run(name, func(t *testing.T) {
			var sum crowdResult
			for seed := range uint64(5) {
				synctest.Test(t, func(t *testing.T) { sum.add(c.run(t, seed, none)) })
			}
			t.Logf("%d calls, %d refused, %d wrongly, %.2f entries a call", sum.calls, sum.refused, sum.wrong, float64(sum.entries)/float64(sum.calls))
			if sum.wrong*33 > sum.calls { // Who comes first is not who is first in the log.
				t.Errorf("%d of %d calls were refused while the money was there", sum.wrong, sum.calls)
			}
		})
	}
}

func (r *crowdResult) add(o crowdResult) {
	r.calls += o.calls
	r.refused += o.refused
	r.wrong += o.wrong
	r.entries += o.entries
}

var crowds = map[string]crowd{
	"three slots, three replicas":         {replicas: 3, limits: []int64{3}, sizes: []int64{1}, pause: 30},
	"three slots, ten replicas":           {replicas: 10, limits: []int64{3}, sizes: []int64{1}, pause: 100},
	"ten slots, calls of one and six":     {replicas: 5, limits: []int64{10}, sizes: []int64{1, 1, 1, 6}, pause: 50},
	"two meters of two, five replicas":    {replicas: 5, limits: []int64{2, 2}, sizes: []int64{1}, pause: 60},
	"five meters of three, five replicas": {replicas: 5, limits: []int64{3, 3, 3, 3, 3}, sizes: []int64{1}, pause: 40},
}

// The faults that break no account, but leave money idle while calls are refused.
func TestPlantedFaultsOfLivenessAreCaught(t *testing.T) {
	for f, name := range map[fault]string{shareAlone: "granted by share without least", singly: "asks granted singly"} {
		t.Run(name, func(t *testing.T) {
			for crowdName, c := range crowds {
				var good, bad crowdResult
				for seed := range uint64(3) {
					synctest.Test(t, func(t *testing.T) { good.add(c.run(t, seed, none)) })
					synctest.Test(t, func(t *testing.T) { bad.add(c.run(t, seed, f)) })
				}
				t.Logf("%s: good %+v, bad %+v", crowdName, good, bad)
				if bad.wrong*100 > bad.calls && bad.wrong > 3*good.wrong {
					return
				}
			}
			t.Error("no crowd noticed")
		})
	}
}
