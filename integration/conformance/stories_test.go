package conformance_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// story is one call and what must come of it. {door} in it is the door's name, where
// a door needs something of its own: a provider's refusals are learned.
type story struct {
	Story   string            `yaml:"story"`
	App     string            `yaml:"app"`    // whose key; "": everybody's
	Key     string            `yaml:"key"`    // in place of an app's
	Method  string            `yaml:"method"` // "": POST
	Path    string            `yaml:"path"`   // "": a chat completion
	Headers map[string]string `yaml:"headers"`
	Body    string            `yaml:"body"`
	Pad     int               `yaml:"pad"`   // so many letters more in the prompt, for {pad}
	Steer   map[string]string `yaml:"steer"` // what the provider does

	Leaves int  `yaml:"leaves"` // the caller hangs up after so many bytes of the answer
	Before bool `yaml:"before"` // the same call came before, in the same session

	Want  want  `yaml:"want"`
	Fixed *want `yaml:"fixed"` // where the body cannot be changed; nil: the same
	Alone *want `yaml:"alone"` // where the routes are somebody's own; nil: the same

	file string
}

// want is what must come of a story.
type want struct {
	Action      string   `yaml:"action"`
	Status      int      `yaml:"status"` // that the caller reads; 0: 200
	Reasons     []string `yaml:"reasons"`
	Changes     []string `yaml:"changes"`
	Deployments []string `yaml:"deployments"` // in their order
	MaxOutput   int64    `yaml:"max_output"`  // that is held for
	Tries       []string `yaml:"tries"`       // deployment, status, outcome
	Known       string   `yaml:"known"`       // how what was used is known; "": exactly
	Logged      string   `yaml:"logged"`      // the same where the access log alone tells; "": no other
	Costs       string   `yaml:"costs"`       // in USD; "": nothing
	Most        string   `yaml:"most"`        // it costs as much as this where less is seen of it; "": Costs is exact
}

// of is what must come of the story on a way.
func (s *story) of(d way) *want {
	switch traits := d.traits(); {
	case traits.fixed && s.Fixed != nil:
		return s.Fixed
	case traits.alone && s.Alone != nil:
		return s.Alone
	}
	return &s.Want
}

func stories(t *testing.T) []*story {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no stories: %v", err)
	}
	var all []*story
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s := &story{file: strings.TrimSuffix(filepath.Base(file), ".yaml")}
		d := yaml.NewDecoder(bytes.NewReader(raw))
		d.KnownFields(true)
		if err := d.Decode(s); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if s.Story == "" || s.Want.Action == "" {
			t.Fatalf("%s tells nothing", file)
		}
		all = append(all, s)
	}
	return all
}

// call is a story at a door.
type call struct {
	*story
	door   way
	id     string // of this call alone: how the provider's record finds it
	meter  string // its session, which has budgets of its own
	method string
	path   string
	header map[string]string
	body   string
}

const headerScene = "x-conformance-scene"

func (s *story) at(d way, keys map[string]string) *call {
	c := &call{story: s, door: d, id: s.file + "." + d.name(), method: s.Method, path: s.Path, header: map[string]string{}}
	c.meter = c.id
	if c.method == "" {
		c.method = "POST"
	}
	if c.path == "" {
		c.path = "/v1/chat/completions"
	}
	c.path = s.local(d, c.path)
	c.body = strings.ReplaceAll(s.local(d, s.Body), "{pad}", strings.Repeat("a", s.Pad))
	c.body = strings.TrimSpace(c.body)
	key := s.Key
	if key == "" {
		app := s.App
		if app == "" {
			app = "everybody"
		}
		key = keys[app]
	}
	for name, value := range map[string]string{"authorization": "Bearer " + key, "x-signalbox-session": c.meter, headerScene: c.id} {
		c.header[name] = value
	}
	if c.body != "" {
		c.header["content-type"] = "application/json"
	}
	for _, more := range []map[string]string{s.Headers, s.Steer} {
		for name, value := range more {
			c.header[strings.ToLower(name)] = s.local(d, value)
		}
	}
	return c
}

// before is the call that came before this one.
func (c *call) before() *call {
	b := *c
	b.header, b.id = maps.Clone(c.header), "before."+c.id
	b.header[headerScene] = b.id
	return &b
}

// local puts the door's name where a story leaves room for it, and general takes it out
// again, so that what came of it can be held against the other doors.
func (s *story) local(d way, text string) string { return strings.ReplaceAll(text, "{door}", d.name()) }

func general(d way, text string) string { return strings.ReplaceAll(text, "."+d.name(), ".{door}") }
