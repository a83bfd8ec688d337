package http

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// maxListed bounds a list of meters; a budget per user can have 100,000.
const maxListed = 10_000

// budgets is GET /admin/v1/budgets?match=tenant=acme&match=user=alice.
func (a *admin) budgets(w http.ResponseWriter, r *http.Request, _ operator, _ []byte) error {
	match, err := parseMatch(r.URL.Query()["match"])
	if err != nil {
		return err
	}
	out := adminapi.BudgetsResponse{Budgets: []adminapi.Budget{}}
	now, books := a.Now(), a.books()
	for _, b := range every(a.Registry.Snapshot()) {
		for _, row := range a.rows(b, books, now) {
			if !matches(b, row, match) {
				continue
			}
			if len(out.Budgets) == maxListed {
				out.Truncated = true
				break
			}
			out.Budgets = append(out.Budgets, row)
		}
	}
	respond(w, r, a.Log, http.StatusOK, out)
	return nil
}

// parseMatch reads attribute=value, several of which must all hold.
func parseMatch(given []string) (map[string]string, error) {
	match := make(map[string]string, len(given))
	for _, pair := range given {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, wrong("match", "want ATTRIBUTE=VALUE, such as tenant=acme")
		}
		if _, twice := match[name]; twice {
			return nil, wrong("match", "each attribute once")
		}
		match[name] = value
	}
	return match, nil
}

// matches compares a meter with what was asked for: its tenant, its budget's
// name, what it was made for, and what the budget's own match says.
func matches(b *registry.Budget, row adminapi.Budget, match map[string]string) bool {
	for name, want := range match {
		value, isPer := row.Per[name]
		switch {
		case name == "budget":
			if b.Name != want {
				return false
			}
		case name == "tenant":
			if b.Tenant != want {
				return false
			}
		case isPer:
			if value != want {
				return false
			}
		case !slices.Contains(b.Match[name], want):
			return false
		}
	}
	return true
}

// every lists all budgets by tenant and name: the tenants', the global ones, and
// what deployments can carry.
func every(s *registry.Snapshot) []*registry.Budget {
	return slices.SortedStableFunc(slices.Values(s.Limits()), func(x, y *registry.Budget) int {
		return cmp.Or(cmp.Compare(x.Tenant, y.Tenant), cmp.Compare(x.Name, y.Name))
	})
}

// books reads each ledger key once: incarnation to its meters.
func (a *admin) books() func(b *registry.Budget) []ledger.MeterView {
	read := map[string]map[int64][]ledger.MeterView{}
	return func(b *registry.Budget) []ledger.MeterView {
		key := b.LedgerKey()
		book, ok := read[key]
		if !ok {
			book = map[int64][]ledger.MeterView{}
			for _, m := range a.Ledger.Meters(key) {
				book[m.Meter.Budget] = append(book[m.Meter.Budget], m)
			}
			read[key] = book
		}
		return book[b.Incarnation]
	}
}

