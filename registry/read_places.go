package registry

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/journal"
)

// maxTokens bounds every figure of tokens: with prices up to 10⁹ USD per million
// their product still fits into 128 bits with room to spare.
const maxTokens = 1_000_000_000

// maxURL is the longest address, in bytes.
const maxURL = 2048

func readProvider(m *mapping) value {
	p := &Provider{Name: m.name("name", true)}
	p.Kind = m.providerKind("kind")
	p.BaseURL = strings.TrimRight(m.text("base_url", maxURL, true), "/")
	p.APIVersion = m.text("api_version", maxName, false)
	p.Credential = m.credential("credential")
	p.AuthHeader = strings.ToLower(m.text("auth_header", maxHeader, false)) // one spelling: their case says nothing
	p.AuthPrefix = m.text("auth_prefix", maxHeader, false)
	p.OnAbort = m.choice("on_abort", false, AbortSeen, AbortCeiling, AbortDrain)
	p.CAFile = m.text("ca_file", maxURL, false)
	p.ProxyURL = m.text("proxy_url", maxURL, false)
	p.AllowPrivate = m.boolean("allow_private")
	return p
}

func (m *mapping) providerKind(key string) string {
	known := []string{ProviderOpenAI, ProviderAzureOpenAI, ProviderAnthropic, ProviderOpenAICompatible}
	if n := m.fields[key]; n != nil && (n.Value == "bedrock" || n.Value == "vertex") {
		m.asked = append(m.asked, key)
		m.r.problem(n, "want "+choices(known)+", with a gateway in front that speaks one of them",
			"providers of kind %q are not served yet", n.Value)
		return ""
	}
	return m.choice(key, true, known...)
}

// credential is the name of one. What stands there and is no name may be the
// secret itself, put in the wrong place: it is not repeated.
func (m *mapping) credential(key string) string {
	n := m.field(key, false)
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || !validName(n.Value) {
		m.r.problem(n, "write the name under which the secret is kept, never the secret; "+wantName, "%s is not the name of one", m.full(key))
		return ""
	}
	return n.Value
}

func (p *Provider) id() objectID { return objectID{Kind: kindProvider, Name: p.Name} }

func (p *Provider) body() any {
	return struct {
		Name         string `json:"name"`
		Kind         string `json:"kind"`
		BaseURL      string `json:"base_url"`
		APIVersion   string `json:"api_version,omitempty"`
		Credential   string `json:"credential,omitempty"`
		AuthHeader   string `json:"auth_header,omitempty"`
		AuthPrefix   string `json:"auth_prefix,omitempty"`
		OnAbort      string `json:"on_abort,omitempty"`
		CAFile       string `json:"ca_file,omitempty"`
		ProxyURL     string `json:"proxy_url,omitempty"`
		AllowPrivate bool   `json:"allow_private,omitempty"`
	}{p.Name, p.Kind, p.BaseURL, p.APIVersion, p.Credential, p.AuthHeader, p.AuthPrefix, p.OnAbort, p.CAFile, p.ProxyURL, p.AllowPrivate}
}

// Spellings of the field that limits output.
const (
	OutputMaxTokens           = "max_tokens"
	OutputMaxCompletionTokens = "max_completion_tokens"
)

// Tokenizers.
const (
	TokenizerO200k  = "o200k_base"
	TokenizerCL100k = "cl100k_base"
	TokenizerClaude = "claude"
	TokenizerNone   = "none"
)

// mostToolCalls bounds default_max_tool_calls: the model reads its prompt again
// after each call, and each reading is held at the whole context.
const mostToolCalls = 128

// readModel resolves what the file leaves out. output_limit is max_tokens then:
// a provider that wants the newer spelling refuses it loudly, whereas one that
// does not know max_completion_tokens would ignore it and write without bound.
func readModel(m *mapping) value {
	o := &Model{Name: m.modelName("name")}
	o.Dialect = m.choice("dialect", true, DialectOpenAI, DialectAnthropic)
	o.Context = m.integer("context", 1, maxTokens, true)
	o.MaxOutput = m.integer("max_output", 1, maxTokens, true)
	o.DefaultMaxOutput = m.integer("default_max_output", 1, maxTokens, false)
	if !m.has("default_max_output") {
		o.DefaultMaxOutput = o.MaxOutput
	}
	o.OutputLimit = m.choice("output_limit", false, OutputMaxTokens, OutputMaxCompletionTokens)
	if o.OutputLimit == "" {
		o.OutputLimit = OutputMaxTokens
	}
	o.Tokenizer = m.choice("tokenizer", false, TokenizerO200k, TokenizerCL100k, TokenizerClaude, TokenizerNone)
	if o.Tokenizer == "" {
		o.Tokenizer = TokenizerNone
	}
	o.DefaultMaxToolCalls = m.integer("default_max_tool_calls", 1, mostToolCalls, false)
	return o
}

func (o *Model) id() objectID { return objectID{Kind: kindModel, Name: o.Name} }

