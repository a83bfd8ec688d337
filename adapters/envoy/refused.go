package envoy

import (
	"encoding/json"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// keyRefused says why a call went nowhere: a decision's code, or a failure's.
const keyRefused = "refused"

// Refused is the metadata of a call that we have answered ourselves. Without it the
// access log would take the call for one that nobody was asked about.
func Refused(decisionID, why string) *structpb.Struct {
	m := &structpb.Struct{Fields: map[string]*structpb.Value{keyRefused: structpb.NewStringValue(why)}}
	if decisionID != "" {
		m.Fields["decision"] = structpb.NewStringValue(decisionID)
	}
	return m
}

// Asked reports whether metadata, of NamespaceCall or NamespaceAuthz, says that we were
// asked about the call.
func Asked(m *structpb.Struct) bool {
	f := m.GetFields()
	return f[keyRefused] != nil || f["decision"] != nil || f[HeaderCall] != nil
}

// HeaderCall is a Call in one header, for the HTTP variant of ext_authz: its filter
// makes metadata of headers that dynamic_metadata_from_headers names, and of nothing
// else. Callers and providers must not see it: the token is in it.
const HeaderCall = "x-signalbox-call"

type callHeader struct {
	Decision string       `json:"decision"`
	Token    string       `json:"token,omitempty"`
	Dialect  llm.Dialect  `json:"dialect,omitempty"`
	Endpoint llm.Endpoint `json:"endpoint,omitempty"`
	Attempts int          `json:"attempts,omitempty"`
	Order    []string     `json:"order,omitempty"`
}

// Header is the call for HeaderCall.
func (c *Call) Header() (string, error) {
	b, err := json.Marshal(callHeader{c.DecisionID, c.Token, c.Dialect, c.Endpoint, c.Attempts, c.Order})
	return string(b), err
}

// readHeader is what Header wrote.
func readHeader(s string) (Call, bool) {
	var h callHeader
	if len(s) > maxUsage || json.Unmarshal([]byte(s), &h) != nil {
		return Call{}, false
	}
	return Call{DecisionID: h.Decision, Token: h.Token, Dialect: h.Dialect, Endpoint: h.Endpoint, Attempts: h.Attempts, Order: h.Order}, h.Decision != ""
}

// ReadLogged is the call that an access log's metadata tells of: of ext_proc, or of
// either variant of ext_authz. authz says which of the two filters it was.
func ReadLogged(namespaces map[string]*structpb.Struct) (call Call, authz, ok bool) {
	if call, ok = ReadCall(namespaces[NamespaceCall]); ok {
		return call, false, true
	}
	m := namespaces[NamespaceAuthz]
	if call, ok = ReadCall(m); ok {
		return call, true, true
	}
	call, ok = readHeader(m.GetFields()[HeaderCall].GetStringValue())
	return call, true, ok
}
