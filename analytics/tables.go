package analytics

import (
	"context"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// origins are the highest sequence seen of each epoch, by partition. A spool that
// sends again sends the same origins, and inside one partition they only rise.
type origins map[int32]map[string]uint64

// fresh says whether an entry is not a repetition, and remembers it. Entries
// without a number repeat nothing.
func (o origins) fresh(e *journal.Entry) bool {
	if e.Origin.Seq == 0 {
		return true
	}
	seen := o[e.Partition]
	if seen == nil {
		seen = map[string]uint64{}
		o[e.Partition] = seen
	}
	epoch := e.Origin.Epoch.String()
	if e.Origin.Seq <= seen[epoch] {
		return false
	}
	seen[epoch] = e.Origin.Seq
	return true
}

// open makes the tables of one topic, with what they must remember, from the rows
// that are there.
func (k *Sink) open(ctx context.Context, topic journal.Topic) ([]*table, error) {
	switch topic {
	case journal.TopicDecisions:
		return k.openAll(ctx, k.decisions)
	case journal.TopicLedger:
		return k.openAll(ctx, k.usage, k.movements)
	case journal.TopicNames:
		return k.openAll(ctx, k.names)
	case journal.TopicTraces:
		return k.openAll(ctx, k.traces)
	}
	return nil, fmt.Errorf("no table is filled from %s", topic)
}

func (k *Sink) openAll(ctx context.Context, opens ...func(context.Context) (*table, error)) ([]*table, error) {
	var tables []*table
	for _, open := range opens {
		t, err := open(ctx)
		if err != nil {
			return nil, err
		}
		if t.next, err = k.store.resume(ctx, t.name); err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// inserts is how a table is written that needs no more than an insert.
func (k *Sink) inserts(table string) func(context.Context, []any) error {
	return func(ctx context.Context, rows []any) error { return k.store.insert(ctx, table, rows) }
}

// rowBytes is about what a row without long texts takes in memory.
const rowBytes = 800

func (k *Sink) decisions(ctx context.Context) (*table, error) {
	const name = "decisions_log"
	seen, err := k.store.origins(ctx, name)
	if err != nil {
		return nil, err
	}
	chains, err := k.store.chains(ctx)
	if err != nil {
		return nil, err
	}
	take := func(e *journal.Entry) ([]any, int, error) {
		d, is := e.Event.(journal.Decided)
		if !is || !seen.fresh(e) {
			return nil, 0, nil
		}
		raw, err := k.cfg.Encode(e.Record)
		if err != nil {
			return nil, 0, fmt.Errorf("encode the decision for its hash: %w", err)
		}
		chains[e.Partition] = chains[e.Partition].next(raw)
		return []any{decisionOf(e, &d, chains[e.Partition].String())}, rowBytes + len(d.Facts) + len(d.Verdict), nil
	}
	return &table{name: name, take: take, flush: k.inserts(name)}, nil
}

// usage needs no memory of what it has seen: the table itself keeps one row a
// hold.
func (k *Sink) usage(context.Context) (*table, error) {
	const name = "usage_log"
	take := func(e *journal.Entry) ([]any, int, error) {
		s, is := e.Event.(journal.Settled)
		if !is || s.Usage == nil {
			return nil, 0, nil
		}
		return []any{usageOf(e, &s)}, rowBytes * (1 + len(s.Usage.Attempts)), nil
	}
	return &table{name: name, take: take, flush: k.inserts(name)}, nil
}

// movements neither: the view counts of one series only what rises.
func (k *Sink) movements(ctx context.Context) (*table, error) {
	const name = "ledger_log"
	take := func(e *journal.Entry) ([]any, int, error) {
		found, err := movementsOf(e, func(incarnation int64) (Budget, error) { return k.budget(ctx, incarnation) })
		if err != nil {
			return nil, 0, err
		}
		rows := make([]any, len(found))
		for i, r := range found {
			rows[i] = r
		}
		return rows, rowBytes * len(rows), nil
	}
	return &table{name: name, take: take, flush: k.inserts(name)}, nil
}

// A budget is in the registry before it is in the ledger, but this process may
// read the ledger sooner.
const (
	budgetWait  = 5 * time.Second
	budgetEvery = 20 * time.Millisecond
)

// budget finds a meter's budget; one that the registry does not know is nameless.
func (k *Sink) budget(ctx context.Context, incarnation int64) (Budget, error) {
	if b, ok := k.catalog.Budget(incarnation); ok {
		return b, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, budgetWait, errUnknownBudget)
	defer cancel()
	tick := time.NewTicker(budgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if b, ok := k.catalog.Budget(incarnation); ok {
				return b, nil
			}
		case <-ctx.Done():
			if context.Cause(ctx) != errUnknownBudget {
				return Budget{}, context.Cause(ctx)
			}
			k.log.Warn("the ledger moves a meter of a budget that the registry does not know", "incarnation", incarnation)
			return Budget{}, nil
		}
	}
}

var errUnknownBudget = fmt.Errorf("the budget did not appear within %s", budgetWait)

func (k *Sink) traces(ctx context.Context) (*table, error) {
	const name = "traces_log"
	seen, err := k.store.origins(ctx, name)
	if err != nil {
		return nil, err
	}
	take := func(e *journal.Entry) ([]any, int, error) {
		t, is := e.Event.(journal.Traced)
		if !is || !seen.fresh(e) {
			return nil, 0, nil
		}
		return []any{traceOf(e, &t)}, rowBytes + len(t.Prompt) + len(t.Response), nil
	}
	return &table{name: name, take: take, flush: k.inserts(name)}, nil
}

// names fills two tables: the log, which has the place, and the lookup that the
// views read. The lookup goes first: if only it was written, the log's place is
// still before these entries, and writing them again changes nothing.
func (k *Sink) names(ctx context.Context) (*table, error) {
	const name = "names_log"
	seen, err := k.store.origins(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := k.store.forget(ctx); err != nil {
		return nil, fmt.Errorf("fill the names' lookup: %w", err)
	}
	take := func(e *journal.Entry) ([]any, int, error) {
		if !seen.fresh(e) {
			return nil, 0, nil
		}
		r := &nameRow{place: placeOf(e), origin: originOf(e), Tenant: e.Key, Pseudonym: e.Name}
		switch ev := e.Event.(type) {
		case journal.Named:
			r.Kind, r.Name = ev.Kind, ev.Name
		case nil:
			r.Forgotten = true
		default:
			return nil, 0, nil
		}
		return []any{r}, rowBytes, nil
	}
	return &table{name: name, take: take, flush: k.flushNames}, nil
}

func (k *Sink) flushNames(ctx context.Context, rows []any) error {
	lookup := make([]any, len(rows))
	forgotten := false
	for i, row := range rows {
		r := row.(*nameRow)
		lookup[i] = &lookupRow{r.Tenant, r.Pseudonym, r.Name}
		forgotten = forgotten || r.Forgotten
	}
	if err := k.store.insert(ctx, "names_lookup", lookup); err != nil {
		return err
	}
	if err := k.store.insert(ctx, "names_log", rows); err != nil {
		return err
	}
	if !forgotten {
		return nil
	}
	return k.store.forget(ctx)
}
