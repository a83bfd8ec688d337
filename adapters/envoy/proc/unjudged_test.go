package proc_test

import (
	"testing"

	"github.com/signalbox-dev/signalbox/decision"
)

// What is not judged is answered by its head: nobody waits for a body that is not read,
// and the tunnel of a CONNECT never comes to an end.
func TestWhatIsNotJudgedIsAnsweredByItsHead(t *testing.T) {
	h := build(t, answering(refusing(decision.PathUnknown), nil))
	for _, asked := range []struct{ method, path string }{{"CONNECT", "/"}, {"POST", "/v1/batches"}} {
		f := h.filter()
		f.send(f.head(asked.method, asked.path, false, "authorization", "Bearer "+callerKey))
		if _, err := f.reply(); err != nil || f.instead == nil {
			t.Errorf("%s %s waits for its body: %v", asked.method, asked.path, err)
		}
		f.end()
	}
}

// A path that goes on as it was written takes no key to the provider.
func TestAnUnjudgedPathWithAKeyInIt(t *testing.T) {
	h := build(t, answering(decision.Answer{DecisionID: "d-4", Plan: &decision.Plan{Free: true}}, nil))
	f := h.filter()
	if f.ask("GET", "/v1/files?key="+callerKey, "") || f.instead.GetStatus().GetCode() != 400 {
		t.Errorf("%v", f.instead)
	}
}
