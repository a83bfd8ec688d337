package decision

import (
	"net/http"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/journal"
)

// Learner hears how deployments answered those who tried them; health.Board in
// production.
type Learner interface {
	Learn(deployment string, s health.Sign)
}

// learn passes on what a report shows of the deployments that were tried. Gateways
// of others fail over by themselves, and what one of them was told by a provider is
// worth knowing to all. What a log says comes too late to be news.
func (s *Service) learn(k *call, r Report) {
	if s.learner == nil || r.Learnt || r.Source == journal.SourceLLMLog || r.Source == journal.SourceAccessLog {
		return
	}
	tries := r.Attempts
	if r.Outcome == journal.OutcomeCompleted || r.Outcome == journal.OutcomeFailed {
		// Else it was not tried, or the caller hung up: that says nothing of the deployment.
		tries = append(slices.Clone(tries), ReportedAttempt{Deployment: k.note.deployment(r), Status: r.Status, Outcome: r.Outcome})
	}
	for _, try := range tries {
		if try.Deployment != "" {
			s.learner.Learn(try.Deployment, try.shows(k.note.At)) // It cannot have begun before it was allowed to.
		}
	}
}

// shows is what one try showed. It broke off, or did not connect, unless a status
// says that it was answered.
func (a ReportedAttempt) shows(began time.Time) health.Sign {
	sign := health.Sign{Status: a.Status, Began: began, Whole: a.Outcome == journal.OutcomeCompleted}
	switch {
	case a.Outcome != journal.OutcomeCompleted:
		sign.Failed = a.Status < http.StatusBadRequest
	case a.Status == 0:
		sign.Status = http.StatusOK // A gateway that says it went well need not say how.
	}
	return sign
}
