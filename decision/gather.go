package decision

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// Subject is as whom the call is judged and counted.
type Subject struct {
	// Attributes are what budgets match on. User, Session and Agent are
	// pseudonyms: nothing that leaves this process by the journal is readable.
	Attributes           registry.Attributes
	User, Session, Agent string           // readable, for policy and for nobody else
	Model                *registry.Model  // as asked; a policy may put another in its place
	NewNames             []journal.Record // pseudonyms the journal does not know yet
}

// assertedBytes is the longest value an app may assert; a longer one is ignored,
// as the contract says, rather than cut: two cut values could be one meter.
const assertedBytes = 256

// gather is the last read: whose call is this, what may it count against, and
// where could it go.
func (s *Service) gather(c *Case) (Subject, Facts, error) {
	if !c.asksModel() {
		return Subject{Attributes: s.attributes(c)}, Facts{}, nil
	}
	model, ok := c.World.Model(c.Ask.Model)
	if !ok {
		return Subject{}, Facts{}, refuse(ModelUnknown, "no model is called %q here", clip(c.Ask.Model, 128))
	}
	if model.Dialect != string(c.Ask.Dialect) {
		return Subject{}, Facts{}, refuse(DialectMismatch, "model %q speaks the %s dialect; this path is %s's, and dialects are not translated",
			model.Name, model.Dialect, c.Ask.Dialect)
	}
	sub := s.subject(c)
	sub.Model = model
	return sub, s.facts(c, &sub), nil
}

// asksModel is false for an unmetered path and for a list of models: there is
// nothing to judge, to route or to hold.
func (c *Case) asksModel() bool { return !c.Ask.Free || c.Ask.Model != "" }

// attributes are those that do not hang on what the app asserts.
func (s *Service) attributes(c *Case) registry.Attributes {
	return registry.Attributes{
		Tenant: c.Caller.Tenant.Name, Team: c.Caller.App.Team, App: c.Caller.App.Name, Key: c.Caller.Key.ID,
		Gateway: c.Request.Gateway, Dialect: string(c.Ask.Dialect), Tags: c.Caller.App.Tags,
	}
}

// subject believes what the app may assert, and nothing else.
func (s *Service) subject(c *Case) Subject {
	h := c.Request.Headers
	session, agent := c.codingAgent()
	sub := Subject{
		Attributes: s.attributes(c),
		User:       asserted(c.Caller.App, "user", h["x-signalbox-user"], c.Ask.SafetyIdentifier, c.Ask.User),
		Session:    asserted(c.Caller.App, "session", h["x-signalbox-session"], c.Ask.Session, session),
		Agent:      asserted(c.Caller.App, "agent", h["x-signalbox-agent"], agent),
	}
	a := &sub.Attributes
	a.Model = c.Ask.Model
	a.User = s.pseudonym(&sub, "user", sub.User)
	a.Session = s.pseudonym(&sub, "session", sub.Session)
	a.Agent = s.pseudonym(&sub, "agent", sub.Agent)
	a.UserName, a.SessionName, a.AgentName = sub.User, sub.Session, sub.Agent
	a.Tags = assertedTags(c.Caller.App, h)
	if s.traits.of(c.World, a.Tenant).prompts {
		a.PromptHash = s.promptHash(a.Tenant, c)
	}
	return sub
}

// Headers by which coding agents say of themselves what x-signalbox-session and
// x-signalbox-agent say: nobody configures those in an agent on every desk.
const (
	claudeSession = "x-claude-code-session-id"
	claudeAgent   = "x-claude-code-agent-id" // of a subagent; the main one sends none
	codexSession  = "session-id"
)

// codingAgent is what the headers of coding agents say, each at the endpoints that
// its agent speaks to: session-id is too common a name to mean a session anywhere.
func (c *Case) codingAgent() (session, agent string) {
	h := c.Request.Headers
	switch {
	case c.Ask.Dialect == llm.Anthropic:
		return h[claudeSession], h[claudeAgent]
	case c.Ask.Endpoint == llm.Responses:
		return h[codexSession], ""
	}
	return "", ""
}

