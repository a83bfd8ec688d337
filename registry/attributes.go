package registry

import "strings"

// Attributes is the flat map that budgets match on and that per values are read
// from: who calls, what for and where to.
type Attributes struct {
	Tenant, Team, App, Key string
	// User, Session and Agent are what meters are named by: pseudonyms. The
	// readable names below are what a registry file's match spells; where one is
	// empty, match compares what stands above.
	User, Session, Agent             string
	UserName, SessionName, AgentName string

	Model, Deployment string
	Provider, Region  string
	Gateway, Dialect  string
	PromptHash        string
	Tags              map[string]string
}

// tagPrefix stands before a tag's name where an attribute is named.
const tagPrefix = "tags."

// attribute is a compiled attribute name: a number for the fixed ones, so that
// matching on the hot path compares no names.
type attribute uint8

const (
	attrTenant attribute = iota
	attrTeam
	attrApp
	attrKey
	attrUser
	attrSession
	attrAgent
	attrModel
	attrDeployment
	attrProvider
	attrRegion
	attrGateway
	attrDialect
	attrPromptHash
	attrTag
)

// attributeNames are the names as users write them, in the contract's order.
var attributeNames = [...]string{
	attrTenant: "tenant", attrTeam: "team", attrApp: "app", attrKey: "key",
	attrUser: "user", attrSession: "session", attrAgent: "agent",
	attrModel: "model", attrDeployment: "deployment", attrProvider: "provider",
	attrRegion: "region", attrGateway: "gateway", attrDialect: "dialect",
	attrPromptHash: "prompt_hash",
}

// parseAttribute reads an attribute's name; tag is the part after "tags.".
func parseAttribute(name string) (a attribute, tag string, ok bool) {
	if tag, ok := strings.CutPrefix(name, tagPrefix); ok {
		return attrTag, tag, validName(tag)
	}
	for a, n := range attributeNames {
		if n == name {
			return attribute(a), "", true
		}
	}
	return 0, "", false
}

// Get is the attribute of this name ("app", "tags.feature") as meters are named by
// it; empty when the call has no value for it.
func (a *Attributes) Get(name string) string {
	attr, tag, ok := parseAttribute(name)
	if !ok {
		return ""
	}
	return a.value(attr, tag)
}

// matched is the attribute as a match spells it.
func (a *Attributes) matched(attr attribute, tag string) string {
	readable := ""
	switch attr {
	case attrUser:
		readable = a.UserName
	case attrSession:
		readable = a.SessionName
	case attrAgent:
		readable = a.AgentName
	}
	if readable != "" {
		return readable
	}
	return a.value(attr, tag)
}

func (a *Attributes) value(attr attribute, tag string) string {
	switch attr {
	case attrTenant:
		return a.Tenant
	case attrTeam:
		return a.Team
	case attrApp:
		return a.App
	case attrKey:
		return a.Key
	case attrUser:
		return a.User
	case attrSession:
		return a.Session
	case attrAgent:
		return a.Agent
	case attrModel:
		return a.Model
	case attrDeployment:
		return a.Deployment
	case attrProvider:
		return a.Provider
	case attrRegion:
		return a.Region
	case attrGateway:
		return a.Gateway
	case attrDialect:
		return a.Dialect
	case attrPromptHash:
		return a.PromptHash
	default:
		return a.Tags[tag]
	}
}
