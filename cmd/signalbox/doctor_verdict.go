package main

import (
	"fmt"
	"slices"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
)

// standing is what a call says of the gateway.
type standing string

const (
	wired      standing = "wired"      // our decision, and the one there must be
	unmetered  standing = "unmetered"  // our decision to let it pass: a paths rule says so
	unrouted   standing = "no route"   // the gateway sends this nowhere
	passedBy   standing = "PASSED"     // somebody answered who is not us: a provider, most likely
	garbled    standing = "GARBLED"    // we were asked, about another call than this one
	stranger   standing = "STRANGER"   // a decision was made that is not in this journal
	unanswered standing = "UNANSWERED" // the gateway waits for us in vain
	barred     standing = "BARRED"     // the gateway itself refuses the caller
)

// verdict is the standing and, where it is red, what to fix.
type verdict struct {
	is  standing
	fix string
}

func (v verdict) red() bool { return v.fix != "" }

// What to fix, by what was seen.
const (
	fixPassed = "these calls were answered without a decision: no filter of ours is on their route, a route turns it off, " +
		"or it lets calls pass when it fails (failure_mode_allow). `signalbox envoy filter` prints the filter; it stands before the router, and typed_per_filter_config must not disable it"
	fixAllowed    = "Signalbox let these calls pass though the canary may spend nothing: the gateway puts another key in place of the caller's before it asks"
	fixUnanswered = "the gateway answered 5xx by itself: it asks Signalbox and gets no answer. Look whether its cluster for Signalbox has the right address and speaks HTTP/2, whether it may ask (its token or certificate), and at the time-out of the filter"
	fixBarred     = "the gateway refuses these calls by itself, before anybody is asked; give what it wants of callers with -H"
	fixStranger   = "a Signalbox decided these calls whose journal is not the one behind --url: the gateway asks another one"
	fixRedirect   = "the gateway redirects these calls; give the address it redirects to as --gateway"
	fixSilent     = "nothing came back"
)

// fixGarbled says what the gateway does to a call before it asks, by what we said.
var fixGarbled = map[decision.Code]string{
	decision.KeyMissing:         "Signalbox was asked without the caller's key: let the gateway send on authorization, x-api-key and api-key (allowed_headers in ext_authz)",
	decision.KeyUnknown:         "Signalbox was asked with another key than the caller's: something takes its place before the filter; or the canary was removed by another doctor, then run this again",
	decision.KeyRevoked:         "the canary's key was revoked meanwhile: another doctor has ended; run this again",
	decision.Malformed:          "Signalbox was asked without the body: with_request_body in ext_authz, request_body_mode: BUFFERED in ext_proc",
	decision.TooLarge:           "Signalbox was asked with a part of the body: raise max_request_bytes of with_request_body, or use request_body_mode: BUFFERED in ext_proc",
	decision.PathUnknown:        "Signalbox was asked about another path than the caller's: the gateway rewrites paths before the filter",
	decision.DialectMismatch:    "Signalbox was asked about another body than the caller's: something before the filter changes it",
	decision.ModelUnknown:       "Signalbox was asked about another model than the caller's: something before the filter changes the body",
	decision.JournalUnavailable: "Signalbox cannot decide now; `signalbox doctor` says why",
}

// expected is the code there must be. A canary may also be refused for another
// reason of policy: whoever is refused has been judged.
var expected = map[check]decision.Code{
	checkCanary: decision.BudgetExhausted, checkForged: decision.BudgetExhausted,
	checkNoKey: decision.KeyMissing, checkBadKey: decision.KeyUnknown, checkForeign: decision.KeyUnknown,
	checkUnknown: decision.PathUnknown,
}

// judgeSeen says what an answer shows. The journal is asked afterwards, for all.
func judgeSeen(s *doctorSeen) verdict {
	switch {
	case s.err != nil:
		return verdict{unanswered, fixSilent + ": " + s.err.Error()}
	case s.decision != "":
		return judgeDecided(s)
	case s.code == door.Overloaded:
		return verdict{unanswered, "Signalbox has too much to do at once (limits.streams, limits.bodies)"}
	case s.status < 300:
		return verdict{passedBy, fixPassed}
	case s.status < 400 && s.check == checkUnknown:
		return verdict{is: unrouted} // to a tidier path, and nowhere else
	case s.status < 400:
		return verdict{unanswered, fixRedirect}
	case s.code == string(decision.PathUnknown):
		return verdict{is: unrouted} // routes of ours refuse it themselves
	case s.upstream:
		return verdict{passedBy, fixPassed}
	case s.status >= 500:
		return verdict{unanswered, fixUnanswered}
	case s.error && !ourCode(s.code):
		return verdict{passedBy, fixPassed} // a provider's own words
	case s.status == 404 || s.status == 405:
		return verdict{is: unrouted}
	case s.check == checkUnknown && s.status == 400:
		return verdict{is: unrouted} // a path that can be read in two ways is refused at the gateway's door
	}
	return verdict{barred, fixBarred}
}

// judgeDecided judges an answer that names a decision of ours.
func judgeDecided(s *doctorSeen) verdict {
	code := decision.Code(s.code)
	switch {
	case s.headers["x-signalbox-decision"] == s.decision:
		return verdict{passedBy, "the caller's own x-signalbox-decision came back: x-signalbox-* headers of callers are not removed. " + fixPassed}
	case s.check == checkList && s.status == 200:
		return verdict{is: wired}
	case s.check == checkUnknown && s.code == "":
		return verdict{is: unmetered}
	case s.status < 300 || s.code == "":
		return verdict{passedBy, fixAllowed}
	case code == expected[s.check]:
		return verdict{is: wired}
	case s.check == checkUnknown && code != decision.JournalUnavailable:
		// A gateway that tidies paths up asks about a path that is judged, and the canary,
		// which has nothing to say and nothing to spend, is refused for that.
		return verdict{is: wired}
	case fixGarbled[code] != "":
		return verdict{garbled, fixGarbled[code]}
	case s.check == checkCanary || s.check == checkForged:
		return verdict{is: wired} // refused by policy, before its budget was looked at
	}
	return verdict{garbled, fmt.Sprintf("a call that must be refused as %s was refused as %s", expected[s.check], code)}
}

// ourCode reports whether a code is one that we, or routes of ours, say.
func ourCode(code string) bool {
	ours := []string{door.UpstreamUnavailable, door.UpstreamTimeout, door.Overloaded}
	return decision.Code(code).Status() != 0 || slices.Contains(ours, code)
}