// rows are a budget's meters of the window that is open now; one row with
// nothing spent where it has none yet.
func (a *admin) rows(b *registry.Budget, books func(*registry.Budget) []ledger.MeterView, now time.Time) []adminapi.Budget {
	label, _, end, err := ledger.Label(b.Window, b.Unit, now)
	if err != nil {
		label = ""
	}
	resets := time.Time{}
	if b.Window.Every != 0 && err == nil {
		resets = end.UTC()
	}
	var rows []adminapi.Budget
	for _, m := range books(b) {
		if m.Meter.Label == label {
			rows = append(rows, a.row(b, m.Meter, m.Balance, resets))
		}
	}
	if len(rows) == 0 && len(b.Per) == 0 {
		rows = append(rows, a.row(b, journal.Meter{Label: label}, ledger.Balance{Limit: b.Amount}, resets))
	}
	if len(rows) == 0 {
		row := a.row(b, journal.Meter{Label: label}, ledger.Balance{Limit: b.Amount}, resets)
		row.Per = map[string]string{}
		for _, attribute := range b.Per {
			row.Per[attribute] = "*" // no one in particular: any first call has it all
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(x, y adminapi.Budget) int {
		for _, attribute := range b.Per {
			if c := cmp.Compare(x.Per[attribute], y.Per[attribute]); c != 0 {
				return c
			}
		}
		return 0
	})
	return rows
}

func (a *admin) row(b *registry.Budget, m journal.Meter, balance ledger.Balance, resets time.Time) adminapi.Budget {
	row := adminapi.Budget{
		Budget: b.Name, Tenant: b.Tenant, Per: map[string]string{}, Unit: b.Unit.String(),
		// What the registry says now; the book follows in a moment.
		Limit: registry.FormatAmount(b.Unit, b.Amount),
		// An adjustment stands in the book as money not spent. People want to see what
		// was spent, and the adjustment beside it.
		Spent: registry.FormatAmount(b.Unit, plus(balance.Spent, balance.Adjusted)), Held: registry.FormatAmount(b.Unit, balance.Held()),
		Left: registry.FormatAmount(b.Unit, remaining(b.Amount, balance)), ResetsAt: resets, Window: m.Label, Mode: string(b.Mode),
	}
	if balance.Suspense > 0 {
		row.Suspense = registry.FormatAmount(b.Unit, balance.Suspense)
	}
	if balance.Adjusted != 0 {
		row.Adjusted = registry.FormatAmount(b.Unit, balance.Adjusted)
	}
	for i, value := range perValues(b, m.Per) {
		row.Per[b.Per[i]] = a.readable(b, b.Per[i], value)
	}
	return row
}

// plus adds and stays at the ends of the range: a figure that people read must
// not wrap around.
func plus(a, b int64) int64 {
	switch sum := a + b; {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	default:
		return sum
	}
}

// remaining is limit − spent − held, and never below nothing.
func remaining(limit int64, balance ledger.Balance) int64 {
	return max(0, plus(plus(limit, -balance.Spent), -balance.Held()))
}

// perValues are a meter's values in the budget's order.
func perValues(b *registry.Budget, joined string) []string {
	if len(b.Per) == 0 {
		return nil
	}
	values := strings.Split(joined, journal.PerSeparator)
	return values[:min(len(values), len(b.Per))]
}

// pseudonymous attributes stand in the books as keyed pseudonyms.
func pseudonymous(attribute string) bool {
	return attribute == "user" || attribute == "session" || attribute == "agent"
}

func (a *admin) readable(b *registry.Budget, attribute, value string) string {
	if pseudonymous(attribute) && value != "" {
		return a.Names.Name(b.Tenant, value)
	}
	return value
}

// adjust is POST /admin/v1/budgets/adjust.
func (a *admin) adjust(w http.ResponseWriter, r *http.Request, who operator, body []byte) error {
	var req adminapi.AdjustRequest
	if err := read(body, &req); err != nil {
		return err
	}
	if err := whyOf(req.By, true); err != nil {
		return err
	}
	b, err := a.oneBudget(req.Tenant, req.Budget)
	if err != nil {
		return err
	}
	amount, err := parseSigned(b.Unit, req.Add)
	if err != nil {
		return err
	}
	meter, err := a.meterOf(b, req.Per)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	adjusted := journal.Adjusted{ID: id.String(), Meter: meter, Amount: amount, By: who.by(req.Who), Why: req.Why}
	if err := a.Ledger.Adjust(r.Context(), b.LedgerKey(), adjusted); err != nil {
		return err
	}
	respond(w, r, a.Log, http.StatusOK, adminapi.AdjustResponse{Budget: a.meterRow(b, meter)})
	return nil
}

// meterRow is one meter as the book has it now.
func (a *admin) meterRow(b *registry.Budget, meter journal.Meter) adminapi.Budget {
	_, _, end, err := ledger.Label(b.Window, b.Unit, a.Now())
	if err != nil || b.Window.Every == 0 {
		end = time.Time{}
	}
	balance := ledger.Balance{Limit: b.Amount}
	for _, m := range a.Ledger.Meters(b.LedgerKey()) {
		if m.Meter == meter {
			balance = m.Balance
		}
	}
	return a.row(b, meter, balance, end)
}

// oneBudget finds a budget by name, within a tenant if one is named.
func (a *admin) oneBudget(tenant, name string) (*registry.Budget, error) {
	var found *registry.Budget
	for _, b := range every(a.Registry.Snapshot()) {
		if b.Name != name || tenant != "" && b.Tenant != tenant {
			continue
		}
		if found != nil {
			return nil, wrong("tenant", "several tenants have a budget of this name: say whose")
		}
		found = b
	}
	if found == nil {
		return nil, missing("there is no such budget: signalbox budgets shows them")
	}
	return found, nil
}

// meterOf is the budget's meter that is open now for the given per values.
func (a *admin) meterOf(b *registry.Budget, per map[string]string) (journal.Meter, error) {
	label, _, _, err := ledger.Label(b.Window, b.Unit, a.Now())
	if err != nil {
		return journal.Meter{}, err
	}
	if len(per) != len(b.Per) {
		return journal.Meter{}, wrong("per", "this budget has a meter for each "+strings.Join(b.Per, ", ")+": say which")
	}
	values := make([]string, len(b.Per))
	for i, attribute := range b.Per {
		value, ok := per[attribute]
		if !ok || strings.Contains(value, journal.PerSeparator) {
			return journal.Meter{}, wrong("per", "this budget has a meter for each "+strings.Join(b.Per, ", ")+": say which")
		}
		// A pseudonym belongs to its tenant; of a budget of all tenants the meter is
		// named by the pseudonym itself, as the list shows it.
		if pseudonymous(attribute) && value != "" && b.Tenant != "" {
			value = a.Names.Pseudonym(b.Tenant, attribute, value)
		}
		values[i] = value
	}
	return journal.Meter{Budget: b.Incarnation, Unit: b.Unit, Per: strings.Join(values, journal.PerSeparator), Label: label}, nil
}

// parseSigned reads an amount that may take away.
func parseSigned(unit journal.Unit, s string) (int64, error) {
	digits, negative := strings.CutPrefix(s, "-")
	if !negative {
		digits = strings.TrimPrefix(s, "+")
	}
	n, err := registry.ParseAmount(unit, digits)
	if err != nil {
		return 0, wrong("add", err.Error())
	}
	if n == 0 {
		return 0, wrong("add", "adding nothing changes nothing")
	}
	if negative {
		return -n, nil
	}
	return n, nil
}

// release is POST /admin/v1/budgets/release.
func (a *admin) release(w http.ResponseWriter, r *http.Request, who operator, body []byte) error {
	var req adminapi.ReleaseRequest
	if err := read(body, &req); err != nil {
		return err
	}
	if err := whyOf(req.By, true); err != nil {
		return err
	}
	epoch, err := journal.ParseEpoch(req.Epoch)
	if err != nil || epoch.IsZero() {
		return wrong("epoch", errors.Join(err, errors.New("want the epoch as the log and signalbox doctor print it")).Error())
	}
	if err := a.Ledger.ReleaseEpoch(r.Context(), epoch, who.by(req.Who), req.Why); err != nil {
		return err
	}
	respond(w, r, a.Log, http.StatusOK, adminapi.ReleaseResponse{Epoch: epoch.String()})
	return nil
}
