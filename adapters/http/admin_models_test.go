package http_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

// The list is the registry's, with what serves each model; an empty registry has an
// empty list, not none.
func TestModels(t *testing.T) {
	o := newOffice(t)
	got, failure := do[adminapi.ModelsResponse](t, o, "GET", "models", nil)
	if failure != nil || got.Models == nil || len(got.Models) != 0 {
		t.Fatalf("before anything is applied: %+v %+v", got, failure)
	}
	applied(t, o)
	got, failure = do[adminapi.ModelsResponse](t, o, "GET", "models", nil)
	want := adminapi.ModelsResponse{Models: []adminapi.Model{{Name: "gpt-4o", Dialect: "openai", Deployments: []string{"paygo"}}}}
	if diff := cmp.Diff(want, got); diff != "" || failure != nil {
		t.Errorf("%+v (-want +got):\n%s", failure, diff)
	}
}
