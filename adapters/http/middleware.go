package http

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// gatewayTokenHeader is where a gateway without a client certificate proves who
// it is.
const gatewayTokenHeader = "X-Signalbox-Gateway-Token"

// peer is who stands at the door.
func peer(r *http.Request) door.Peer {
	p := door.Peer{
		Token: strings.TrimSpace(r.Header.Get(gatewayTokenHeader)),
		Local: door.IsLocal(r.RemoteAddr), Host: r.Host, Origin: r.Header.Get("Origin"),
	}
	// Only verified chains count: a server that merely asks for certificates gets
	// them from anybody.
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && len(r.TLS.PeerCertificates) > 0 {
		p.Certificate = r.TLS.PeerCertificates[0]
	}
	return p
}

// Admit says which gateway calls, or why it is not let in, for the handlers beside
// ours: "" is one of this machine that need not prove itself.
func Admit(guard door.Guard) func(r *http.Request) (gateway string, problem *door.Problem) {
	return func(r *http.Request) (string, *door.Problem) {
		who, p := guard.Admit(peer(r))
		if p != nil {
			return "", p
		}
		return who.Name("")
	}
}

// only answers other methods with 405.
func only(method string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			plainError(w, http.StatusMethodNotAllowed, "wrong_method", "use "+method)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// NotFound answers where there is nothing.
func NotFound(w http.ResponseWriter, _ *http.Request) {
	plainError(w, http.StatusNotFound, "not_found", "there is nothing at this path")
}

// plainError is for what is decided before anybody knows who asks.
func plainError(w http.ResponseWriter, status int, code, message string) {
	body, err := writeJSON(errorBody{errorDetail{Code: code, Message: message}})
	if err != nil {
		body = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// Recover answers 500 where a handler panics. The log gets the place and no
// values: a panic's value may be made of what a caller sent.
func Recover(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			log.ErrorContext(r.Context(), "a handler panicked", "path", r.Pattern, "type", typeName(v), "at", door.PanicSite())
			plainError(w, http.StatusInternalServerError, "internal", "something broke here; the operators' log says what")
		}()
		next.ServeHTTP(w, r)
	})
}

func typeName(v any) string {
	if _, ok := v.(runtime.Error); ok {
		return "runtime error"
	}
	return fmt.Sprintf("%T", v)
}
