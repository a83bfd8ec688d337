package envoy

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// notMutable are headers that Envoy writes itself, and that its filters may not take
// out: the first three belong to the message on its connection, and without the last
// one no route matches any more (1.40.0: 404, route_not_found). It says http or https
// and nothing of the caller.
var notMutable = []string{"connection", "transfer-encoding", "upgrade", "x-forwarded-proto"}

// fromEnvoy are headers in which an Envoy says who its caller is: the address, and in a
// mesh the workload.
var fromEnvoy = []string{"x-envoy-external-address", "x-envoy-peer-metadata", "x-envoy-peer-metadata-id"}

// Outgoing is what changes in a caller's headers before the call goes to a provider.
// Names are in lower case.
type Outgoing struct {
	Set    map[string]string
	Remove []string // sorted; none of them is in Set
}

// NewOutgoing says what changes, by the headers that the filter has shown us. Those
// that hold keys are removed whether or not it has: a filter can be told to show some
// only, and what it does not show goes out all the same.
func NewOutgoing(asked decision.Headers, dialect llm.Dialect, body bool) Outgoing {
	// An answer that is encoded could not be read for its usage.
	o := Outgoing{Set: map[string]string{"accept-encoding": "identity"}}
	if body {
		// What was judged is JSON in UTF-8; under another type or charset a server might
		// read another body than that.
		o.Set["content-type"] = "application/json"
	}
	if dialect == llm.Anthropic && asked[door.HeaderAnthropicVersion] == "" {
		o.Set[door.HeaderAnthropicVersion] = door.AnthropicVersion
	}
	for name, value := range asked {
		if name != "" && name[0] != ':' && hidden(name, value) {
			o.Remove = append(o.Remove, name)
		}
	}
	for _, name := range decision.KeyHeaders() {
		if !slices.Contains(o.Remove, name) {
			o.Remove = append(o.Remove, name)
		}
	}
	slices.Sort(o.Remove)
	for name, value := range o.Set {
		if asked[name] == value {
			delete(o.Set, name)
		}
	}
	return o
}

// hidden reports whether a header stays here. Host is Envoy's to write.
func hidden(name, value string) bool {
	if name == "host" || slices.Contains(notMutable, name) {
		// An Envoy that believes its callers has this one from them; with a key in it, it
		// finds no route.
		return name == "x-forwarded-proto" && strings.Contains(value, decision.KeyPrefix)
	}
	return door.HiddenFromProvider(name) || slices.Contains(fromEnvoy, name) || door.IsHop(name) || strings.Contains(value, decision.KeyPrefix)
}

// KeyInPath says what is wrong with a path that goes on as the caller wrote it and has a
// key in it, or in its query, where some clients put one; "": nothing. There is no
// taking it out: a filter may not be able to write paths, and who let the path through
// has let it through as it is.
func KeyInPath(path string) string {
	plain, err := url.PathUnescape(path)
	if err != nil {
		plain = path
	}
	if !strings.Contains(plain, decision.KeyPrefix) && !strings.Contains(path, decision.KeyPrefix) {
		return ""
	}
	return "a key stands in the path, or in its query, which the provider would be sent as it is: send the key in a header"
}

// Retry tells the router how often the call may be tried, and after what: after a reset
// or in place of an answer that does not begin only where the hold pays for more than
// one try that may have been billed. What Envoy has been told by its routes holds for
// the rest.
func (o *Outgoing) Retry(c *Call, firstByte time.Duration) {
	o.Set["x-envoy-max-retries"] = strconv.Itoa(max(0, len(c.Order)-1))
	if c.Attempts > 1 && len(c.Order) > 1 {
		o.Set["x-envoy-retry-on"] = "reset"
		o.Set["x-envoy-upstream-rq-per-try-timeout-ms"] = strconv.FormatInt(firstByte.Milliseconds(), 10)
	}
}

// Name tells somebody's routes the deployment, and sends the call to its path.
func (o *Outgoing) Name(deployment, path, asked string) {
	o.Set[HeaderDeployment] = deployment
	// The caller's own word for it would be removed after ours was written.
	o.Remove = slices.DeleteFunc(o.Remove, func(name string) bool { return name == HeaderDeployment })
	if path != asked {
		o.Set[":path"] = path
	}
}
