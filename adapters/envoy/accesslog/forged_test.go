package accesslog_test

import (
	"net/http"
	"testing"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/signalbox-dev/signalbox/decision"
)

// What a gateway makes up, or says again, is nothing that health learns of: one gateway
// could put deployments out of service for all others by it.
func TestHealthHearsOfNoCallThatIsMadeUp(t *testing.T) {
	down := func() *datav3.HTTPAccessLogEntry { return chat(allowed, details(503, "via_upstream")) }
	for name, row := range map[string]struct {
		entries []*datav3.HTTPAccessLogEntry
		err     error
		want    int
	}{
		"a call":              {[]*datav3.HTTPAccessLogEntry{down()}, nil, 1},
		"the same again":      {[]*datav3.HTTPAccessLogEntry{down(), down(), down()}, nil, 1},
		"a token of nobody's": {[]*datav3.HTTPAccessLogEntry{down()}, &decision.ReportError{Status: http.StatusUnauthorized, Message: "forged"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := &house{err: row.err}
			for _, e := range row.entries {
				if err := h.send(t, nil, []*datav3.HTTPAccessLogEntry{e}); err != nil {
					t.Fatal(err)
				}
			}
			if len(h.signs) != row.want {
				t.Errorf("health has heard %d signs; want %d", len(h.signs), row.want)
			}
		})
	}
}

// A caller whom nobody decided about is in the audit, whatever they say that they asked
// for first.
func TestNobodyHidesFromTheAudit(t *testing.T) {
	h := &house{}
	hidden := chat(func(e *entry) { e.Request.OriginalPath = "/not/a/call" })
	if err := h.send(t, nil, []*datav3.HTTPAccessLogEntry{hidden}); err != nil {
		t.Fatal(err)
	}
	if len(h.undecided) != 1 || h.undecided[0].Path != "/v1/chat/completions?x=1" {
		t.Errorf("the audit has %+v", h.undecided)
	}
}
