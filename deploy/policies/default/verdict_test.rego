package signalbox.decision_test

import data.signalbox.decision

# A call that nothing speaks against, with a deployment of each sort.
call := {
	"principal": {
		"tenant": "acme", "team": "support", "app": "helpdesk", "key": "k-1",
		"user": "", "session": "", "agent": "", "tags": {"env": "prod"},
	},
	"tenant": {"regions": []},
	"app": {"models": []},
	"request": {
		"dialect": "openai", "endpoint": "chat_completions", "method": "POST", "path": "/v1/chat/completions",
		"stream": false, "tools": 0, "images": 0, "files": 0, "token_ids": false, "size_band": "small", "max_output": 0,
	},
	"model": {"name": "gpt-4o"},
	"deployments": [
		deployment("dear", "paygo", "us", 3),
		deployment("b-cheap", "paygo", "eu", 1),
		deployment("a-cheap", "paygo", "", 1),
		deployment("reserved", "provisioned", "eu", 2),
	],
	"findings": [],
	"time": {"hour": 9, "weekday": "Monday", "date": "2026-03-02"},
	"gateway": "edge-1",
}

deployment(name, kind, region, price_rank) := {
	"name": name, "kind": kind, "region": region, "price_rank": price_rank,
	"provider": "azure", "priced": true, "healthy": true,
}

with_field(path, value) := json.patch(call, [{"op": "replace", "path": path, "value": value}])

# The policy with these rules added and no others: a folder under test beside this
# one has rules of its own.
judged(facts, custom) := verdict if {
	verdict := decision.verdict with input as facts with data.signalbox.decision.custom as custom
}

codes(verdict) := [reason.code | some reason in verdict.reasons]

test_paid_for_first_then_cheapest_then_by_name if {
	verdict := judged(call, {})
	verdict.allow
	verdict.deployments == ["reserved", "a-cheap", "b-cheap", "dear"]
}

test_what_is_down_comes_last if {
	verdict := judged(with_field("/deployments/3/healthy", false), {})
	verdict.deployments == ["a-cheap", "b-cheap", "dear", "reserved"]
}

test_nothing_is_said_beyond_the_route if {
	verdict := judged(call, {})
	object.remove(verdict, ["allow", "deployments"]) == {
		"reasons": [], "max_output": 0, "attempts": 1, "allow_clamp": true,
		"redact": [], "capture": "none", "tags": {},
	}
}

test_an_app_calls_the_models_it_was_given if {
	verdict := judged(with_field("/app/models", ["gpt-4o-mini", "gpt-4o"]), {})
	verdict.allow
}

test_and_no_other if {
	verdict := judged(with_field("/app/models", ["gpt-4o-mini"]), {})
	not verdict.allow
	codes(verdict) == ["model_not_allowed"]
}

test_a_model_is_named_in_full if {
	verdict := judged(with_field("/app/models", ["gpt-4"]), {})
	codes(verdict) == ["model_not_allowed"]
}

test_data_stays_in_the_tenants_regions if {
	verdict := judged(with_field("/tenant/regions", ["eu"]), {})
	verdict.allow
	verdict.deployments == ["reserved", "b-cheap"] # a-cheap states no region
}

test_no_region_left_is_residency if {
	verdict := judged(with_field("/tenant/regions", ["ch"]), {})
	not verdict.allow
	codes(verdict) == ["residency"]
}

test_an_unstated_region_is_no_region if {
	verdict := judged(with_field("/tenant/regions", [""]), {})
	codes(verdict) == ["residency"]
}

test_a_model_without_deployments_is_not_a_matter_of_residency if {
	verdict := judged(with_field("/deployments", []), {})
	verdict.allow
	verdict.deployments == []
}

test_your_reasons_come_after_ours if {
	verdict := judged(with_field("/tenant/regions", ["ch"]), {"deny": {{"code": "b"}, {"code": "a", "message": "no"}}})
	verdict.reasons[1] == {"code": "a", "message": "no"}
	codes(verdict) == ["residency", "a", "b"]
}

test_your_refusals_leave_the_rest if {
	verdict := judged(call, {"refuse": {"reserved", "dear"}})
	verdict.deployments == ["a-cheap", "b-cheap"]
}

test_your_refusals_may_leave_nothing if {
	verdict := judged(call, {"refuse": {"reserved", "dear", "a-cheap", "b-cheap"}})
	codes(verdict) == ["no_deployment"]
}

test_your_preference_comes_first_but_opens_nothing if {
	verdict := judged(with_field("/tenant/regions", ["eu"]), {"prefer": {"dear", "b-cheap"}})
	verdict.deployments == ["b-cheap", "reserved"]
}

test_your_smallest_limit_stands if {
	verdict := judged(call, {"max_output": {900, 300}})
	verdict.max_output == 300
}

test_no_limit_said_is_none if {
	verdict := judged(call, {"max_output": set()})
	verdict.max_output == 0
}

test_your_largest_number_of_tries_stands if {
	judged(call, {"attempts": {2, 3}}).attempts == 3
	judged(call, {"attempts": set()}).attempts == 1
}

test_the_rest_of_yours_is_passed_on if {
	verdict := judged(call, {"redact": {"email"}, "capture": "hash", "tags": {"reviewed": "no"}, "no_clamp": true})
	verdict.redact == ["email"]
	verdict.capture == "hash"
	verdict.tags == {"reviewed": "no"}
	not verdict.allow_clamp
}
