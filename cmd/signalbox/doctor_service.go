package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

// defaultOps is where serve's ops listener is when nothing is configured.
const defaultOps = "http://127.0.0.1:9091"

// serviceReport is what the service says of itself.
type serviceReport struct {
	Status   string   `json:"status"` // ready, degraded or stopped
	Stopped  []string `json:"stopped,omitempty"`
	Degraded []string `json:"degraded"`
	// Version is the service's, where the operator is let in.
	Version *adminapi.VersionResponse `json:"service,omitempty"`
}

// doctorService asks the service how it is. What is degraded is shown and no error:
// decisions are made.
func doctorService(ctx context.Context, g *globals, o doctorOptions) error {
	report, err := readReady(ctx, o.ops)
	if err != nil {
		return err
	}
	var version adminapi.VersionResponse
	if err := g.call(ctx, "GET", "/admin/v1/version", nil, &version); err != nil {
		fmt.Fprintln(g.Stderr, "note:", oneLine(err.Error()))
	} else {
		report.Version = &version
	}
	if g.json() {
		err = g.document(report)
	} else {
		err = g.serviceTable(report)
	}
	if err == nil && report.Status == "stopped" {
		return errUnwell
	}
	return err
}

func (g *globals) serviceTable(r serviceReport) error {
	rows := [][]string{{"status", r.Status}}
	if r.Version != nil {
		rows = append(rows, []string{"version", r.Version.Version}, []string{"registry", fmt.Sprint(r.Version.RegistryVersion)})
	}
	for _, what := range r.Stopped {
		rows = append(rows, []string{"STOPPED", what})
	}
	for _, what := range r.Degraded {
		rows = append(rows, []string{"degraded", what})
	}
	return g.table([]string{"field", "value"}, rows)
}

// readReady reads /readyz, whose 503 is an answer too.
func readReady(ctx context.Context, ops string) (serviceReport, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(ops, "/")+"/readyz", nil)
	if err != nil {
		return serviceReport{}, usagef("--ops: %s", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return serviceReport{}, fmt.Errorf("cannot reach the ops listener at %s; is `signalbox serve` running there? (--ops)", ops)
	}
	defer res.Body.Close()
	var report serviceReport
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&report); err != nil || report.Status == "" {
		return report, fmt.Errorf("%s/readyz answered something that cannot be read; is it Signalbox's ops listener?", ops)
	}
	return report, nil
}
