// Package house_test holds the walls of the house: who may import whom, and who
// alone may import a dependency.
package house_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/signalbox-dev/signalbox"

// rooms may import what stands behind them, and nothing else of ours.
// cmd → adapters, portal → decision → ledger, registry, … → journal.
var rooms = map[string][]string{
	"journal":   {},
	"watch":     {},
	"vault":     {"watch"},
	"registry":  {"journal"},
	"ledger":    {"journal", "registry"},
	"guard":     {"journal", "registry"},
	"cache":     {"journal", "registry"},
	"decision":  {"journal", "registry", "ledger", "guard", "cache", "vault", "watch"},
	"analytics": {"journal", "registry"},
	"adapters":  {"decision", "registry", "ledger", "journal", "vault", "analytics", "proto"},
	"portal":    {"decision", "registry", "ledger", "journal", "analytics", "adapters", "proto"},
	"proto":     {},
	"deploy":    {},
	"tools":     {},
}

// exceptions are the doors between rooms that one package alone uses.
var exceptions = map[string][]string{
	"journal/kafka": {"proto"},  // the one place that knows the facts' protobuf
	"decision/opa":  {"deploy"}, // the default policy is part of the binary
}

// owners alone import a dependency: it can be replaced in one place.
var owners = map[string]string{
	"github.com/twmb/franz-go":               "journal/kafka",
	"github.com/open-policy-agent/opa":       "decision/opa",
	"github.com/ClickHouse/clickhouse-go/v2": "analytics",
	"github.com/ebitengine/purego":           "analytics/embedded",
	"go.yaml.in/yaml/v3":                     "registry cmd/signalbox adapters/envoy/config",
	"github.com/spf13/cobra":                 "cmd/signalbox",
	"github.com/fsnotify/fsnotify":           "watch",
	// One room, whose parts speak one Envoy service each.
	"github.com/envoyproxy/go-control-plane": "adapters/envoy/proc adapters/envoy/authz adapters/envoy/accesslog adapters/envoy/xds adapters/envoy/config",
}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestNothingPointsBack(t *testing.T) {
	for _, p := range packages(t) {
		from, room := place(p.ImportPath)
		if room == "cmd" || room == "integration" {
			continue // cmd is the wiring, and integration is everything at once
		}
		allowed, known := rooms[room]
		if !known {
			t.Errorf("%s is in no room of the house; add the room, with what it may import, or move it", from)
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, module+"/") {
				continue
			}
			to, toRoom := place(imported)
			if toRoom == room || contains(allowed, toRoom) || contains(exceptions[from], toRoom) {
				continue
			}
			t.Errorf("%s imports %s: %s may import only %v", from, to, room, allowed)
		}
	}
}

func TestOneImporterPerDependency(t *testing.T) {
	for _, p := range packages(t) {
		from, room := place(p.ImportPath)
		if room == "integration" {
			continue
		}
		for _, imported := range p.Imports {
			for dependency, owner := range owners {
				if imported != dependency && !strings.HasPrefix(imported, dependency+"/") {
					continue
				}
				if !contains(strings.Fields(owner), from) {
					t.Errorf("%s imports %s; only %s may", from, imported, owner)
				}
			}
		}
	}
}

// Wire types stop at the edges.
func TestGeneratedCodeStopsAtTheEdge(t *testing.T) {
	for _, p := range packages(t) {
		from, room := place(p.ImportPath)
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, module+"/proto/gen/") && room != "adapters" && room != "proto" && room != "integration" && from != "journal/kafka" {
				t.Errorf("%s imports generated code %s; only adapters and journal/kafka may", from, path.Base(imported))
			}
		}
	}
}

func place(importPath string) (pkg, room string) {
	pkg = strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
	room, _, _ = strings.Cut(pkg, "/")
	return pkg, room
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
