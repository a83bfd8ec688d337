package printed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/adapters/envoy/config"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

const files = "../../../deploy/envoy"

// printedFiles are those in deploy/envoy that a command prints.
var printedFiles = map[string]struct {
	mode  config.Mode
	write func(config.Options) ([]byte, error)
}{
	"standalone/ext_proc.yaml":    {config.ExtProc, config.Bootstrap},
	"standalone/ext_authz.yaml":   {config.ExtAuthz, config.Bootstrap},
	"bolt-on/ext_proc.yaml":       {config.ExtProc, config.Filter},
	"bolt-on/ext_authz.yaml":      {config.ExtAuthz, config.Filter},
	"bolt-on/ext_authz-http.yaml": {config.ExtAuthzHTTP, config.Filter},
}

// What lies in deploy/envoy is what the commands print; SIGNALBOX_WRITE=1 writes it.
func TestFilesAreWhatIsPrinted(t *testing.T) {
	for name, p := range printedFiles {
		o := config.DefaultOptions()
		o.Mode = p.mode
		if p.mode == config.ExtAuthzHTTP {
			o.Signalbox = "127.0.0.1:8080"
		}
		want, err := p.write(o)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(files, name)
		if os.Getenv("SIGNALBOX_WRITE") != "" {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what is printed (SIGNALBOX_WRITE=1 writes it):\n%s", name, diff)
		}
	}
}

