package http_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
	httpdoor "github.com/signalbox-dev/signalbox/adapters/http"
)

type programmed xds.Status

func (p programmed) Status() xds.Status { return xds.Status(p) }

func TestEnvoysAreShown(t *testing.T) {
	ask := func(e httpdoor.Envoys) (int, string) {
		h := httpdoor.NewAdmin(httpdoor.AdminConfig{Envoys: e, Operators: operators{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		r := httptest.NewRequest(http.MethodGet, "/admin/v1/envoy", nil)
		r.Header.Set("Authorization", "Bearer sba_alice")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if code, body := ask(nil); code != http.StatusNotFound {
		t.Errorf("without any: %d %s", code, body)
	}
	if code, body := ask(programmed{}); code != http.StatusOK || body != `{"registry_version":0,"version":"","deployments":[],"left_out":[],"envoys":[]}`+"\n" {
		t.Errorf("with none connected: %d %s", code, body)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	_, body := ask(programmed{
		RegistryVersion: 9, Version: "7-abc", Since: at, Problem: "wrong", Fallback: []string{"a"},
		Deployments: []xds.Deployment{{Name: "a", Usable: true}, {Name: "b"}, {Name: "c", Refused: []string{"e1"}}, {Name: "d", Leaving: true}},
		LeftOut:     []xds.LeftOut{{Deployment: "x", Why: "no credential"}},
		Nodes: []xds.Node{
			{ID: "e1", Cluster: "c", Gateway: "edge", Envoy: "1.40.0", Since: at, Acked: map[string]string{"clusters": "6-abb"}, Nack: &xds.Nack{At: at, Type: "clusters", Version: "7-abc", Message: "no file"}},
			{ID: "e2", Gateway: "edge", Envoy: "1.38.0", Since: at, TooOld: true},
			{ID: "e3", Gateway: "edge", Envoy: "1.40.0", Since: at, Current: true},
		},
	})
	want := `{"registry_version":9,"version":"7-abc","since":"2026-03-01T11:00:00Z","problem":"wrong","fallback":["a"],` +
		`"deployments":[{"name":"a","state":"usable"},{"name":"b","state":"waiting"},{"name":"c","state":"refused","refused_by":["e1"]},{"name":"d","state":"leaving"}],` +
		`"left_out":[{"deployment":"x","why":"no credential"}],` +
		`"envoys":[{"node":"e1","cluster":"c","gateway":"edge","envoy":"1.40.0","state":"behind","since":"2026-03-01T11:00:00Z","acked":{"clusters":"6-abb"},` +
		`"nack":{"at":"2026-03-01T11:00:00Z","type":"clusters","version":"7-abc","message":"no file"}},` +
		`{"node":"e2","cluster":"","gateway":"edge","envoy":"1.38.0","state":"too_old","since":"2026-03-01T11:00:00Z","acked":{}},` +
		`{"node":"e3","cluster":"","gateway":"edge","envoy":"1.40.0","state":"current","since":"2026-03-01T11:00:00Z","acked":{}}]}` + "\n"
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
}
