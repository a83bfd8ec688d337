package http

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
	"github.com/signalbox-dev/signalbox/analytics"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// Registry is what operators read and change; *registry.Registry in production.
type Registry interface {
	Snapshot() *registry.Snapshot
	Apply(ctx context.Context, files []registry.File, opts registry.ApplyOptions) (registry.Diff, error)
	Keys() []registry.Key
	CreateKey(ctx context.Context, req registry.KeyRequest) (registry.Key, string, error)
	RevokeKey(ctx context.Context, id, by, why string) (registry.Key, error)
	RotateKey(ctx context.Context, req registry.RotateRequest) (registry.Key, string, error)
}

// Ledger is the books as operators see them; *ledger.Keeper in production.
type Ledger interface {
	Meters(key string) []ledger.MeterView
	Adjust(ctx context.Context, key string, a journal.Adjusted) error
	ReleaseEpoch(ctx context.Context, e journal.Epoch, by, why string) error
}

// Names turns people's pseudonyms into what operators read, and back.
type Names interface {
	Name(tenant, pseudonym string) string
	Pseudonym(tenant, kind, name string) string
}

// Analytics answers SQL; *analytics.Store in production.
type Analytics interface {
	Query(ctx context.Context, sql string) (*analytics.Result, error)
}

// Operators knows who may use the admin API.
type Operators interface {
	// OperatorByToken is the operator a token (sba_…) was made for. It takes the
	// same time whatever the token holds.
	OperatorByToken(token string) (name string, ok bool)
}

// AdminConfig is what the admin API is made of.
type AdminConfig struct {
	Registry  Registry
	Ledger    Ledger
	Names     Names
	Analytics Analytics
	Operators Operators
	Envoys    Envoys // nil: none is programmed
	// TrustLocal lets operators of this machine in without a token: only where
	// the listener is loopback.
	TrustLocal bool
	Version    adminapi.VersionResponse // RegistryVersion is filled in
	Now        func() time.Time
	Log        *slog.Logger
}

// The largest requests of the admin API.
const (
	maxApply = 32 << 20
	maxAdmin = 1 << 20
)

type admin struct{ AdminConfig }

// NewAdmin makes the handler of /admin/v1/.
func NewAdmin(c AdminConfig) http.Handler {
	a := &admin{c}
	mux := http.NewServeMux()
	mux.Handle("/admin/v1/apply", a.post(maxApply, a.apply))
	mux.Handle("/admin/v1/keys", a.methods(map[string]http.Handler{
		http.MethodGet: a.get(a.keys), http.MethodPost: a.post(maxAdmin, a.createKey),
	}))
	mux.Handle("/admin/v1/keys/{id}/revoke", a.post(maxAdmin, a.revokeKey))
	mux.Handle("/admin/v1/keys/{id}/rotate", a.post(maxAdmin, a.rotateKey))
	mux.Handle("/admin/v1/models", a.get(a.models))
	mux.Handle("/admin/v1/budgets", a.get(a.budgets))
	mux.Handle("/admin/v1/budgets/adjust", a.post(maxAdmin, a.adjust))
	mux.Handle("/admin/v1/budgets/release", a.post(maxAdmin, a.release))
	mux.Handle("/admin/v1/sql", a.post(maxAdmin, a.sql))
	mux.Handle("/admin/v1/envoy", a.get(a.envoys))
	mux.Handle("/admin/v1/version", a.get(a.version))
	mux.HandleFunc("/", NotFound)
	return Recover(c.Log, mux)
}

// operation is one thing an operator can ask for: it answers, or returns a fault.
type operation func(w http.ResponseWriter, r *http.Request, who operator, body []byte) error

// operator is who asks.
type operator struct {
	name  string
	local bool // on this machine without a token; name is then nobody's proof
}

// by is who stands in the journal behind a change.
func (o operator) by(claimed string) string {
	if !o.local {
		return o.name
	}
	if claimed == "" {
		return "local"
	}
	return "local:" + claimed
}

