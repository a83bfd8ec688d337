package http

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
	"github.com/signalbox-dev/signalbox/registry"
)

const maxFiles = 1000

// apply is POST /admin/v1/apply.
func (a *admin) apply(w http.ResponseWriter, r *http.Request, who operator, body []byte) error {
	var req adminapi.ApplyRequest
	if err := read(body, &req); err != nil {
		return err
	}
	if err := whyOf(req.By, false); err != nil {
		return err
	}
	if len(req.Files) == 0 || len(req.Files) > maxFiles {
		return wrong("files", "want at least one registry file, and at most 1000")
	}
	files := make([]registry.File, len(req.Files))
	for i, f := range req.Files {
		files[i] = registry.File{Name: f.Name, Data: []byte(f.Content)}
	}
	opts := registry.ApplyOptions{DryRun: req.DryRun, Prune: req.Prune, Confirmed: req.Confirm, IfVersion: req.IfVersion,
		By: who.by(req.Who), Why: orElse(req.Why, "apply")}
	diff, err := a.Registry.Apply(r.Context(), files, opts)
	if err != nil {
		return applyFault(err)
	}
	done := adminapi.ApplyResponse{Applied: !req.DryRun, Diff: newDiff(diff)}
	if req.DryRun {
		done.Diff.Version = 0
	}
	respond(w, r, a.Log, http.StatusOK, done)
	return nil
}

// applyFault says what kept the registry from being changed.
func applyFault(err error) error {
	if asks, ok := errors.AsType[*registry.ConfirmationNeeded](err); ok {
		diff := newDiff(asks.Diff)
		return &fault{status: http.StatusConflict, code: adminapi.CodeConfirm, err: err, diff: &diff}
	}
	if errors.Is(err, registry.ErrMoved) {
		return &fault{status: http.StatusConflict, code: adminapi.CodeMoved, err: registry.ErrMoved}
	}
	invalid, ok := errors.AsType[*registry.FileError](err)
	if !ok {
		return err
	}
	f := &fault{status: http.StatusUnprocessableEntity, code: adminapi.CodeInvalid, err: errors.New("the registry files cannot be taken over; nothing was changed")}
	for _, p := range invalid.Problems {
		f.list = append(f.list, adminapi.Problem{File: p.File, Line: p.Line, Column: p.Column, What: p.What, Want: p.Want})
	}
	if invalid.More > 0 {
		f.err = fmt.Errorf("%w; %d more problems are not listed", f.err, invalid.More)
	}
	return f
}

func newDiff(d registry.Diff) adminapi.Diff {
	out := adminapi.Diff{Base: d.Base, Version: d.Version, Unchanged: d.Unchanged, Warnings: d.Warnings, Changes: make([]adminapi.Change, 0, len(d.Changes))}
	for _, c := range d.Changes {
		change := adminapi.Change{Op: string(c.Op), Kind: c.Kind, Tenant: c.Tenant, Name: c.Name, Consequences: c.Consequences, Asks: c.Asks}
		for _, f := range c.Fields {
			change.Fields = append(change.Fields, adminapi.FieldChange(f))
		}
		out.Changes = append(out.Changes, change)
	}
	return out
}
