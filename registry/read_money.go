package registry

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/journal"
)

const (
	maxPer   = 8
	maxTiers = 16
	// mostValues bounds max_values: each value is a meter in every replica's memory.
	mostValues = 1_000_000
)

func readPrice(m *mapping) value {
	p := &Price{Deployment: m.name("deployment", true), From: m.moment("from")}
	p.Rates = m.rates(nil)
	p.Tools = m.fees("tools")
	elements := m.list("tiers", "write a list such as [{above: 200000, input: \"6\", output: \"22.50\"}]", false)
	if len(elements) > maxTiers {
		m.r.problem(m.node, fmt.Sprintf("write up to %d", maxTiers), "a price has %d tiers", len(elements))
		elements = elements[:maxTiers]
	}
	for _, e := range elements {
		t := m.r.mapping(e, "tier")
		p.addTier(t)
		t.done()
	}
	slices.SortFunc(p.Tiers, compareTiers)
	return p
}

// rates reads input and output and what is resolved from them; base is the price
// that a tier stands on, nil for the price itself.
func (m *mapping) rates(base *Rates) Rates {
	r := Rates{}
	if base != nil {
		r = *base
	}
	or := func(key string, otherwise int64) int64 {
		if nano, ok := m.usd(key, base == nil && (key == "input" || key == "output")); ok {
			return nano
		}
		return otherwise
	}
	if base != nil {
		return Rates{or("input", r.Input), or("cached_input", r.CachedInput), or("cache_write", r.CacheWrite),
			or("cache_write_long", r.CacheWriteLong), or("output", r.Output)}
	}
	r.Input = or("input", 0)
	r.CachedInput = or("cached_input", r.Input)
	r.CacheWrite = or("cache_write", r.Input)
	r.CacheWriteLong = or("cache_write_long", r.CacheWrite)
	r.Output = or("output", 0)
	return r
}

// fees reads what each use of a tool costs.
func (m *mapping) fees(key string) map[string]int64 {
	sub := m.sub(key, "mapping of tools' fees", false)
	if sub == nil {
		return nil
	}
	fees := map[string]int64{}
	for _, tool := range hostedTools {
		if nano, ok := sub.usd(tool, false); ok {
			fees[tool] = nano
		}
	}
	sub.done()
	if len(fees) == 0 {
		return nil
	}
	return fees
}

func (p *Price) addTier(m *mapping) {
	t := Tier{Above: m.integer("above", 1, maxTokens, false), ServiceTier: m.name("service_tier", false)}
	t.Rates = m.rates(&p.Rates)
	if !m.bad && t.Above == 0 && t.ServiceTier == "" && !m.has("above") && !m.has("service_tier") {
		m.r.problem(m.node, "write above: <input tokens>, service_tier: <name> or both", "this tier says for which calls it is neither by length nor by service tier")
	}
	for _, other := range p.Tiers {
		if other.Above == t.Above && other.ServiceTier == t.ServiceTier {
			m.r.problem(m.node, "keep one of them", "two tiers are for the same calls")
			return
		}
	}
	p.Tiers = append(p.Tiers, t)
}

func compareTiers(a, b Tier) int {
	if c := strings.Compare(a.ServiceTier, b.ServiceTier); c != 0 {
		return c
	}
	return int(a.Above - b.Above) // both at most maxTokens
}

// moment is a time with its zone; seconds at most, kept in UTC.
func (m *mapping) moment(key string) time.Time {
	n := m.field(key, true)
	if n == nil {
		return time.Time{}
	}
	const want = "write a time with its zone such as 2026-01-01T00:00:00Z"
	if n.Kind != yaml.ScalarNode || n.Tag != "!!timestamp" && n.Tag != "!!str" {
		m.r.problem(n, want, "%s is %s", m.full(key), kindOf(n))
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, n.Value)
	if err != nil || t.Nanosecond() != 0 || t.Year() < 2000 || t.Year() > 2200 {
		m.r.problem(n, want, "%s cannot be %q", m.full(key), clip(n.Value))
		return time.Time{}
	}
	return t.UTC()
}

