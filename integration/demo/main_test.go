package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/journal"
)

func TestMain(m *testing.M) { os.Exit(rigtest.Main(m)) }

// The demo is what people see first: it plays all its acts, its books agree, and
// it ends by itself. Each act is an error where it does not come out as it says.
func TestTheDemoPlaysToItsEnd(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), []string{"-bin", rigtest.Bin(), "-callers", "40"}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, said := range []string{"the provider saw       Write to [email]", "gpt-41-b served all 20", "budget_exhausted", "none with a caller's key",
		"equal to the nano-dollar", "spend by team", "Done in"} {
		if !strings.Contains(out.String(), said) {
			t.Errorf("it does not say %q:\n%s", said, out.String())
		}
	}
}

// The provider's own price list: parts of the prompt at their own prices, and the
// sum rounded up once.
func TestWhatTheProviderCharges(t *testing.T) {
	for _, row := range []struct {
		model string
		used  journal.Tokens
		nano  int64
	}{
		{"gpt-4o-mini", journal.Tokens{Input: 1, Output: 1}, 750},
		{"gpt-4o-mini", journal.Tokens{Input: 3, Cached: 1}, 375},
		{"claude-sonnet-4-5", journal.Tokens{Input: 100, Cached: 40, CacheWrite: 10, CacheWriteLong: 10, Output: 7}, 334_500},
		{"gpt-4o-prod", journal.Tokens{Input: 1000, Output: 1000}, 0},
	} {
		if got := sold[row.model].of(row.used); got != row.nano {
			t.Errorf("%s of %+v: %d nano-USD; want %d", row.model, row.used, got, row.nano)
		}
	}
}
