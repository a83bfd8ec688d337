package http

import (
	"net/http"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
	"github.com/signalbox-dev/signalbox/registry"
)

// keys is GET /admin/v1/keys.
func (a *admin) keys(w http.ResponseWriter, r *http.Request, _ operator, _ []byte) error {
	now, all := a.Now(), a.Registry.Keys()
	out := adminapi.KeysResponse{Keys: make([]adminapi.Key, 0, len(all))}
	for i := range all {
		out.Keys = append(out.Keys, newKey(&all[i], now))
	}
	respond(w, r, a.Log, http.StatusOK, out)
	return nil
}

// createKey is POST /admin/v1/keys.
func (a *admin) createKey(w http.ResponseWriter, r *http.Request, who operator, body []byte) error {
	var req adminapi.CreateKeyRequest
	if err := read(body, &req); err != nil {
		return err
	}
	if err := whyOf(req.By, false); err != nil {
		return err
	}
	wanted, err := keyRequest(&req)
	if err != nil {
		return err
	}
	wanted.By = who.by(req.Who)
	key, secret, err := a.Registry.CreateKey(r.Context(), wanted)
	if err != nil {
		return err
	}
	respond(w, r, a.Log, http.StatusOK, adminapi.KeyResponse{Key: newKey(&key, a.Now()), Secret: secret})
	return nil
}

// keyRequest reads whose key is asked for: exactly one of app, gateway, admin.
func keyRequest(req *adminapi.CreateKeyRequest) (registry.KeyRequest, error) {
	out := registry.KeyRequest{Expires: time.Duration(req.Expires), Why: orElse(req.Why, "keys create")}
	kinds := 0
	if req.App != "" {
		kinds++
		tenant, app, ok := strings.Cut(req.App, "/")
		if !ok || tenant == "" || app == "" {
			return out, wrong("app", "want TENANT/APP, such as acme/helpdesk")
		}
		out.Kind, out.Tenant, out.App = registry.KeyApp, tenant, app
	}
	if req.Gateway != "" {
		kinds++
		out.Kind, out.Gateway = registry.KeyGateway, req.Gateway
	}
	if req.Admin {
		kinds++
		out.Kind = registry.KeyAdmin
	}
	if kinds != 1 {
		return out, wrong("app", "want exactly one of app, gateway and admin")
	}
	return out, nil
}

// revokeKey is POST /admin/v1/keys/{id}/revoke.
func (a *admin) revokeKey(w http.ResponseWriter, r *http.Request, who operator, body []byte) error {
	var req adminapi.RevokeKeyRequest
	if err := read(body, &req); err != nil {
		return err
	}
	if err := whyOf(req.By, false); err != nil {
		return err
	}
	key, err := a.Registry.RevokeKey(r.Context(), r.PathValue("id"), who.by(req.Who), orElse(req.Why, "keys revoke"))
	if err != nil {
		return err
	}
	respond(w, r, a.Log, http.StatusOK, adminapi.KeyResponse{Key: newKey(&key, a.Now())})
	return nil
}

// rotateKey is POST /admin/v1/keys/{id}/rotate.
func (a *admin) rotateKey(w http.ResponseWriter, r *http.Request, who operator, body []byte) error {
	var req adminapi.RotateKeyRequest
	if err := read(body, &req); err != nil {
		return err
	}
	if err := whyOf(req.By, false); err != nil {
		return err
	}
	key, secret, err := a.Registry.RotateKey(r.Context(), registry.RotateRequest{
		ID: r.PathValue("id"), Overlap: time.Duration(req.Overlap), By: who.by(req.Who), Why: orElse(req.Why, "keys rotate"),
	})
	if err != nil {
		return err
	}
	respond(w, r, a.Log, http.StatusOK, adminapi.KeyResponse{Key: newKey(&key, a.Now()), Secret: secret})
	return nil
}

func newKey(k *registry.Key, now time.Time) adminapi.Key {
	out := adminapi.Key{
		ID: k.ID, Kind: string(k.Kind), Gateway: k.Gateway, Prefix: k.Prefix, State: string(k.State(now)),
		CreatedAt: k.CreatedAt.UTC(), ReplacedBy: k.ReplacedBy,
	}
	if k.Kind == registry.KeyApp {
		out.App = k.Tenant + "/" + k.App
	}
	if !k.ExpiresAt.IsZero() {
		out.ExpiresAt = k.ExpiresAt.UTC()
	}
	if !k.RevokedAt.IsZero() {
		out.RevokedAt = k.RevokedAt.UTC()
	}
	return out
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
