package registry_test

import (
	"archive/zip"
	"slices"
	"strings"
	"testing"
)

// The zones that a file may name are those whose rules the ledger has compiled
// in: one more would be a budget without a window, one fewer a refusal without
// a reason.
func TestZonesAreTheLedgers(t *testing.T) {
	archive, err := zip.OpenReader("../ledger/zoneinfo.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	var names []string
	for _, f := range archive.File {
		if !f.FileInfo().IsDir() {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	golden(t, "zones.txt", strings.Join(names, "\n")+"\n")
}

// A few that people write, and every calendar period, are taken.
func TestWindowsThatAreTaken(t *testing.T) {
	b := newBench(t)
	text := "tenants: [{name: acme}]\nbudgets:\n"
	windows := []string{"total", "{every: day}", "{rolling: 1s}", "{rolling: 90d}", "{rolling: 3600s}"}
	for _, every := range []string{"hour", "day", "week", "month", "quarter", "year"} {
		for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"} {
			windows = append(windows, "{every: "+every+", zone: "+zone+"}")
		}
	}
	for i, w := range windows {
		text += "  - {name: b" + itoa(i) + ", match: {tenant: acme}, unit: requests, amount: \"1\", window: " + w + "}\n"
	}
	b.apply(text)
	if got := len(b.Snapshot().AllBudgets("acme")); got != len(windows) {
		t.Errorf("%d budgets", got)
	}
	// What was folded back is what was written: read anew, nothing changes.
	if len(b.apply(text).Changes) != 0 {
		t.Error("windows changed on their way through the journal")
	}
}