func (o *Model) body() any {
	b := struct {
		Name             string `json:"name"`
		Dialect          string `json:"dialect"`
		Context          int64  `json:"context"`
		MaxOutput        int64  `json:"max_output"`
		DefaultMaxOutput int64  `json:"default_max_output,omitempty"`
		OutputLimit      string `json:"output_limit,omitempty"`
		Tokenizer        string `json:"tokenizer,omitempty"`
		MaxToolCalls     int64  `json:"default_max_tool_calls,omitempty"`
	}{o.Name, o.Dialect, o.Context, o.MaxOutput, o.DefaultMaxOutput, o.OutputLimit, o.Tokenizer, o.DefaultMaxToolCalls}
	if b.DefaultMaxOutput == o.MaxOutput {
		b.DefaultMaxOutput = 0
	}
	if b.OutputLimit == OutputMaxTokens {
		b.OutputLimit = ""
	}
	if b.Tokenizer == TokenizerNone {
		b.Tokenizer = ""
	}
	return b
}

func readDeployment(m *mapping) value {
	d := &Deployment{Name: m.name("name", true), Provider: m.name("provider", true), Model: m.modelName("model")}
	d.UpstreamModel = m.text("upstream_model", maxValue, false)
	if d.UpstreamModel == "" {
		d.UpstreamModel = d.Model
	}
	d.Kind = m.choice("kind", true, DeploymentProvisioned, DeploymentPayGo, DeploymentSelfHosted)
	d.Region = m.name("region", false)
	d.HourlyNanoUSD, _ = m.usd("hourly_usd", false)
	if c := m.sub("capacity", "capacity", false); c != nil {
		d.Capacity = c.capacity(d.Name)
		c.done()
	}
	return d
}

// capacityPrefix makes a budget's name of a deployment's; no name holds a slash.
const capacityPrefix = "capacity/"

// capacity is a budget of the deployment's own: what it can take at once or in a
// rolling window, and never money.
func (m *mapping) capacity(deployment string) *Budget {
	b := &Budget{Name: capacityPrefix + deployment, Capacity: true, Mode: Enforce, Hold: Ceiling, MaxValues: 1}
	b.Unit = m.unit("unit", journal.UnitTokens, journal.UnitInputTokens, journal.UnitOutputTokens, journal.UnitRequests, journal.UnitConcurrent)
	b.Amount = m.amount("amount", b.Unit)
	b.Window = m.window("window", b.Unit)
	if b.Unit != journal.UnitConcurrent && m.has("window") && b.Window.Rolling == 0 {
		if n := m.fields["window"]; n.Kind != yaml.MappingNode || b.Window.Every != 0 {
			m.r.problem(n, "write {rolling: 1m}", "a capacity's window is not rolling")
		}
	}
	return b
}

func (d *Deployment) id() objectID { return objectID{Kind: kindDeployment, Name: d.Name} }

type capacityBody struct {
	Unit   string `json:"unit"`
	Amount string `json:"amount"`
	Window any    `json:"window,omitempty"`
}

func (d *Deployment) body() any {
	b := struct {
		Name          string        `json:"name"`
		Provider      string        `json:"provider"`
		Model         string        `json:"model"`
		UpstreamModel string        `json:"upstream_model,omitempty"`
		Kind          string        `json:"kind"`
		Region        string        `json:"region,omitempty"`
		Capacity      *capacityBody `json:"capacity,omitempty"`
		HourlyUSD     string        `json:"hourly_usd,omitempty"`
	}{Name: d.Name, Provider: d.Provider, Model: d.Model, Kind: d.Kind, Region: d.Region}
	if d.UpstreamModel != d.Model {
		b.UpstreamModel = d.UpstreamModel
	}
	if c := d.Capacity; c != nil {
		b.Capacity = &capacityBody{c.Unit.String(), FormatAmount(c.Unit, c.Amount), windowBody(c.Window, c.Unit)}
	}
	if d.HourlyNanoUSD != 0 {
		b.HourlyUSD = FormatUSD(d.HourlyNanoUSD)
	}
	return b
}

func readGateway(m *mapping) value { return &Gateway{Name: m.name("name", true)} }

func (g *Gateway) id() objectID { return objectID{Kind: kindGateway, Name: g.Name} }

func (g *Gateway) body() any {
	return struct {
		Name string `json:"name"`
	}{g.Name}
}

func readPath(m *mapping) value {
	p := &Path{Path: m.text("path", maxURL, true)}
	p.Methods = m.set("methods", "write a list such as [GET, POST]", func(n *yaml.Node, s string) bool {
		known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
		if !slices.Contains(known, s) {
			m.r.problem(n, oneOf(s, known), "%q is not a method", clip(s))
			return false
		}
		return true
	})
	p.Unmetered = m.boolean("unmetered")
	return p
}

func (p *Path) id() objectID { return objectID{Kind: kindPath, Name: p.Path} }

func (p *Path) body() any {
	return struct {
		Path      string   `json:"path"`
		Methods   []string `json:"methods,omitempty"`
		Unmetered bool     `json:"unmetered,omitempty"`
	}{p.Path, p.Methods, p.Unmetered}
}