// Every page in every way loads in the Envoys that it is for.
func TestEverythingLoads(t *testing.T) {
	t.Setenv("SIGNALBOX_GATEWAY_TOKEN", "sbg_of-the-test") // without it, Envoy does not start
	dir := t.TempDir()
	authority := rigtest.NewAuthority(t, "ca")
	leaf := authority.Issue(t, "edge")
	ca, cert, key := authority.CertFile(t, dir), leaf.CertFile(t, dir), leaf.KeyFile(t, dir)
	token := filepath.Join(dir, "token")
	write(t, token, "sbg_of-the-test\n")
	ways := map[string]func(*config.Options){
		"by token": func(*config.Options) {},
		"by file":  func(o *config.Options) { o.TokenFile = token },
		"by tls": func(o *config.Options) {
			o.Signalbox, o.TLS = "signalbox.infra:9090", config.TLS{Enabled: true, CA: ca}
		},
		"by mtls": func(o *config.Options) {
			o.Signalbox, o.TLS = "[2001:db8::7]:9090", config.TLS{Enabled: true, CA: ca, Cert: cert, Key: key}
			o.ListenCert, o.ListenKey, o.Listen = cert, key, "[::1]:10443"
		},
		"open": func(o *config.Options) { o.FailureMode = config.Open },
	}
	for _, version := range []string{envoyrig.Oldest, envoyrig.Newest} {
		binary := envoytest.Binary(t, version)
		for _, mode := range []config.Mode{config.ExtProc, config.ExtAuthz, config.ExtAuthzHTTP} {
			for way, set := range ways {
				o := config.DefaultOptions()
				o.Mode = mode
				set(&o)
				if version != envoyrig.Newest {
					if way == "by file" {
						continue // such an Envoy is given none: TestOptions
					}
					o.Version = version
				}
				pages := map[string]func(config.Options) ([]byte, error){"filter": config.Filter}
				if version == envoyrig.Newest && mode != config.ExtAuthzHTTP {
					pages["bootstrap"] = config.Bootstrap
				}
				for page, print := range pages {
					text, err := print(o)
					if err != nil {
						t.Fatalf("%s %s %s: %v", page, mode, way, err)
					}
					load(t, binary, fmt.Sprintf("%s %s %s %s", version, page, mode, way), text)
				}
			}
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load has a binary judge a page.
func load(t *testing.T, binary, name string, page []byte) {
	t.Helper()
	whole, err := config.Whole(page)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	write(t, file, string(whole))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := envoyrig.Validate(ctx, binary, file); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// The modules that Kubernetes' definitions are taken from, and what is in them.
var definitions = []struct{ module, version, sum, files string }{
	{"github.com/envoyproxy/gateway", "v1.9.1", "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=", "charts/gateway-helm/charts/crds/crds/*.yaml"},
	{"github.com/envoyproxy/gateway", "v1.9.1", "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=", "charts/gateway-helm/charts/crds/crds/generated/*.yaml"},
	{"istio.io/api", "v1.31.1", "h1:5Yb5ihcz4YQsCkciusK7DnFpBMwRB6EFWeUKH1Atuyk=", "kubernetes/customresourcedefinitions.gen.yaml"},
}

// Kubernetes' files are held to the definitions that their own projects publish.
func TestKubernetesFiles(t *testing.T) {
	checker := filepath.Join(t.TempDir(), "kubecheck")
	if out, err := runs(t, "go", "build", "-o", checker, "."); err != nil {
		t.Fatalf("build the checker: %v\n%s", err, out)
	}
	var args []string
	for _, d := range definitions {
		found, err := filepath.Glob(filepath.Join(module(t, d.module, d.version, d.sum), d.files))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s has no %s (%v)", d.module, d.files, err)
		}
		for _, file := range found {
			args = append(args, "-crds", file)
		}
	}
	here, err := filepath.Abs(files)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := filepath.Glob(filepath.Join(here, "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects = slices.DeleteFunc(objects, func(path string) bool {
		name, _ := filepath.Rel(here, path)
		_, envoys := printedFiles[name]
		return envoys
	})
	if len(objects) < 8 {
		t.Fatalf("there are only %v", objects)
	}
	if out, err := runs(t, checker, args...); err != nil || out != "" {
		t.Errorf("definitions alone: %v %s", err, out)
	}
	if out, err := runs(t, checker, append(args, objects...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// One that is wrong is found, or all of them are right for no reason.
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	write(t, wrong, "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: a}\nspec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}], extAuth: {failOpne: true}}\n")
	if out, err := runs(t, checker, append(args, wrong)...); err == nil || !strings.Contains(out, "failOpne") {
		t.Errorf("a wrong object passes: %v %s", err, out)
	}
}

// module is a module's folder, as Go's proxy has it, and as it was when it was pinned.
func module(t *testing.T, path, version, sum string) string {
	t.Helper()
	out, err := runs(t, "go", "mod", "download", "-json", path+"@"+version)
	var said struct{ Dir, Sum, Error string }
	// In front of it, go may say what it fetches for itself.
	object := max(0, strings.Index(out, "{"))
	if err != nil || json.Unmarshal([]byte(out[object:]), &said) != nil || said.Error != "" {
		t.Fatalf("fetch %s: %v %s", path, err, out)
	}
	if said.Sum != sum {
		t.Fatalf("%s is %s, and was pinned as %s", path, said.Sum, sum)
	}
	return said.Dir
}

// runs runs a program in the checker's own module.
func runs(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "kubecheck"
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// What stands in Istio's EnvoyFilter is what filter prints, but for the names that
// Istio gives, and loads.
func TestIstiosFilterIsWhatIsPrinted(t *testing.T) {
	o := config.DefaultOptions()
	o.Signalbox, o.TLS = "signalbox.signalbox.svc.cluster.local:9090", config.TLS{Enabled: true, Cert: "a", Key: "b"}
	page, err := config.Filter(o)
	if err != nil {
		t.Fatal(err)
	}
	var printed struct {
		Filters []any `yaml:"http_filters"`
		Replies any   `yaml:"local_reply_config"`
		Early   any   `yaml:"early_header_mutation_extensions"`
	}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(page), "cluster_name: signalbox\n", "cluster_name: outbound|9090||signalbox.signalbox.svc.cluster.local\n")), &printed); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(files, "istio/envoy-filter.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec struct {
			Patches []struct {
				ApplyTo string `yaml:"applyTo"`
				Patch   struct {
					Value map[string]any `yaml:"value"`
				}
			} `yaml:"configPatches"`
		}
	}
	if err := yaml.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	var filters []any
	var manager map[string]any
	for _, p := range object.Spec.Patches {
		if p.ApplyTo == "HTTP_FILTER" {
			filters = append(filters, p.Patch.Value)
			continue
		}
		manager = p.Patch.Value["typed_config"].(map[string]any)
	}
	if diff := cmp.Diff(printed.Filters, filters); diff != "" {
		t.Errorf("the filters differ:\n%s", diff)
	}
	if diff := cmp.Diff([]any{printed.Replies, printed.Early}, []any{manager["local_reply_config"], manager["early_header_mutation_extensions"]}); diff != "" {
		t.Errorf("the connection manager differs:\n%s", diff)
	}
}
