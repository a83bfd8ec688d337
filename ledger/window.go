package ledger

import (
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Label names the window in which an instant lies, with its start and end.
func Label(w journal.Window, unit journal.Unit, at time.Time) (label string, start, end time.Time, err error) {
	return "", at, at, nil
}

// ZoneRules is the version of the time zone rules that are compiled in.
func ZoneRules() string { return "2025c" }