// fault is an answer that is not a success.
type fault struct {
	status int
	code   string
	where  string
	err    error
	diff   *adminapi.Diff
	list   []adminapi.Problem
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func wrong(where, message string) *fault {
	return &fault{status: http.StatusBadRequest, code: "bad_request", where: where, err: errors.New(message)}
}

func missing(message string) *fault {
	return &fault{status: http.StatusNotFound, code: "not_found", err: errors.New(message)}
}

func (a *admin) get(do operation) http.Handler { return only(http.MethodGet, a.guarded(0, do)) }

func (a *admin) post(bound int64, do operation) http.Handler {
	return only(http.MethodPost, a.guarded(bound, do))
}

// methods chooses by method.
func (a *admin) methods(by map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if next, ok := by[r.Method]; ok {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", "GET, POST")
		plainError(w, http.StatusMethodNotAllowed, "wrong_method", "use GET or POST")
	})
}

// guarded lets operators in, reads what they sent and answers their faults.
func (a *admin) guarded(bound int64, do operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := a.admit(r)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		var body []byte
		if bound > 0 {
			var p *door.Problem
			if body, p = readBody(w, r, bound); p != nil {
				problem(w, r, a.Log, p)
				return
			}
		}
		if err := do(w, r, who, body); err != nil {
			a.refuse(w, r, err)
		}
	})
}

// admit says which operator asks.
func (a *admin) admit(r *http.Request) (operator, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); strings.EqualFold(scheme, "bearer") && token != "" {
		if name, ok := a.Operators.OperatorByToken(token); ok {
			return operator{name: name}, nil
		}
		return operator{}, &fault{status: http.StatusUnauthorized, code: "operator_unknown", err: errors.New("this operator token is not known, was revoked or has expired")}
	}
	p := peer(r)
	// Behind a proxy on this machine everybody looks local; a proxy that says so
	// takes the privilege away.
	proxied := r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""
	if !a.TrustLocal || !p.Local || proxied {
		return operator{}, &fault{status: http.StatusUnauthorized, code: "operator_unknown", err: errors.New("send Authorization: Bearer sba_… (signalbox keys create --admin; the commands read SIGNALBOX_TOKEN)")}
	}
	if p := p.Foreign(); p != nil {
		return operator{}, &fault{status: http.StatusForbidden, code: "foreign_origin", where: p.Where, err: errors.New(p.Message)}
	}
	return operator{local: true}, nil
}

// refuse answers an error. What is no fault of the operator's is logged, and
// still told: operators are who must act on it.
func (a *admin) refuse(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := asFault(err)
	if !ok {
		a.Log.ErrorContext(r.Context(), "admin request failed", "path", r.Pattern, "cause", err)
		f = &fault{status: http.StatusServiceUnavailable, code: "failed", err: err}
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	respond(w, r, a.Log, f.status, adminapi.ErrorResponse{
		Error: adminapi.Error{Code: f.code, Message: f.err.Error(), Where: f.where, Problems: f.list},
		Diff:  f.diff,
	})
}

// asFault recognises what the operator can mend.
func asFault(err error) (*fault, bool) {
	if f, ok := errors.AsType[*fault](err); ok {
		return f, true
	}
	p, ok := errors.AsType[*registry.RequestProblem](err)
	if !ok {
		return nil, false
	}
	statuses := map[string]int{registry.Invalid: http.StatusBadRequest, registry.NotFound: http.StatusNotFound, registry.Conflict: http.StatusConflict}
	status, ok := statuses[p.Code]
	return &fault{status: status, code: p.Code, err: p}, ok
}

// read reads a request's message.
func read(body []byte, into any) error {
	if p := readStrict(body, into); p != nil {
		return wrong(p.Where, p.Message)
	}
	return nil
}

// whyOf refuses reasons that would not stay one line of a report.
func whyOf(by adminapi.By, needed bool) error {
	const most = 512
	if len(by.Why) > most || len(by.Who) > most || strings.ContainsAny(by.Why+by.Who, "\r\n\x00\x1f") {
		return wrong("why", "who and why are one line each, of at most 512 bytes")
	}
	if needed && strings.TrimSpace(by.Why) == "" {
		return wrong("why", "say why: it is kept with the change")
	}
	return nil
}

// version is GET /admin/v1/version.
func (a *admin) version(w http.ResponseWriter, r *http.Request, _ operator, _ []byte) error {
	v := a.Version
	if snapshot := a.Registry.Snapshot(); snapshot != nil {
		v.RegistryVersion = snapshot.Version
	}
	respond(w, r, a.Log, http.StatusOK, v)
	return nil
}
