package ledger

import (
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Labels of the windows that no calendar names.
const (
	LabelTotal   = "total"
	LabelRolling = "rolling"
	labelNow     = "now" // concurrent: calls in flight
)

// Label names the window in which an instant lies, with its start and end (zero
// times where it has none: total, rolling, concurrent).
//
//	hour     2026-03-29T22Z     its start in UTC; with minutes where it has any
//	day      2026-03-29         of the zone's calendar
//	week     2026-W13           ISO 8601
//	month    2026-03    quarter 2026-Q1    year 2026
//
// The windows of one budget partition time: start ≤ at < end, the label of end is
// another one, and no instant is between two windows. Clocks that are set back
// do not open a window again, and a date that a zone left out has no window.
func Label(w journal.Window, unit journal.Unit, at time.Time) (label string, start, end time.Time, err error) {
	switch {
	case unit == journal.UnitConcurrent:
		return labelNow, time.Time{}, time.Time{}, nil
	case w.Rolling > 0:
		return LabelRolling, time.Time{}, time.Time{}, nil
	case w.Every == 0:
		return LabelTotal, time.Time{}, time.Time{}, nil
	case w.Every > journal.EveryYear:
		return "", time.Time{}, time.Time{}, fmt.Errorf("window: there is no period %d", w.Every)
	}
	key := calendarKey{w.Every, w.Zone}
	if p, ok := recent.Load(key); ok {
		if p := p.(*period); !at.Before(p.start) && at.Before(p.end) {
			return p.label, p.start, p.end, nil
		}
	}
	zone, err := Zone(w.Zone)
	if err != nil {
		return "", time.Time{}, time.Time{}, err
	}
	p := periodOf(w.Every, zone, at)
	recent.Store(key, p)
	return p.label, p.start, p.end, nil
}

// recent remembers the last window computed for each calendar, because nearly
// every call asks for the current one. Zones come from the archive: bounded.
var recent sync.Map // calendarKey → *period

type calendarKey struct {
	every journal.Every
	zone  string
}

type period struct {
	label      string
	start, end time.Time
}

func periodOf(every journal.Every, zone *time.Location, at time.Time) *period {
	if every == journal.EveryHour {
		return hourOf(zone, at)
	}
	first := floorDate(every, at.In(zone))
	// A clock that was set back over midnight shows the old date again, but the
	// new period has begun: it is never left once entered.
	next := nextDate(every, first)
	for !firstInstant(zone, next).After(at) {
		first, next = next, nextDate(every, next)
	}
	return &period{label: dateLabel(every, first), start: firstInstant(zone, first), end: firstInstant(zone, next)}
}

// date is a day of the calendar, wherever it is.
type date struct {
	year  int
	month time.Month
	day   int
}

func (d date) utc() time.Time { return time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC) }

func dateOf(t time.Time) date {
	year, month, day := t.Date()
	return date{year, month, day}
}

// floorDate is the first day of the period in which a local time lies.
func floorDate(every journal.Every, local time.Time) date {
	d := dateOf(local)
	switch every {
	case journal.EveryWeek:
		sinceMonday := (int(local.Weekday()) + 6) % 7
		return dateOf(d.utc().AddDate(0, 0, -sinceMonday))
	case journal.EveryMonth:
		d.day = 1
	case journal.EveryQuarter:
		d.day, d.month = 1, d.month-(d.month-1)%3
	case journal.EveryYear:
		d.day, d.month = 1, time.January
	}
	return d
}

func nextDate(every journal.Every, d date) date {
	t := d.utc()
	switch every {
	case journal.EveryDay:
		t = t.AddDate(0, 0, 1)
	case journal.EveryWeek:
		t = t.AddDate(0, 0, 7)
	case journal.EveryMonth:
		t = t.AddDate(0, 1, 0)
	case journal.EveryQuarter:
		t = t.AddDate(0, 3, 0)
	case journal.EveryYear:
		t = t.AddDate(1, 0, 0)
	}
	return dateOf(t)
}

func dateLabel(every journal.Every, d date) string {
	switch every {
	case journal.EveryWeek:
		year, week := d.utc().ISOWeek()
		return fmt.Sprintf("%04d-W%02d", year, week)
	case journal.EveryMonth:
		return fmt.Sprintf("%04d-%02d", d.year, d.month)
	case journal.EveryQuarter:
		return fmt.Sprintf("%04d-Q%d", d.year, (d.month-1)/3+1)
	case journal.EveryYear:
		return fmt.Sprintf("%04d", d.year)
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.year, d.month, d.day)
}

// farthestOffset is more than any zone has ever been from UTC.
const farthestOffset = 26 * time.Hour

// firstInstant is the earliest instant at which a zone's clocks show the date or
// a later one. It walks the stretches of constant offset around that midnight;
// time.Date would pick one of two midnights, or one that did not exist.
func firstInstant(zone *time.Location, d date) time.Time {
	midnight := d.utc()
	from := midnight.Add(-farthestOffset)
	for {
		offset, until := offsetUntil(zone, from)
		t := midnight.Add(-time.Duration(offset) * time.Second)
		if t.Before(from) {
			t = from
		}
		if until.IsZero() || t.Before(until) {
			return t.UTC()
		}
		from = until
	}
}

// offsetUntil is a zone's offset at an instant, and a later instant up to which
// it holds; zero: for ever. Go's ZoneBounds gives an end that is not after t for
// some instants at the turn of a year; no zone changes there within the hour.
func offsetUntil(zone *time.Location, t time.Time) (int, time.Time) {
	local := t.In(zone)
	_, offset := local.Zone()
	_, until := local.ZoneBounds()
	if !until.IsZero() && !until.After(t) {
		until = t.Add(time.Hour)
	}
	return offset, until
}

// hourOf cuts time at the full hours of a zone's clocks and at each change of its
// offset: an hour in which clocks move by a part of an hour is two windows.
func hourOf(zone *time.Location, at time.Time) *period {
	_, offset := at.In(zone).Zone()
	shift := time.Duration(offset) * time.Second
	start := at.UTC().Add(shift).Truncate(time.Hour).Add(-shift)
	end := start.Add(time.Hour)
	for t := at; ; {
		changed, _ := t.In(zone).ZoneBounds()
		if changed.IsZero() || !changed.After(start) {
			break
		}
		t = changed.Add(-1)
		if _, before := t.In(zone).Zone(); before != offset {
			start = changed.UTC()
			break
		}
	}
	for t := at; ; {
		_, changes := offsetUntil(zone, t)
		if changes.IsZero() || !changes.Before(end) {
			break
		}
		t = changes
		if _, after := t.In(zone).Zone(); after != offset {
			end = changes.UTC()
			break
		}
	}
	return &period{label: hourLabel(start), start: start, end: end}
}

func hourLabel(start time.Time) string {
	switch {
	case start.Minute() == 0 && start.Second() == 0:
		return start.Format("2006-01-02T15Z")
	case start.Second() == 0:
		return start.Format("2006-01-02T15:04Z")
	}
	return start.Format("2006-01-02T15:04:05Z")
}
