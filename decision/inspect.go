package decision

import (
	"strings"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// betaHeader is where Anthropic's callers ask for a longer window.
const betaHeader = "anthropic-beta"

// versionHeader is sent by Anthropic's SDKs, and by no client of another's.
const versionHeader = "anthropic-version"

// inspect reads the few fields of the body that bear on money and policy.
func (s *Service) inspect(c *Case) (*llm.Ask, error) {
	route, ok := llm.Recognise(c.Request.Method, c.Request.Path)
	if !ok {
		if c.World.UnmeteredPath(c.Request.Method, c.Request.Path) {
			c.Unmetered = true
			return &llm.Ask{Route: llm.Route{Free: true}}, nil
		}
		return nil, refuse(PathUnknown, "%s %s is not a path that is judged here, and no paths rule lets it through", clip(c.Request.Method, 16), clip(withoutQuery(c.Request.Path), 128))
	}
	if route.Endpoint == llm.Models {
		route.Dialect = listsAs(c.Request)
		return &llm.Ask{Route: route}, nil
	}
	if most := s.config.MaxBody; most > 0 && int64(len(c.Request.Body)) > most {
		return nil, refuse(TooLarge, "the body has %d bytes; at most %d are judged (limits.body)", len(c.Request.Body), most)
	}
	if route.Free && !c.Request.BodyComplete {
		// Nothing is held for it, but its prompt goes to a provider all the same: what
		// is not read can be neither judged nor redacted.
		c.Ask = &llm.Ask{Route: route}
		return c.Ask, refuse(TooLarge, "only the first part of the body was handed over, and the rest may hold anything")
	}
	ask, problem := llm.Parse(route, c.Request.Body, c.Request.BodyComplete)
	if problem != nil {
		// The path's dialect is known even where the body cannot be read, and the
		// refusal must speak it.
		c.Ask = &llm.Ask{Route: route}
		return c.Ask, refuse(Code(problem.Code), "%s", problem.Message)
	}
	if ask.Dialect == llm.Anthropic {
		ask.Beta(c.Request.Headers[betaHeader])
	}
	return ask, nil
}

// clip keeps what a caller typed out of long messages, and bytes that are no text
// out of the journal.
func clip(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
