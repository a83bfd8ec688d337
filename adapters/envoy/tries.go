package envoy

import (
	"net/http"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// keyTriedStatus is how a try was answered, in NamespaceTries; what stands beside it are
// headers of the answer. A status of 0: it began, and nothing came.
const keyTriedStatus = "status"

// Tried is one try that Envoy has made.
type Tried struct {
	Deployment string
	Status     int         // 0: no answer came
	Header     http.Header // what is kept of the answer's: limits, and when to come again
}

// ReadTries reads NamespaceTries, in the order of the call. It is empty where Envoy's
// routes are not ours.
func ReadTries(c *Call, m *structpb.Struct) []Tried {
	var tries []Tried
	for _, name := range c.Order {
		v := m.GetFields()[name]
		if v.GetStructValue() == nil {
			continue
		}
		t := Tried{Deployment: name, Header: http.Header{}}
		for key, value := range v.GetStructValue().GetFields() {
			if key != keyTriedStatus {
				t.Header.Set(key, value.GetStringValue())
				continue
			}
			// What is no number is no status that we know: as if none had come.
			if n, err := strconv.Atoi(value.GetStringValue()); err == nil && n >= 100 && n <= 999 {
				t.Status = n
			}
		}
		tries = append(tries, t)
	}
	return tries
}

// Before are the tries before the last one, as a report tells them. One that was not
// answered was surely not sent where Envoy may try again only then; where it may also
// do so after a reset, because the hold pays for that, it may have been billed.
func Before(c *Call, tries []Tried, last string) []decision.ReportedAttempt {
	var before []decision.ReportedAttempt
	for _, t := range tries {
		if t.Deployment == last {
			break
		}
		a := decision.ReportedAttempt{Deployment: t.Deployment, Status: t.Status, Outcome: journal.OutcomeFailed}
		switch {
		case t.Status >= 400:
		case t.Status >= 300 || t.Status == 0 && c.Attempts <= 1:
			// A redirect is nobody's answer, and bills nothing; to who reads the report a
			// status below 400 would say that it went well.
			a.Status, a.Outcome = 0, journal.OutcomeNotSent
		default:
			a.Outcome = journal.OutcomeAborted
		}
		before = append(before, a)
	}
	return before
}