// priceName is what a price is called: its deployment and the moment it begins.
func priceName(deployment string, from time.Time) string {
	return deployment + "@" + from.UTC().Format(time.RFC3339)
}

func (p *Price) id() objectID {
	return objectID{Kind: kindPrice, Name: priceName(p.Deployment, p.From)}
}

type ratesBody struct {
	Input          string `json:"input,omitempty"`
	CachedInput    string `json:"cached_input,omitempty"`
	CacheWrite     string `json:"cache_write,omitempty"`
	CacheWriteLong string `json:"cache_write_long,omitempty"`
	Output         string `json:"output,omitempty"`
}

type tierBody struct {
	Above       int64  `json:"above,omitempty"`
	ServiceTier string `json:"service_tier,omitempty"`
	ratesBody
}

// body writes every rate of a price and of a tier, resolved: what a left-out
// rate meant when it was recorded must not depend on who reads it.
func (p *Price) body() any {
	var tiers []tierBody
	for _, t := range p.Tiers {
		tiers = append(tiers, tierBody{t.Above, t.ServiceTier, t.Rates.body()})
	}
	return struct {
		Deployment string `json:"deployment"`
		From       string `json:"from"`
		ratesBody
		Tools map[string]string `json:"tools,omitempty"` // which JSON writes in the order of names
		Tiers []tierBody        `json:"tiers,omitempty"`
	}{p.Deployment, p.From.UTC().Format(time.RFC3339), p.Rates.body(), p.feesBody(), tiers}
}

func (p *Price) feesBody() map[string]string {
	body := make(map[string]string, len(p.Tools))
	for tool, nano := range p.Tools {
		body[tool] = FormatUSD(nano)
	}
	return body
}

func (r Rates) body() ratesBody {
	return ratesBody{FormatUSD(r.Input), FormatUSD(r.CachedInput), FormatUSD(r.CacheWrite), FormatUSD(r.CacheWriteLong), FormatUSD(r.Output)}
}

func readBudget(m *mapping) value {
	b := &Budget{Name: m.name("name", true), Mode: Enforce, Hold: Ceiling, MaxValues: DefaultMaxValues}
	b.Global = m.boolean("global")
	m.match(b)
	b.Per = m.per("per")
	b.Unit = m.unit("unit", journal.UnitUSD, journal.UnitTokens, journal.UnitInputTokens, journal.UnitOutputTokens, journal.UnitRequests, journal.UnitConcurrent)
	b.Amount = m.amount("amount", b.Unit)
	b.Window = m.window("window", b.Unit)
	if s := m.choice("mode", false, string(Enforce), string(Warn), string(Shadow)); s != "" {
		b.Mode = Mode(s)
	}
	if s := m.choice("hold", false, string(Ceiling), string(Expected)); s != "" {
		b.Hold = HoldMode(s)
	}
	if m.has("max_values") {
		b.MaxValues = m.integer("max_values", 1, mostValues, false)
	}
	m.asked = append(m.asked, "max_values")
	return b
}

// match reads which calls the budget counts. It names one tenant, on whose
// ledger key the meters stand, or it is global and stands on the shared one.
func (m *mapping) match(b *Budget) {
	sub := m.sub("match", "match", false)
	if sub == nil {
		if !b.Global && !m.bad {
			m.r.problem(m.node, "write match: {tenant: <name>}, or global: true", "this budget says neither whose it is nor that it is global")
		}
		return
	}
	b.Match = map[string][]string{}
	for _, key := range sub.keys {
		sub.asked = append(sub.asked, key.Value)
		if key.Value == "global" { // both spellings of the contract's sentence
			b.Global = sub.boolean("global") || b.Global
			continue
		}
		if _, _, ok := parseAttribute(key.Value); !ok {
			m.r.problem(key, oneOf(key.Value, attributeNames[:])+` (or "tags.<name>")`, "%q is not an attribute to match", clip(key.Value))
			continue
		}
		if values := sub.matchValues(key.Value); len(values) > 0 {
			b.Match[key.Value] = values
		}
	}
	m.matchTenant(b, sub)
}

