package envoy

import (
	"slices"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
)

// MaxTries bounds the deployments tried for one call, however many the answer names:
// a report has room for as many.
const MaxTries = 32

// Order is whom to try. Somebody's own routes take one, and what they make of it is
// theirs: whether the Envoys have a cluster of xds's says nothing of them. Else it is
// the deployments that the Envoys have, in the plan's order; where they have none of
// them it is all, and Envoy then says that there is nobody, which is the truth.
func Order(plan *decision.Plan, profile Profile, usable func(deployment string) bool) []string {
	var all, had []string
	for _, d := range plan.Deployments[:min(len(plan.Deployments), MaxTries)] {
		if slices.Contains(all, d.Name) {
			continue
		}
		if all = append(all, d.Name); profile == ProfileHeader {
			return all
		}
		if usable(d.Name) {
			had = append(had, d.Name)
		}
	}
	if len(had) == 0 {
		return all
	}
	return had
}

// Told is the answer as every gateway reads it, without the body, which no filter
// reads there and which would be copied.
func Told(req *decision.Request, a *decision.Answer) door.Answer {
	if a.Plan == nil || a.Plan.Body == nil {
		return door.Render(req, a)
	}
	light, plan := *a, *a.Plan
	plan.Body, light.Plan = nil, &plan
	return door.Render(req, &light)
}
