package config_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy/config"
	doorgrpc "github.com/signalbox-dev/signalbox/adapters/grpc"
)

// What a caller has written reaches the service in headers and in the body, as bytes.
// In an attribute it would be a text, and one that is not UTF-8 ends the call to the
// service: with the failure mode open, that is a way past it.
func TestNoAttributeOfACallersBreaksTheQuestion(t *testing.T) {
	for name, o := range every() {
		for page, write := range pages {
			text, err := write(o)
			if err != nil {
				continue // told apart in TestOptions
			}
			if strings.Contains(string(text), "\n    request_attributes") || strings.Contains(string(text), " request_attributes: [") {
				t.Errorf("%s %s: it sends request_attributes", page, name)
			}
		}
	}
	o := config.DefaultOptions()
	for _, row := range []struct {
		mode config.FailureMode
		want config.Level
	}{{config.Closed, config.Look}, {config.Open, config.Wrong}} {
		o.FailureMode = row.mode
		text, err := config.Filter(o)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(text), "    response_attributes:", "    request_attributes: [request.id]\n    response_attributes:", 1)
		var found config.Level
		for _, p := range config.Check([]byte(changed)) {
			if strings.Contains(p.What, "UTF-8") {
				found = p.Level
			}
		}
		if found != row.want {
			t.Errorf("%s: request_attributes are %q; want %q", row.mode, found, row.want)
		}
	}
}

var pages = map[string]func(config.Options) ([]byte, error){"bootstrap": config.Bootstrap, "filter": config.Filter}

// What an Envoy that is set up as the page says can send at once, the service takes at
// once: whatever limit the service has, and the page.
func TestTheServiceTakesWhatAnEnvoySends(t *testing.T) {
	for _, body := range []int64{1 << 10, 1 << 20, door.DefaultBody, 64 << 20} {
		o := config.DefaultOptions()
		o.Body = body
		text, err := config.Filter(o)
		if err != nil {
			t.Fatal(err)
		}
		_, said, _ := strings.Cut(string(text), "request_body_buffer_limit: ")
		said, _, _ = strings.Cut(said, "`")
		var limit int64
		if err := yaml.Unmarshal([]byte(said), &limit); err != nil || limit <= body {
			t.Fatalf("limit %q of bodies of %d: %v", said, body, err)
		}
		if most := doorgrpc.MessageBound(body); limit >= int64(most) {
			t.Errorf("an Envoy sends %d bytes where bodies have %d, and the service takes messages of %d", limit, body, most)
		}
	}
	if most := doorgrpc.MessageBound(1 << 20); int64(most) <= config.DefaultOptions().Body {
		t.Errorf("a service with a smaller limit than the page's takes messages of %d bytes only", most)
	}
}

// A caller steers nothing of the router's by a header, names no path but the one they
// ask for, and makes no figure of Envoy's own: each of these Envoy obeys, or believes.
func TestWhatACallerMayNotBring(t *testing.T) {
	text, err := config.Filter(config.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Early []struct {
			Config struct {
				Mutations []struct{ Remove string }
			} `yaml:"typed_config"`
		} `yaml:"early_header_mutation_extensions"`
	}
	if err := yaml.Unmarshal(text, &page); err != nil {
		t.Fatal(err)
	}
	removed := map[string]bool{}
	for _, m := range page.Early[0].Config.Mutations {
		removed[m.Remove] = true
	}
	for _, name := range []string{"x-envoy-upstream-alt-stat-name", "x-envoy-hedge-on-per-try-timeout", "x-envoy-retriable-header-names", "x-envoy-retry-grpc-on",
		"x-envoy-upstream-stream-duration-ms", "x-envoy-original-path", "x-envoy-max-retries", "x-signalbox-deployment"} {
		if !removed[name] {
			t.Errorf("a caller may bring %s", name)
		}
	}
}
