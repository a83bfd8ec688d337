package llm

import (
	"cmp"
	"strings"
)

// What callers say of themselves in a body: of whom and of which session a call is.
// None of it is prompt and none of it costs anything; whether it is believed is
// not for this package to say.

// metadata takes the hints that an app gives about who and what it calls for.
func (r *reader) metadata() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	return r.fields(metadataFields, false, func(name string) *Problem {
		if name == unknown || r.kind() != '"' {
			return r.skip()
		}
		s, _, p := r.text()
		switch {
		case p != nil:
		case name == "session_id":
			r.ask.Session = s
		case r.ask.Dialect == Anthropic:
			r.ask.User = s
		}
		return p
	})
}

var metadataFields = []string{"session_id", "user_id"}

// clientMetadata takes what Codex says of itself beside a response. The API has no
// such field, so nothing but the session is asked of its form.
func (r *reader) clientMetadata(session *string) *Problem {
	if r.kind() != '{' {
		return r.skip()
	}
	return r.fields(clientFields, false, func(name string) *Problem {
		if name == unknown {
			return r.skip()
		}
		return r.hint(session)
	})
}

var clientFields = []string{"session_id"}

// splitUser takes apart what coding agents send as user_id: JSON in a string, or,
// before that, user_<hash>_account_<id>_session_<id>. One user's sessions must not
// look like many users, or a budget per user would be none.
func (a *Ask) splitUser() {
	user, session, ok := agentUser(a.User)
	if !ok {
		before, after, found := strings.Cut(a.User, "_session_")
		if !found || after == "" {
			return
		}
		user, session = strings.TrimRight(before, "_"), after
	}
	a.User = user
	a.Session = cmp.Or(a.Session, session)
}

// mostAgentUser is the longest user_id that is read as JSON. Agents send 150 bytes;
// a text longer than this is a name that nobody believes.
const mostAgentUser = 4 << 10

var agentUserFields = []string{"device_id", "account_uuid", "session_id"}

// agentUser reads a user_id that is an object: whose account it is, or, where there
// is none, on which device. What is no such object is a name like any other.
func agentUser(said string) (user, session string, ok bool) {
	if len(said) > mostAgentUser || !strings.HasPrefix(said, "{") {
		return "", "", false
	}
	r := newReader([]byte(said), &Ask{})
	device := ""
	p := r.fields(agentUserFields, false, func(name string) *Problem {
		switch name {
		case "device_id":
			return r.hint(&device)
		case "account_uuid":
			return r.hint(&user)
		case "session_id":
			return r.hint(&session)
		}
		return r.skip()
	})
	if p == nil {
		p = r.finish()
	}
	user = cmp.Or(user, device)
	return user, session, p == nil && (user != "" || session != "")
}
