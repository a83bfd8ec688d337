package http

import (
	"errors"
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
	opts := registry.ApplyOptions{DryRun: req.DryRun, Prune: req.Prune, Confirmed: req.Confirm, By: who.by(req.Who), Why: orElse(req.Why, "apply")}
	if !req.DryRun && !req.Confirm {
		if err := a.askFirst(r, files, opts); err != nil {
			return err
		}
	}
	diff, err := a.Registry.Apply(r.Context(), files, opts)
	if err != nil {
		return applyFault(err)
	}
	respond(w, r, a.Log, http.StatusOK, adminapi.ApplyResponse{Applied: !req.DryRun, Diff: newDiff(diff)})
	return nil
}

// askFirst refuses, with the difference, what removes or resets and was not
// agreed to. The registry refuses it again by itself if it changed in between.
func (a *admin) askFirst(r *http.Request, files []registry.File, opts registry.ApplyOptions) error {
	opts.DryRun = true
	diff, err := a.Registry.Apply(r.Context(), files, opts)
	if err != nil {
		return applyFault(err)
	}
	for _, c := range diff.Changes {
		if c.Asks {
			spelt := newDiff(diff)
			return &fault{status: http.StatusConflict, code: adminapi.CodeConfirm, diff: &spelt,
				err: errors.New("this removes or resets something: look at the difference and confirm it")}
		}
	}
	return nil
}

func applyFault(err error) error {
	invalid, ok := errors.AsType[*registry.FileError](err)
	if !ok {
		return err
	}
	f := &fault{status: http.StatusUnprocessableEntity, code: adminapi.CodeInvalid, err: errors.New("the registry files cannot be taken over; nothing was changed")}
	for _, p := range invalid.Problems {
		f.list = append(f.list, adminapi.Problem{File: p.File, Line: p.Line, Column: p.Column, What: p.What, Want: p.Want})
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
