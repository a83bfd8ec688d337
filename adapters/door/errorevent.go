package door

import (
	"encoding/json"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// ErrorEvent is a failure in the middle of a stream, as the endpoint's official
// SDKs find errors there and raise them: chat completions by an "error" in an
// event's data, the others by the event's name too. It begins with a blank line, in
// case the event before has none.
func ErrorEvent(endpoint llm.Endpoint, f Failed) []byte {
	data := Failure(f).Bytes()
	name := ""
	switch {
	case f.Dialect == llm.Anthropic:
		name = "event: error\n"
	case endpoint == llm.Responses:
		name, data = "event: error\n", responsesError(f, data)
	}
	return append(append([]byte("\n\n"+name+"data: "), data...), "\n\n"...)
}

// responsesError says it twice: as the responses' own typed event, for clients that
// switch on its type, and under "error", where SDKs look before they look at types.
func responsesError(f Failed, body []byte) []byte {
	var said struct {
		Type    string          `json:"type"`
		Code    string          `json:"code"`
		Message string          `json:"message"`
		Param   *string         `json:"param"`
		Error   json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return body
	}
	said.Type, said.Code, said.Message = "error", f.Code, f.Message
	data, err := json.Marshal(said)
	if err != nil {
		return body
	}
	return data
}
