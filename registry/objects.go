package registry

// Tenant is who pays. Its data may go to Regions only; none means anywhere.
type Tenant struct {
	Name    string
	Regions []string // sorted
	Tags    map[string]string
	Version int64
}

// Team is a part of a tenant.
type Team struct {
	Tenant, Name string
	Version      int64
}

// App is what calls: keys belong to it.
type App struct {
	Tenant, Team, Name string
	Models             []string          // that it may use, sorted; none: all
	Tags               map[string]string // its own over its tenant's
	DefaultMaxOutput   int64             // 0: the model's
	Assert             []string          // attributes it may say of itself, sorted: user, session, agent, tags.<name>
	Identities         []Identity
	Version            int64

	ownTags map[string]string
}

// MayAssert reports whether the app may say this attribute of itself.
func (a *App) MayAssert(attribute string) bool {
	for _, name := range a.Assert {
		if name == attribute {
			return true
		}
	}
	return false
}

// Identity is another way than a key to be an app.
type Identity struct {
	Kind  string // apim_subscription
	Value string
}

// IdentityAPIM is the name of an API Management subscription.
const IdentityAPIM = "apim_subscription"

// Provider kinds.
const (
	ProviderOpenAI           = "openai"
	ProviderAzureOpenAI      = "azure-openai"
	ProviderAnthropic        = "anthropic"
	ProviderOpenAICompatible = "openai-compatible"
)

// What is charged for a call that broke off. Empty: AbortSeen where the stream
// was seen, AbortCeiling where it was not.
const (
	AbortSeen    = "seen"
	AbortCeiling = "ceiling"
	AbortDrain   = "drain"
)

// Provider is who serves models, at one address with one credential.
type Provider struct {
	Name         string
	Kind         string // ProviderOpenAI, …
	BaseURL      string // no slash at the end
	APIVersion   string // azure-openai only
	Credential   string // the credential's name; never the secret
	AuthHeader   string // where the credential goes; empty: as the kind has it, see Auth
	AuthPrefix   string // in front of the credential, in a header of the provider's own
	OnAbort      string // AbortSeen, …; empty: see above
	CAFile       string
	ProxyURL     string
	AllowPrivate bool
	Version      int64
}

// Dialects.
const (
	DialectOpenAI    = "openai"
	DialectAnthropic = "anthropic"
)

// Model is a public name that callers ask for.
type Model struct {
	Name             string
	Dialect          string // DialectOpenAI, DialectAnthropic
	Context          int64  // tokens, input and output together
	MaxOutput        int64  // tokens
	DefaultMaxOutput int64  // tokens, for a call that names no limit; MaxOutput where the file says none
	OutputLimit      string // the field that limits output: max_tokens, max_completion_tokens
	Tokenizer        string // o200k_base, cl100k_base, claude, none
	// DefaultMaxToolCalls is how often a call that names no limit may use the tools
	// that its provider runs. 0: there is none, and such a call cannot be priced.
	DefaultMaxToolCalls int64
	Version             int64
}

// Tools that a provider runs inside an answer and bills by the use: the names that
// prices know their fees by, and usage their uses, whatever a dialect calls them.
// What is billed otherwise has no name here: a picture or sound by its tokens, a
// container by the hour.
const (
	ToolWebSearch       = "web_search"
	ToolWebFetch        = "web_fetch"
	ToolFileSearch      = "file_search"
	ToolCodeInterpreter = "code_interpreter"
)

var hostedTools = [...]string{ToolCodeInterpreter, ToolFileSearch, ToolWebFetch, ToolWebSearch}

// Deployment kinds.
const (
	DeploymentProvisioned = "provisioned"
	DeploymentPayGo       = "paygo"
	DeploymentSelfHosted  = "self-hosted"
)

// Deployment is a model behind one endpoint of one provider in one region.
type Deployment struct {
	Name, Provider, Model string
	UpstreamModel         string // as the provider calls it
	Kind                  string // DeploymentProvisioned, …
	Region                string // empty: refused to tenants that have regions
	HourlyNanoUSD         int64  // what it costs an hour, used or not
	// Capacity is a budget too: on the shared key, without per. Nil: not limited.
	Capacity *Budget
	Version  int64

	// ProviderRef and ModelRef are what Provider and Model name, in the same snapshot.
	ProviderRef *Provider
	ModelRef    *Model
}

// Gateway is a gateway that may ask for decisions.
type Gateway struct {
	Name    string
	Version int64
}

// Path is an explicit rule for a path that is not judged.
type Path struct {
	Path      string   // exact, or a prefix that ends in "/*"
	Methods   []string // sorted; none: all
	Unmetered bool
	Version   int64
}