// asserted is the first value given, if the app may say such a thing of itself.
func asserted(app *registry.App, name string, values ...string) string {
	if !app.MayAssert(name) {
		return ""
	}
	for _, v := range values {
		if v != "" && len(v) <= assertedBytes && clean(v) {
			return v
		}
	}
	return ""
}

// assertedTags adds the tags that the app may set to those it inherits; an
// inherited tag cannot be asserted over.
func assertedTags(app *registry.App, h Headers) map[string]string {
	tags := app.Tags
	copied := false
	for _, may := range app.Assert {
		name, ok := strings.CutPrefix(may, "tags.")
		if !ok {
			continue
		}
		value := h["x-signalbox-tag-"+strings.ToLower(name)]
		if _, inherited := app.Tags[name]; inherited || value == "" || len(value) > assertedBytes || !clean(value) {
			continue
		}
		if !copied {
			tags = cloneTags(app.Tags)
			copied = true
		}
		tags[name] = value
	}
	return tags
}

func cloneTags(tags map[string]string) map[string]string {
	clone := make(map[string]string, len(tags)+1)
	for k, v := range tags {
		clone[k] = v
	}
	return clone
}

// clean refuses control characters, which would break the joined per values of a
// meter, and what is not UTF-8, which the journal cannot hold; nobody's id has any.
func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// pseudonym stands for a name in everything we write down.
func (s *Service) pseudonym(sub *Subject, kind, name string) string {
	if name == "" {
		return ""
	}
	pseudonym, unknown := s.names.EnsureNamed(sub.Attributes.Tenant, kind, name)
	if unknown != nil {
		sub.NewNames = append(sub.NewNames, *unknown)
	}
	return pseudonym
}

// facts is what policy may know.
func (s *Service) facts(c *Case, sub *Subject) Facts {
	a := &sub.Attributes
	utc := c.At.UTC()
	return Facts{
		Principal: PrincipalFacts{Tenant: a.Tenant, Team: a.Team, App: a.App, Key: a.Key,
			User: sub.User, Session: sub.Session, Agent: sub.Agent, Tags: a.Tags},
		Tenant: TenantFacts{Regions: c.Caller.Tenant.Regions},
		App:    AppFacts{Models: c.Caller.App.Models},
		Request: RequestFacts{
			Dialect: string(c.Ask.Dialect), Endpoint: string(c.Ask.Endpoint),
			Method: c.Request.Method, Path: withoutQuery(c.Request.Path), Stream: c.Ask.Stream,
			Tools: c.Ask.Tools, Images: c.Ask.Images, Files: c.Ask.Files, TokenIDs: c.Ask.TokenIDs > 0,
			SizeBand: sizeBand(c.Ask.InputTokens), MaxOutput: c.Ask.MaxOutput,
		},
		Model:       ModelFacts{Name: c.Ask.Model},
		Deployments: s.deploymentFacts(c.World, c.World.Deployments(c.Ask.Model), c.At),
		Time:        TimeFacts{Hour: utc.Hour(), Weekday: utc.Weekday().String(), Date: utc.Format("2006-01-02")},
		Gateway:     c.Request.Gateway,
		look:        func() []FindingFacts { return s.look(c) },
	}
}

// withoutQuery leaves out of a path what nobody should log: the query, and a key
// that somebody pasted into the path.
func withoutQuery(path string) string {
	path, _, _ = strings.Cut(path, "?")
	for from := 0; ; {
		i := strings.Index(path[from:], KeyPrefix)
		if i < 0 {
			return path
		}
		begin := from + i + len(KeyPrefix)
		end := begin
		for end < len(path) && path[end] != '/' {
			end++
		}
		path = path[:begin] + "…" + path[end:]
		from = begin
	}
}

// sizeBand says how large a prompt is without saying exactly, so that verdicts
// on equal facts are remembered.
func sizeBand(tokens int64) string {
	switch {
	case tokens < 1_000:
		return "tiny"
	case tokens < 8_000:
		return "small"
	case tokens < 32_000:
		return "medium"
	case tokens < 128_000:
		return "large"
	}
	return "huge"
}

// hexShort is 16 bytes of a hash as hexadecimal: enough that two do not meet.
func hexShort(sum []byte) string { return hex.EncodeToString(sum[:16]) }
