package http

import (
	"log/slog"
	"net/http"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// errorBody is what stands in an answer that is not about a call.
type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Where   string `json:"where,omitzero"`
}

// problem answers with a problem. Only what broke on our side is logged: a
// gateway's mistakes are told to the gateway, and a stranger must not be able to
// fill the log.
func problem(w http.ResponseWriter, r *http.Request, log *slog.Logger, p *door.Problem) {
	known := statuses[p.Kind]
	if known.status == 0 {
		known = statuses[door.Internal]
	}
	if p.Kind == door.Internal || p.Kind == door.Unavailable {
		log.ErrorContext(r.Context(), "no answer given", "path", r.Pattern, "status", known.status, "cause", p.Cause)
	}
	if p.Kind == door.UnknownGateway {
		w.Header().Set("WWW-Authenticate", `SignalboxGateway header="x-signalbox-gateway-token"`)
	}
	if p.Answer != nil && p.Answer.Response != nil {
		// There is no decision, but there is something to tell the caller: the same
		// shape as an answer, so that a gateway can pass it on in the same way.
		for _, name := range []string{"retry-after", "retry-after-ms"} {
			if value := p.Answer.Response.Headers[name]; value != "" {
				w.Header().Set(name, value)
			}
		}
		respond(w, r, log, known.status, p.Answer)
		return
	}
	respond(w, r, log, known.status, errorBody{errorDetail{Code: known.code, Message: p.Message, Where: p.Where}})
}

// respond writes a JSON answer.
func respond(w http.ResponseWriter, r *http.Request, log *slog.Logger, status int, value any) {
	body, err := writeJSON(value)
	if err != nil {
		log.ErrorContext(r.Context(), "an answer could not be spelt", "path", r.Pattern, "type", typeName(value), "cause", err)
		status, body = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer could not be spelt; the operators' log says why"}}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", itoa(int64(len(body)+1)))
	w.WriteHeader(status)
	// A write fails when the other side has gone, and then there is nobody to tell.
	_, _ = w.Write(append(body, '\n'))
}
