package http

import (
	"net/http"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

// models is GET /admin/v1/models: what can be called, and where it may go. It is the
// whole list; GET /v1/models is one app's.
func (a *admin) models(w http.ResponseWriter, r *http.Request, _ operator, _ []byte) error {
	world := a.Registry.Snapshot()
	out := adminapi.ModelsResponse{Models: []adminapi.Model{}}
	for _, m := range world.Models() {
		model := adminapi.Model{Name: m.Name, Dialect: m.Dialect, Deployments: []string{}}
		for _, d := range world.Deployments(m.Name) {
			model.Deployments = append(model.Deployments, d.Name)
		}
		out.Models = append(out.Models, model)
	}
	respond(w, r, a.Log, http.StatusOK, out)
	return nil
}
