package llm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// What coding agents send as Anthropic's user_id holds a session too. What is not of
// their making is a name like any other, as it stands.
func TestAUserIDIsTakenApart(t *testing.T) {
	device, session := strings.Repeat("d1", 32), "7cdf3bdf-7e35-4f0b-8a8e-f1a2f2c33a11"
	for _, c := range []struct{ name, said, user, session string }{
		{"no account: the device", `{"device_id":"` + device + `","account_uuid":"","session_id":"` + session + `"}`, device, session},
		{"an account", `{"device_id":"` + device + `","account_uuid":"a-1","session_id":"` + session + `"}`, "a-1", session},
		{"in another order, with more in it", ` {"session_id":"s"}`[1:] + "\n", "", "s"},
		{"more in it", `{"x":{"session_id":"t"},"session_id":"s","account_uuid":"a","y":[1]}`, "a", "s"},
		{"escapes", `{"sess\u0069on_id":"s","account_uuid":"\u0061"}`, "a", "s"},
		{"a null is not said", `{"device_id":"d","account_uuid":null,"session_id":null}`, "d", ""},
		{"the old form", "user_ab12_account__session_77f0", "user_ab12_account", "77f0"},
		{"the old form with an account", "user_ab12_account_9_session_77f0", "user_ab12_account_9", "77f0"},

		{"a name", "u-17", "u-17", ""},
		{"nothing", "", "", ""},
		{"JSON of somebody else", `{"name":"bob"}`, `{"name":"bob"}`, ""},
		{"JSON that says nothing", `{"account_uuid":"","session_id":""}`, `{"account_uuid":"","session_id":""}`, ""},
		{"JSON that is no object", `["a"]`, `["a"]`, ""},
		{"half of it", `{"account_uuid":"a","session_id":"s"`, `{"account_uuid":"a","session_id":"s"`, ""},
		{"more than it", `{"account_uuid":"a"}{"account_uuid":"b"}`, `{"account_uuid":"a"}{"account_uuid":"b"}`, ""},
		{"two of one name", `{"account_uuid":"a","account_uuid":"b"}`, `{"account_uuid":"a","account_uuid":"b"}`, ""},
		{"another depth", `{"a":{"account_uuid":"a"}}`, `{"a":{"account_uuid":"a"}}`, ""},
		{"too long to be read", `{"account_uuid":"a","x":"` + strings.Repeat("x", 5000) + `"}`, `{"account_uuid":"a","x":"` + strings.Repeat("x", 5000) + `"}`, ""},
		{"brackets without end", strings.Repeat(`{"a":`, 800), strings.Repeat(`{"a":`, 800), ""},
	} {
		said, err := json.Marshal(c.said)
		if err != nil {
			t.Fatal(err)
		}
		a := read(t, messages, messagesWith(`"metadata":{"user_id":`+string(said)+`}`))
		if a.User != c.user || a.Session != c.session {
			t.Errorf("%s: user %.100q, session %q", c.name, a.User, a.Session)
		}
	}
}

// A session that an app names itself stands before one that its agent adds.
func TestTheSessionOfABody(t *testing.T) {
	for _, c := range []struct {
		route       llm.Route
		field, want string
	}{
		{chat, `"metadata":{"session_id":"s"}`, "s"},
		{messages, `"metadata":{"user_id":"{\"session_id\":\"agent's\"}","session_id":"s"}`, "s"},
		{responses, `"client_metadata":{"thread_id":"t","session_id":"agent's"}`, "agent's"},
		{responses, `"client_metadata":{"session_id":"agent's"},"metadata":{"session_id":"s"}`, "s"},
		{responses, `"metadata":{"session_id":"s"},"client_metadata":{"session_id":"agent's"}`, "s"},
		{responses, `"client_metadata":null`, ""},
		{responses, `"client_metadata":"x"`, ""},
		{responses, `"client_metadata":{"session_id":7}`, ""},
		{chat, `"client_metadata":{"session_id":"agent's"}`, ""}, // nobody sends it there
	} {
		body := `{"model":"m","messages":[],` + c.field + `}`
		if c.route.Endpoint == llm.Responses {
			body = `{"model":"m","input":[],` + c.field + `}`
		}
		if a := read(t, c.route, body); a.Session != c.want {
			t.Errorf("%s: session %q", c.field, a.Session)
		}
	}
}
