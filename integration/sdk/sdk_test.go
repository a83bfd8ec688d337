// Package sdk_test plays one table with the six official SDKs. Each row is what an
// application does and what must come of it; what an SDK gets wrong about us is
// our mistake.
package sdk_test

import (
	"os"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/sdk"
)

// TestOfficialSDKs is the whole of it: the drivers are started once.
func TestOfficialSDKs(t *testing.T) {
	kit, err := sdk.Install(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	drivers := startDrivers(t, kit)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) { throughSignalbox(t, drivers, way.to, way.rows()) })
	}
	t.Run("every reason", func(t *testing.T) { everyReason(t, drivers) })
	// Last, because its tasks hold the provider's credentials.
	t.Run("the provider itself", func(t *testing.T) { withTheProvider(t, drivers) })
}

// withTheProvider plays the rows that need no Signalbox without one: a row that
// fails here says nothing about us.
func withTheProvider(t *testing.T, drivers map[string]*sdk.Driver) {
	p, gates, url := provider(t)
	s := newStage(t, drivers, url, gates)
	s.key = func(one *play) string {
		switch {
		case one.sdk == "anthropic":
			return anthropicCredential
		case one.row.azure != "":
			return azureCredential
		}
		return openaiCredential
	}
	rows := append(answered(), failing()...)
	for i := range rows {
		if rows[i].want.calls < 0 {
			rows[i].want.calls = 0 // what Signalbox serves by itself, the provider serves here
		}
	}
	all := s.playAll(t.Context(), rows)
	collect(t, p, all)
	judge(t, all)
}
