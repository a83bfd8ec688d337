package ledger

import (
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// What is forgotten, and when: meters of calendar windows that ended; rolling
// meters with nothing in their window; meters of a value's total that nobody used
// for 30 days, which then begin anew; epochs that ended, with all their
// corrections, when no report can come any more. A total without values is for
// good: forgotten, it could be spent again.
const (
	forgetEnded     = time.Hour
	forgetTotal     = 30 * 24 * time.Hour
	forgetEpochs    = 8 * 24 * time.Hour
	forgetRollingBy = 2 // windows
)

// forgettable reports whether a meter has had its time. The book asks with log
// time, because whoever says MetersForgotten may have a clock that is wrong, and
// a window forgotten before its end is a budget that is spent twice.
func (m *meter) forgettable(now int64) bool {
	idle := now - m.changedAt
	w := m.budget.window
	switch {
	case m.name.Unit == journal.UnitConcurrent:
		return idle > int64(forgetEnded)
	case w.Rolling > 0:
		return idle > forgetRollingBy*int64(w.Rolling+slideSkew)+int64(forgetEnded)
	case m.name.Label == LabelTotal:
		return m.name.Per != "" && idle > int64(forgetTotal)
	}
	end, ok := endedBy(m.name.Label)
	return ok && idle > int64(forgetEnded) && now > end.Add(forgetEnded).UnixNano()
}

// endedBy is an instant at which the window of a calendar label has ended in
// every zone: its end in UTC and the farthest offset. Zones' rules are not asked,
// because replicas may have different ones compiled in, and books must not differ.
func endedBy(label string) (time.Time, bool) {
	if strings.HasSuffix(label, "Z") { // An hour or a part of one, by its start in UTC.
		for _, layout := range [...]string{"2006-01-02T15Z", "2006-01-02T15:04Z", "2006-01-02T15:04:05Z"} {
			if start, err := time.Parse(layout, label); err == nil {
				return start.Add(time.Hour), true
			}
		}
		return time.Time{}, false
	}
	var end time.Time
	var year, n int
	if start, err := time.Parse(time.DateOnly, label); err == nil {
		end = start.AddDate(0, 0, 1)
	} else if start, err := time.Parse("2006-01", label); err == nil {
		end = start.AddDate(0, 1, 0)
	} else if start, err := time.Parse("2006", label); err == nil {
		end = start.AddDate(1, 0, 0)
	} else if _, err := fmt.Sscanf(label, "%4d-Q%1d", &year, &n); err == nil {
		end = time.Date(year, time.Month(3*n+1), 1, 0, 0, 0, 0, time.UTC)
	} else if _, err := fmt.Sscanf(label, "%4d-W%2d", &year, &n); err == nil {
		fourth := time.Date(year, time.January, 4, 0, 0, 0, 0, time.UTC) // Always in week 1.
		end = fourth.AddDate(0, 0, 7*n-(int(fourth.Weekday())+6)%7)
	} else {
		return time.Time{}, false
	}
	return end.Add(farthestOffset), true
}

// clockJumpMost is how far the wall clock and the process's own may have come
// apart since the start.
const clockJumpMost = time.Minute

// steady reports whether the wall clock has only ticked since the start. The
// journal in this process stamps entries with the same clock, so log time jumps
// with it and cannot tell; the monotonic clock can.
func (k *Keeper) steady(now time.Time) bool {
	wall := now.Round(0).Sub(k.begun.wall.Round(0))
	return (wall - time.Since(k.begun.own)).Abs() <= clockJumpMost
}
