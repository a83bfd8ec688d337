package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

const (
	// canaryTenant stays in the registry, empty: tenants cannot be removed by files.
	canaryTenant = "signalbox-doctor"
	// canaryLife ends the key of a doctor that was killed before it could.
	canaryLife = 10 * time.Minute
	// canaryRemoval bounds what is done after an interrupt.
	canaryRemoval = 20 * time.Second
)

// canary is an app that may spend nothing.
type canary struct {
	app    string // tenant/app
	budget string // the name that only this run knows: who says it has asked our service
	keyID  string
	secret string
	born   time.Time
}

// newCanary makes one: names are of this run, so that two doctors do not meet. A
// canary that is given back beside an error may be there in part and is to be removed.
func (g *globals) newCanary(ctx context.Context) (*canary, error) {
	random := make([]byte, 4)
	rand.Read(random) // never fails: the runtime stops the program instead
	name := "canary-" + hex.EncodeToString(random)
	c := &canary{app: canaryTenant + "/" + name, budget: name}
	// Tokens, not money: a provisioned deployment costs no money, and every call that
	// is judged needs a token.
	file := fmt.Sprintf(`tenants: [{name: %[1]s}]
teams: [{tenant: %[1]s, name: doctor}]
apps: [{tenant: %[1]s, team: doctor, name: %[2]s}]
budgets: [{name: %[2]s, match: {tenant: %[1]s, app: %[2]s}, unit: tokens, amount: "0", window: total}]
`, canaryTenant, name)
	var done adminapi.ApplyResponse
	err := g.call(ctx, "POST", "/admin/v1/apply", canaryApply(file), &done)
	if refused, ok := errors.AsType[*apiError](err); ok {
		return nil, fmt.Errorf("make a canary: %w", refused)
	}
	if err != nil {
		return c, fmt.Errorf("make a canary: %w", err)
	}
	var made adminapi.KeyResponse
	request := adminapi.CreateKeyRequest{By: by("doctor"), App: c.app, Expires: adminapi.Duration(canaryLife)}
	if err := g.call(ctx, "POST", "/admin/v1/keys", request, &made); err != nil {
		return c, fmt.Errorf("make the canary's key: %w", err)
	}
	c.keyID, c.secret, c.born = made.Key.ID, made.Secret, time.Now()
	return c, nil
}

// removeCanary leaves the tenant empty, of this run's canary and of those that a
// killed run has left. It does so after an interrupt as well.
func (g *globals) removeCanary(ctx context.Context, c *canary) error {
	if c == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), canaryRemoval)
	defer cancel()
	var problems []error
	if c.keyID != "" {
		var done adminapi.KeyResponse
		problems = append(problems, g.changeKey(ctx, c.keyID, "revoke", adminapi.RevokeKeyRequest{By: by("doctor")}, &done))
	}
	file := canaryApply(fmt.Sprintf("tenants: [{name: %s}]\nteams: []\napps: []\nbudgets: []\n", canaryTenant))
	file.Prune, file.Confirm = true, true
	var done adminapi.ApplyResponse
	problems = append(problems, g.call(ctx, "POST", "/admin/v1/apply", file, &done))
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("remove the canary %s, whose key expires in %d minutes: %w", c.app, int(canaryLife.Minutes()), err)
	}
	return nil
}

func canaryApply(file string) adminapi.ApplyRequest {
	return adminapi.ApplyRequest{By: by("doctor"), Files: []adminapi.File{{Name: "doctor.yaml", Content: file}}}
}

// doctorModels are those that are sent through: the registry's.
func (g *globals) doctorModels(ctx context.Context) ([]adminapi.Model, error) {
	var list adminapi.ModelsResponse
	if err := g.call(ctx, "GET", "/admin/v1/models", nil, &list); err != nil {
		return nil, err
	}
	if len(list.Models) == 0 {
		return nil, errors.New("the registry has no models, so there is nothing to send through a gateway; apply one first")
	}
	return list.Models, nil
}
