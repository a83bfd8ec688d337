package registry

import (
	_ "embed" // zones.txt
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/journal"
)

// The shortest and the longest rolling window. Below a second a window is
// shorter than clocks agree; above a quarter a calendar window says it better.
const (
	minRolling = time.Second
	maxRolling = 90 * 24 * time.Hour
)

const wantWindow = "write {every: month, zone: Europe/Berlin}, {rolling: 1m} or total"

var everyNames = [...]string{journal.EveryHour: "hour", journal.EveryDay: "day", journal.EveryWeek: "week",
	journal.EveryMonth: "month", journal.EveryQuarter: "quarter", journal.EveryYear: "year"}

// zonesText lists the time zones whose rules the ledger has compiled in, one a
// line, sorted; a test holds the two together. The system's own zones are not
// asked: two replicas could then disagree on whether a file is valid.
//
//go:embed zones.txt
var zonesText string

func zones() []string { return strings.Split(strings.TrimSuffix(zonesText, "\n"), "\n") }

// window reads {every, zone} | {rolling} | total. The window of concurrent is none.
func (m *mapping) window(key string, unit journal.Unit) journal.Window {
	if unit == journal.UnitConcurrent {
		if n := m.field(key, false); n != nil {
			m.r.problem(n, "leave it out: calls in flight are counted now", "a concurrent limit has no %s", m.full(key))
		}
		return journal.Window{}
	}
	n := m.field(key, true)
	switch {
	case n == nil:
		return journal.Window{}
	case n.Kind == yaml.ScalarNode && n.Tag == "!!str" && n.Value == "total":
		return journal.Window{}
	case n.Kind != yaml.MappingNode:
		m.r.problem(n, wantWindow, "%s is %s", m.full(key), kindOf(n))
		return journal.Window{}
	}
	w := m.sub(key, "window", false)
	defer w.done()
	return w.period()
}

// period reads a window that is written as a mapping.
func (m *mapping) period() journal.Window {
	if m.has("rolling") {
		if m.has("every") || m.has("zone") {
			m.r.problem(m.node, wantWindow, "a rolling window has no calendar")
		}
		m.asked = append(m.asked, "every", "zone")
		return journal.Window{Rolling: m.duration("rolling", minRolling, maxRolling)}
	}
	every := slices.Index(everyNames[:], m.choice("every", true, everyNames[1:]...))
	m.asked = append(m.asked, "rolling")
	zone := "UTC"
	if n, s := m.scalar("zone", "!!str", "write an IANA time zone such as Europe/Berlin", false); n != nil {
		zone = s
		m.zoneKnown(n, s)
	}
	return journal.Window{Every: journal.Every(max(every, 0)), Zone: zone}
}

func (m *mapping) zoneKnown(n *yaml.Node, zone string) {
	known := zones()
	if _, ok := slices.BinarySearch(known, zone); ok {
		return
	}
	want := "write an IANA time zone such as Europe/Berlin or UTC"
	if c := closest(zone, known); c != "" {
		want = fmt.Sprintf("did you mean %q?", c)
	}
	m.r.problem(n, want, "the time zone %q is not known", clip(zone))
}

// duration reads <n>s|m|h|d.
func (m *mapping) duration(key string, least, most time.Duration) time.Duration {
	want := fmt.Sprintf("write a duration such as 30s, 10m, 1h or 7d, from %s to %s", formatDuration(least), formatDuration(most))
	n, s := m.scalar(key, "!!str", want, true)
	if n == nil {
		return 0
	}
	d, ok := parseDuration(s)
	if !ok || d < least || d > most {
		m.r.problem(n, want, "%s cannot be %q", m.full(key), clip(s))
		return 0
	}
	return d
}

var durationUnits = []struct {
	suffix string
	unit   time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

func parseDuration(s string) (time.Duration, bool) {
	for _, u := range durationUnits {
		count, ok := strings.CutSuffix(s, u.suffix)
		if !ok || count == "" || !digits(count) || len(count) > 9 {
			continue
		}
		n, _ := strconv.ParseInt(count, 10, 64)
		if n > int64(maxDuration/u.unit) {
			return 0, false
		}
		return time.Duration(n) * u.unit, true
	}
	return 0, false
}

const maxDuration time.Duration = math.MaxInt64

// formatDuration writes what parseDuration reads, in the largest unit that fits.
func formatDuration(d time.Duration) string {
	for _, u := range durationUnits {
		if d >= u.unit && d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.suffix
		}
	}
	return "0s"
}

// windowBody is a window as the file spells it.
func windowBody(w journal.Window, unit journal.Unit) any {
	switch {
	case unit == journal.UnitConcurrent:
		return nil
	case w.Rolling > 0:
		return map[string]string{"rolling": formatDuration(w.Rolling)}
	case w.Every > 0:
		return map[string]string{"every": everyNames[w.Every], "zone": w.Zone}
	}
	return "total"
}
