package decision_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
)

// Who is known is who would be let in by their key, at this moment.
func TestWhoIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{})
		for _, c := range []struct {
			name    string
			headers decision.Headers
			want    bool
		}{
			{"an app", decision.Headers{"authorization": "Bearer " + st.keys["helpdesk"]}, true},
			{"beside a dummy", decision.Headers{"authorization": "Bearer sk-dummy", "api-key": st.keys["helpdesk"]}, true},
			{"for an hour", decision.Headers{"x-api-key": st.keys["helpdesk-brief"]}, true},
			{"a gateway", decision.Headers{"authorization": "Bearer " + st.keys["edge-1"]}, false},
			{"a dummy", decision.Headers{"authorization": "Bearer sk-dummy"}, false},
			{"one letter less", decision.Headers{"x-api-key": st.keys["helpdesk"][:len(st.keys["helpdesk"])-1]}, false},
			{"nobody", decision.Headers{}, false},
		} {
			if got := st.service.Knows(c.headers); got != c.want {
				t.Errorf("%s: %v", c.name, got)
			}
		}
		time.Sleep(61 * time.Minute)
		if st.service.Knows(decision.Headers{"x-api-key": st.keys["helpdesk-brief"]}) {
			t.Error("an expired key is known")
		}
	})
}
