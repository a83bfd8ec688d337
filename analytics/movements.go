package analytics

import (
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Kinds of movement in the ledger table. What was granted is not among them: no
// entry says it, only the fold of all of them does. Neither is what was held:
// holds live in their replica's memory and stand in decisions.held_nano_usd.
const (
	kindAsked       = "asked"         // amount: most wanted of the meter by a lease
	kindCancelled   = "ask_cancelled" // amount 0: what it gave back is the fold's word
	kindReturned    = "returned"      // amount: given back unused from a lease, by this entry
	kindSettled     = "settled"       // amount: charged; "corrected" in the view: by how much a higher rank changed it
	kindClosed      = "closed"        // amount 0: the rest of the lease went into suspense
	kindEpochEnded  = "epoch_ended"   // amount 0: the leases of a dead process were freed, or their money released
	kindLimitSet    = "limit_set"     // amount: the budget's limit from here on
	kindAdjusted    = "adjusted"      // amount: by an operator's word; +50 gives 50 more to spend
	kindForgotten   = "meters_forgotten"
	kindEpochForgot = "epoch_forgotten"
)

// movementRow is one meter's part of one ledger entry.
type movementRow struct {
	place
	At          time.Time         `ch:"at"`
	Key         string            `ch:"key"`
	Kind        string            `ch:"kind"`
	Epoch       string            `ch:"epoch"`
	N           uint64            `ch:"n"`
	ID          string            `ch:"id"`
	Incarnation int64             `ch:"incarnation"`
	Budget      string            `ch:"budget"`
	Unit        string            `ch:"unit"`
	MeterPer    string            `ch:"meter_per"`
	Per         map[string]string `ch:"per"`
	Window      string            `ch:"window"`
	WindowStart *time.Time        `ch:"window_start"`
	Standing    int64             `ch:"standing"`
	Value       int64             `ch:"value"`
	Held        int64             `ch:"held"`
	CallID      string            `ch:"call_id"`
	By          string            `ch:"by"`
	Why         string            `ch:"why"`
}

// movementsOf are the rows of one ledger entry; none for entries that move no
// meter. resolve finds a budget by its incarnation.
func movementsOf(e *journal.Entry, resolve func(int64) (Budget, error)) ([]*movementRow, error) {
	m := movements{entry: e, resolve: resolve}
	switch ev := e.Event.(type) {
	case journal.Asked:
		for _, a := range ev.Asks {
			m.meter(a.Meter, movementRow{Kind: kindAsked, Epoch: ev.Epoch.String(), N: ev.N, Standing: 1, Value: a.Want})
		}
	case journal.AskCancelled:
		m.plain(movementRow{Kind: kindCancelled, Epoch: ev.Epoch.String(), N: ev.N, Standing: 1})
	case journal.Returned:
		m.meter(ev.Meter, movementRow{Kind: kindReturned, Epoch: ev.Epoch.String(), N: ev.N, Standing: ev.Total, Value: ev.Total})
	case journal.Settled:
		for _, c := range ev.Charges {
			m.meter(c.Meter, movementRow{Kind: kindSettled, Epoch: ev.Hold.Epoch.String(), N: ev.Hold.N,
				Standing: int64(ev.Rank), Value: c.Actual, Held: c.Held, CallID: ev.CallID})
		}
	case journal.Closed:
		for _, n := range ev.N {
			m.plain(movementRow{Kind: kindClosed, Epoch: ev.Epoch.String(), N: n, Standing: 1})
		}
	case journal.EpochEnded:
		m.plain(movementRow{Kind: kindEpochEnded, Epoch: ev.Epoch.String(), Standing: 1, By: ev.By, Why: ev.Why})
	case journal.EpochForgotten:
		m.plain(movementRow{Kind: kindEpochForgot, Epoch: ev.Epoch.String(), Standing: 1})
	case journal.LimitSet:
		m.meter(journal.Meter{Budget: ev.Budget, Unit: ev.Unit}, movementRow{Kind: kindLimitSet, Standing: ev.Version + 1, Value: ev.Amount})
	case journal.Adjusted:
		m.meter(ev.Meter, movementRow{Kind: kindAdjusted, ID: ev.ID, Standing: 1, Value: ev.Amount, By: ev.By, Why: ev.Why})
	case journal.MetersForgotten:
		for _, meter := range ev.Meters {
			m.meter(meter, movementRow{Kind: kindForgotten, N: uint64(ev.Offset), Standing: 1})
		}
	}
	return m.rows, m.err
}

type movements struct {
	entry   *journal.Entry
	resolve func(int64) (Budget, error)
	rows    []*movementRow
	err     error
}

// plain adds a row that names no meter.
func (m *movements) plain(r movementRow) {
	r.place, r.At, r.Key, r.Per = placeOf(m.entry), storable(m.entry.At), m.entry.Key, map[string]string{}
	m.rows = append(m.rows, &r)
}

// meter adds a row of one meter, with what its budget says of it.
func (m *movements) meter(meter journal.Meter, r movementRow) {
	if m.err != nil {
		return
	}
	budget, err := m.resolve(meter.Budget)
	if err != nil {
		m.err = err
		return
	}
	m.plain(r)
	row := m.rows[len(m.rows)-1]
	row.Incarnation, row.Budget, row.Unit = meter.Budget, budget.Name, meter.Unit.String()
	row.Window = meter.Label
	if meter.Label == "" {
		return // of the budget, and not of one of its meters
	}
	row.MeterPer, row.Per = meter.Per, perOf(budget.Per, meter.Per)
	if start, ok := windowStart(meter.Label, budget.Window.Zone); ok {
		start = storable(start)
		row.WindowStart = &start
	}
}

// perOf names the meter's values by the budget's attributes. Values beyond them,
// of a budget that is not known, are numbered.
func perOf(attributes []string, joined string) map[string]string {
	per := map[string]string{}
	if joined == "" && len(attributes) == 0 {
		return per
	}
	for i, value := range strings.Split(joined, journal.PerSeparator) {
		name := fmt.Sprint(i + 1)
		if i < len(attributes) {
			name = attributes[i]
		}
		per[name] = value
	}
	return per
}

// windowStart reads a meter's label (LEDGER: "2026", "2026-Q1", "2026-03",
// "2026-W13", "2026-03-29" in the budget's zone; "2026-03-29T22Z" in UTC). It is
// for people: the ledger's own zone rules, and not these, decide windows.
func windowStart(label, zone string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02T15Z", "2006-01-02T15:04Z", "2006-01-02T15:04:05Z"} {
		if t, err := time.Parse(layout, label); err == nil {
			return t, true
		}
	}
	where, err := time.LoadLocation(zone)
	if err != nil {
		where = time.UTC
	}
	for _, layout := range []string{"2006", "2006-01", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, label, where); err == nil {
			return t.UTC(), true
		}
	}
	var year, number int
	if n, err := fmt.Sscanf(label, "%4d-Q%1d", &year, &number); n == 2 && err == nil && number >= 1 && number <= 4 {
		return time.Date(year, time.Month(3*number-2), 1, 0, 0, 0, 0, where).UTC(), true
	}
	if n, err := fmt.Sscanf(label, "%4d-W%2d", &year, &number); n == 2 && err == nil && number >= 1 && number <= 53 {
		// The fourth of January is always in week 1.
		fourth := time.Date(year, 1, 4, 0, 0, 0, 0, where)
		monday := 4 - (int(fourth.Weekday())+6)%7
		return time.Date(year, 1, monday+7*(number-1), 0, 0, 0, 0, where).UTC(), true
	}
	return time.Time{}, false
}
