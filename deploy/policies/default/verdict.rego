# METADATA
# title: The default policy of Signalbox
# description: |
#   Says for each call whether it may go out, and where. It knows three rules: an
#   app calls the models it was given, a tenant's data stays in the tenant's
#   regions, and of what is left, capacity already paid for goes first and the
#   cheapest next.
#
#   To add to it, write rules in package signalbox.decision.custom, which are read
#   here wherever `custom` stands (docs/write-a-policy.md). To replace it, define
#   `verdict` in this package in a folder of your own.
# schemas:
#   - input: schema.input
package signalbox.decision

import data.signalbox.decision.custom

# METADATA
# description: What Signalbox asks for; its form is decision/opa/schema/verdict.json.
# entrypoint: true
verdict := {
	"allow": count(reasons) == 0,
	"reasons": reasons,
	"deployments": deployments,
	"max_output": max_output,
	"attempts": attempts,
	"allow_clamp": allow_clamp,
	"redact": [kind | some kind in custom.redact],
	"capture": capture,
	"tags": tags,
}

# The first reason sets the caller's status: ours, then yours in the order of
# their codes.
reasons := array.concat([reason | some reason in deny], [reason | some reason in custom.deny])

deny contains {"code": "model_not_allowed", "message": message} if {
	count(input.app.models) > 0
	not input.model.name in input.app.models
	message := sprintf("this app may not call model %q", [input.model.name])
}

deny contains {"code": "residency", "message": message} if {
	count(input.deployments) > 0
	count(resident) == 0
	message := sprintf("no deployment of model %q is in a region open to this tenant: %s", [
		input.model.name,
		concat(", ", input.tenant.regions),
	])
}

deny contains {"code": "no_deployment", "message": message} if {
	count(resident) > 0
	count(deployments) == 0
	message := sprintf("policy refuses every deployment of model %q", [input.model.name])
}

# resident holds the deployments in the tenant's regions. One whose region nobody
# stated could be anywhere, so it is refused to a tenant that has regions.
resident contains deployment.name if {
	some deployment in input.deployments
	count(input.tenant.regions) == 0
}

resident contains deployment.name if {
	some deployment in input.deployments
	deployment.region != ""
	deployment.region in input.tenant.regions
}

refused contains name if some name in custom.refuse

preferred contains name if some name in custom.prefer

# Best first. The keys are compared from left to right, and 0 or false comes before
# 1 or true: yours, what is healthy, what is paid for already, the cheapest, the name.
order := sort([[
	count({deployment.name} - preferred),
	deployment.healthy == false,
	deployment.kind != "provisioned",
	deployment.price_rank,
	deployment.name,
] |
	some deployment in input.deployments
	deployment.name in resident
	not deployment.name in refused
])

deployments := [key[4] | some key in order]

# Of several limits the smallest stands; 0 is none.
default max_output := 0

max_output := min(custom.max_output) if count(custom.max_output) > 0

# How many tries, each of which may be billed, are paid for in advance: with more than
# one a call may be tried again after a time-out. Of several numbers the largest stands.
default attempts := 1

attempts := max(custom.attempts) if count(custom.attempts) > 0

# A call that its budgets can pay in part is let through with a smaller output
# limit, unless you say otherwise.
default allow_clamp := true

allow_clamp := false if custom.no_clamp

# What is kept of prompts and answers: none, hash, redacted or full.
default capture := "none"

capture := custom.capture

# Written beside the caller's own tags on everything the call leaves behind.
default tags := {}

tags := custom.tags
