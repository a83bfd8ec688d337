package ledger_test

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
)

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Each row is a case that a calendar written by hand gets wrong.
func TestLabelsOfTheCalendar(t *testing.T) {
	for _, row := range []struct {
		why   string
		every journal.Every
		zone  string
		at    string
		label string
		start string
		end   string
	}{
		{"a month begins at its own midnight, which is winter time", journal.EveryMonth, "Europe/Berlin", "2026-02-28T23:00:00Z", "2026-03", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"},
		{"the instant before is February", journal.EveryMonth, "Europe/Berlin", "2026-02-28T22:59:59Z", "2026-02", "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z"},
		{"a day of 23 hours", journal.EveryDay, "Europe/Berlin", "2026-03-29T10:00:00Z", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"a day of 25 hours", journal.EveryDay, "Europe/Berlin", "2026-10-25T10:00:00Z", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{"the first of two hours that clocks call 02:00", journal.EveryHour, "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"},
		{"the second of them is another window", journal.EveryHour, "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"},
		{"an hour in UTC", journal.EveryHour, "UTC", "2026-03-29T22:59:59Z", "2026-03-29T22Z", "2026-03-29T22:00:00Z", "2026-03-29T23:00:00Z"},
		{"a zone half an hour off", journal.EveryHour, "Asia/Kolkata", "2026-03-29T22:00:00Z", "2026-03-29T21:30Z", "2026-03-29T21:30:00Z", "2026-03-29T22:30:00Z"},
		{"Lord Howe's clocks move by half an hour: the cut hour ends at the change", journal.EveryHour, "Australia/Lord_Howe", "2026-04-04T15:10:00Z", "2026-04-04T15Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"},
		{"a midnight that did not exist: São Paulo 2018", journal.EveryDay, "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		{"a date that a zone left out: Samoa had no 30 December 2011", journal.EveryDay, "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"and goes on with the 31st", journal.EveryDay, "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
		{"clocks set back over midnight: the new day is not left again", journal.EveryDay, "America/St_Johns", "2006-10-29T02:45:00Z", "2006-10-29", "2006-10-29T02:30:00Z", "2006-10-30T03:30:00Z"},
		{"ISO week 53", journal.EveryWeek, "UTC", "2027-01-03T12:00:00Z", "2026-W53", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"},
		{"a week in March", journal.EveryWeek, "Europe/Berlin", "2026-03-29T21:59:59Z", "2026-W13", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"a quarter", journal.EveryQuarter, "UTC", "2026-03-31T23:59:59Z", "2026-Q1", "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z"},
		{"a year, in the zone where it begins first", journal.EveryYear, "Pacific/Kiritimati", "2025-12-31T10:00:00Z", "2026", "2025-12-31T10:00:00Z", "2026-12-31T10:00:00Z"},
		{"a leap day ends a month", journal.EveryMonth, "Asia/Kathmandu", "2028-02-29T18:14:59Z", "2028-02", "2028-01-31T18:15:00Z", "2028-02-29T18:15:00Z"},
		{"rules that changed: Moscow left UTC+4 in 2014", journal.EveryDay, "Europe/Moscow", "2014-10-26T12:00:00Z", "2014-10-26", "2014-10-25T20:00:00Z", "2014-10-26T21:00:00Z"},
	} {
		t.Run(row.why, func(t *testing.T) {
			label, start, end, err := ledger.Label(journal.Window{Every: row.every, Zone: row.zone}, journal.UnitUSD, instant(t, row.at))
			if err != nil {
				t.Fatal(err)
			}
			if label != row.label || !start.Equal(instant(t, row.start)) || !end.Equal(instant(t, row.end)) {
				t.Errorf("got  %s [%s, %s)\nwant %s [%s, %s)", label, start.Format(time.RFC3339), end.Format(time.RFC3339), row.label, row.start, row.end)
			}
		})
	}
}

func TestLabelsWithoutACalendar(t *testing.T) {
	at := instant(t, "2026-03-29T10:00:00Z")
	for want, w := range map[string]journal.Window{"total": {}, "rolling": {Rolling: time.Minute}} {
		if label, _, end, err := ledger.Label(w, journal.UnitUSD, at); err != nil || label != want || !end.IsZero() {
			t.Errorf("got %q, end %v, %v; want %q", label, end, err, want)
		}
	}
	if label, _, _, _ := ledger.Label(journal.Window{}, journal.UnitConcurrent, at); label != "now" {
		t.Errorf("concurrent: got %q", label)
	}
	if _, _, _, err := ledger.Label(journal.Window{Every: journal.EveryDay, Zone: "Mars/Olympus"}, journal.UnitUSD, at); err == nil || !strings.Contains(err.Error(), "Mars/Olympus") {
		t.Errorf("an unknown zone: got %v", err)
	}
	if _, _, _, err := ledger.Label(journal.Window{Every: 99}, journal.UnitUSD, at); err == nil {
		t.Error("an unknown period is accepted")
	}
}

// A machine whose zone files lie must name the same meters as every other one.
func TestSystemZoneFilesAreIgnored(t *testing.T) {
	lie := filepath.Join(t.TempDir(), "zoneinfo.zip")
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	f, err := w.CreateHeader(&zip.FileHeader{Name: "Europe/Lisbon", Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	tokyo, err := ledger.ZoneData("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(tokyo); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lie, archive.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ZONEINFO", lie)
	at := instant(t, "2026-03-28T20:00:00Z")
	if fooled, err := time.LoadLocation("Europe/Lisbon"); err == nil && at.In(fooled).Day() != 29 {
		t.Log("this Go does not read ZONEINFO any more; the test below is weaker than it was")
	}
	label, _, _, err := ledger.Label(journal.Window{Every: journal.EveryDay, Zone: "Europe/Lisbon"}, journal.UnitUSD, at)
	if err != nil || label != "2026-03-28" {
		t.Errorf("got %q, %v: the system's file was believed", label, err)
	}
}

func TestWindowsPartitionTime(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Kathmandu",
		"Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati", "Africa/Casablanca", "Europe/Dublin", "Asia/Gaza", "Antarctica/Troll", "America/Nuuk", "Africa/Monrovia"}
	rapid.Check(t, func(t *rapid.T) {
		w := journal.Window{
			Every: journal.Every(rapid.IntRange(int(journal.EveryHour), int(journal.EveryYear)).Draw(t, "every")),
			Zone:  rapid.SampledFrom(zones).Draw(t, "zone"),
		}
		at := time.Unix(rapid.Int64Range(-3_000_000_000, 6_000_000_000).Draw(t, "at"), 0).UTC()
		label, start, end, err := ledger.Label(w, journal.UnitUSD, at)
		if err != nil {
			t.Fatal(err)
		}
		if at.Before(start) || !at.Before(end) {
			t.Fatalf("%s is not in [%s, %s)", at, start, end)
		}
		for name, inside := range map[string]time.Time{"the start": start, "the last instant": end.Add(-1)} {
			if same, s, e, _ := ledger.Label(w, journal.UnitUSD, inside); same != label || !s.Equal(start) || !e.Equal(end) {
				t.Fatalf("%s of %s is in %s [%s, %s)", name, label, same, s, e)
			}
		}
		next, s, _, _ := ledger.Label(w, journal.UnitUSD, end)
		if next == label || !s.Equal(end) {
			t.Fatalf("after %s [%s, %s) comes %s from %s", label, start, end, next, s)
		}
		if previous, _, e, _ := ledger.Label(w, journal.UnitUSD, start.Add(-1)); previous == label || !e.Equal(start) {
			t.Fatalf("before %s [%s, %s) comes %s until %s", label, start, end, previous, e)
		}
	})
}
