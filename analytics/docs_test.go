package analytics

import (
	"os"
	"strings"
	"testing"
)

// TestTheDocumentationRuns asks every question of docs/query-cost.md.
func TestTheDocumentationRuns(t *testing.T) {
	page, err := os.ReadFile("../docs/query-cost.md")
	if err != nil {
		t.Fatal(err)
	}
	store, j := newStore(t), newJournal()
	traffic(t, j, 24)
	copyOnce(t, store, j, pricesOf())()
	blocks := strings.Split(string(page), "```sql\n")[1:]
	if len(blocks) < 10 {
		t.Fatalf("only %d blocks", len(blocks))
	}
	for _, block := range blocks {
		sql, _, closed := strings.Cut(block, "```")
		if !closed {
			t.Fatalf("a block is not closed: %.80s", block)
		}
		rows := ask(t, store, sql)
		if strings.Contains(sql, "AS ledger") && (len(rows) != 1 || !equalHalves(rows[0])) {
			t.Errorf("usage and ledger differ: %v", rows)
		}
	}
	for _, view := range []string{"decisions", "usage", "costs", "spend_hourly", "prices", "ledger", "traces", "names"} {
		if !strings.Contains(string(page), "`"+view+"`") {
			t.Errorf("the page does not name %s", view)
		}
	}
	for _, kind := range ask(t, store, "SELECT DISTINCT kind FROM ledger") {
		if kind = strings.Trim(kind, `["]`); !strings.Contains(string(page), "`"+kind+"`") {
			t.Errorf("the page does not explain the kind %s", kind)
		}
	}
}

// equalHalves says whether a row's two cells are the same and not 0.
func equalHalves(row string) bool {
	a, b, _ := strings.Cut(strings.Trim(row, "[]"), ",")
	return a == b && a != `"0"` && a != "null"
}