func (m *mapping) matchTenant(b *Budget, sub *mapping) {
	tenants := b.Match["tenant"]
	switch {
	case sub.bad || b.Global:
	case len(tenants) == 1:
		b.Tenant = tenants[0]
	case sub.has("tenant") && len(tenants) == 0: // its values are wrong, and that is said
	case len(tenants) > 1:
		m.r.problem(sub.fields["tenant"], "write one budget a tenant, or global: true", "match names %d tenants: one budget has one tenant's money", len(tenants))
	default:
		m.r.problem(sub.node, "write tenant: <name> in it, or global: true", "this match names no tenant")
	}
}

// matchValues is a string, or a list of them.
func (m *mapping) matchValues(key string) []string {
	check := func(n *yaml.Node, s string) bool { return m.r.plain(n, "a value of "+m.full(key), s, maxValue) }
	if n := m.fields[key]; n.Kind != yaml.SequenceNode {
		m.at[m.prefix+key] = n
		if !m.r.quoted(n, m.full(key), "write a string or a list of strings") || !check(n, n.Value) {
			return nil
		}
		return []string{n.Value}
	}
	values := m.strings(key, "write a string or a list of strings", false, check)
	if len(values) == 0 {
		m.r.problem(m.fields[key], "write at least one value, or leave the key out", "%s has no values, so it would match nothing", m.full(key))
	}
	slices.Sort(values)
	return values
}

func (m *mapping) per(key string) []string {
	per := m.strings(key, "write a list such as [user] or [session, prompt_hash]", false, func(n *yaml.Node, s string) bool {
		if _, _, ok := parseAttribute(s); !ok {
			m.r.problem(n, oneOf(s, attributeNames[:])+` (or "tags.<name>")`, "%q is not an attribute", clip(s))
			return false
		}
		return true
	})
	if len(per) > maxPer {
		m.r.problem(m.at[m.prefix+key], fmt.Sprintf("write up to %d", maxPer), "per has %d attributes", len(per))
	}
	return per
}

func (m *mapping) unit(key string, allowed ...journal.Unit) journal.Unit {
	names := make([]string, len(allowed))
	for i, u := range allowed {
		names[i] = u.String()
	}
	u, _ := journal.ParseUnit(m.choice(key, true, names...))
	return u
}

func (m *mapping) amount(key string, unit journal.Unit) int64 {
	n, s := m.quoted(key, `write a decimal string such as "5000"`, true)
	if n == nil || unit == 0 {
		return 0
	}
	amount, err := ParseAmount(unit, s)
	if err != nil {
		want := `write digits only, such as "60000"`
		if unit == journal.UnitUSD {
			want = `write a decimal string such as "2.50"`
		}
		m.r.problem(n, want, "%s: %s", m.full(key), err)
	}
	return amount
}

func (b *Budget) id() objectID { return objectID{Kind: kindBudget, Tenant: b.Tenant, Name: b.Name} }

// body writes a match of one value as a string and of several as a list.
func (b *Budget) body() any {
	match := map[string]any{}
	for k, values := range b.Match {
		match[k] = values
		if len(values) == 1 {
			match[k] = values[0]
		}
	}
	out := struct {
		Name      string         `json:"name"`
		Global    bool           `json:"global,omitempty"`
		Match     map[string]any `json:"match,omitempty"`
		Per       []string       `json:"per,omitempty"`
		Unit      string         `json:"unit"`
		Amount    string         `json:"amount"`
		Window    any            `json:"window,omitempty"`
		Mode      string         `json:"mode,omitempty"`
		Hold      string         `json:"hold,omitempty"`
		MaxValues int64          `json:"max_values,omitempty"`
	}{Name: b.Name, Global: b.Global, Match: match, Per: b.Per, Unit: b.Unit.String(),
		Amount: FormatAmount(b.Unit, b.Amount), Window: windowBody(b.Window, b.Unit)}
	if b.Mode != Enforce {
		out.Mode = string(b.Mode)
	}
	if b.Hold != Ceiling {
		out.Hold = string(b.Hold)
	}
	if b.MaxValues != DefaultMaxValues {
		out.MaxValues = b.MaxValues
	}
	return out
}
