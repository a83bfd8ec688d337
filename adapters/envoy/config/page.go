package config

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
)

//go:embed templates/*.yaml
var templates embed.FS

// Bootstrap is a whole Envoy: everything that names a provider comes to it by xds.
func Bootstrap(o Options) ([]byte, error) {
	if err := o.validate(true); err != nil {
		return nil, err
	}
	return write("bootstrap.yaml", page{Options: o, Profile: envoy.ProfileOrder, whole: true})
}

// Filter is what an Envoy of somebody's own is given beside what it has. Its routes
// stay theirs, so its keys are places, and the whole of it is no configuration.
func Filter(o Options) ([]byte, error) {
	if err := o.validate(false); err != nil {
		return nil, err
	}
	return write("filter.yaml", page{Options: o, Profile: envoy.ProfileHeader})
}

// page is what the templates see.
type page struct {
	Options
	Profile envoy.Profile // "": the call to Signalbox says none
	whole   bool          // it is a whole Envoy's, which is configured by us, too
	log     bool          // it is about the access log, whose way is another than the filter's
}

// Logs is the page for the access log, which follows no profile and speaks gRPC.
func (p page) Logs() page {
	p.Profile = ""
	if p.Mode == ExtAuthzHTTP {
		p.Signalbox, p.log = p.Log, true
	}
	return p
}

// Clusters are the ways to Signalbox: two where the filter speaks HTTP.
func (p page) Clusters() []page {
	if p.Mode == ExtAuthzHTTP {
		return []page{p, p.Logs()}
	}
	return []page{p}
}

// Cluster is the name of the way.
func (p page) Cluster() string {
	if p.log {
		return "signalbox-log"
	}
	return "signalbox"
}

// HTTP1 reports whether the way is spoken in HTTP/1.1.
func (p page) HTTP1() bool { return p.Mode == ExtAuthzHTTP && !p.log }

func (page) Newest() string   { return newest }
func (p page) Open() bool     { return p.FailureMode == Open }
func (p page) Usage() bool    { return p.has(since["usage"]) }
func (page) Replies() []reply { return localReplies() }

// Injected reports whether the cluster puts the token into whatever goes to Signalbox.
// Metadata would do for the filters alone: what Envoy sends on the streams of its
// configuration and of its access log is the variable's name, as it is written.
func (p page) Injected() bool {
	return p.TokenFile != "" || p.TokenEnv != "" && p.TLS.Cert == "" && p.has(since["injector"])
}

// ByEnv reports whether the filter brings the token along, in an Envoy whose clusters
// cannot; its access log would not be let in.
func (p page) ByEnv() bool { return p.TokenEnv != "" && p.TLS.Cert == "" && !p.Injected() }

// UsageSince is the first Envoy that reads usage itself.
func (page) UsageSince() string { return since["usage"] }

// BodyLimit reports whether the Envoy can bound bodies apart from connections.
func (p page) BodyLimit() bool { return p.has(since["body limit"]) }

// Above leaves room above what is judged, so that what is too large is still refused
// by the service, in the caller's dialect. No more than the service takes in one
// message: one that is longer breaks the call to it, and where the failure mode is open
// its caller would pass by having written much.
func (page) Above(n int64) int64 { return n + 1<<20 }

func (page) UsageTypes() string  { return envoy.UsageTypes }
func (page) UsageEventMost() int { return envoy.UsageEventMost }

// UsageOf are the rules for streams, or for documents.
func (page) UsageOf(stream bool) []envoy.UsageRule {
	return slices.DeleteFunc(envoy.UsageRules(), func(r envoy.UsageRule) bool { return r.Stream != stream })
}

// RouteConfig is the routes that xds has made for the filter, and for its failure mode.
func (p page) RouteConfig() string { return xds.RouteConfig(p.Mode == ExtAuthz, p.Open()) }

// Logged are the headers of answers that the access log tells of.
func (page) Logged() string { return strings.Join(envoy.LoggedHeaders(), ", ") }

// Call is the header in which the HTTP variant tells the access log of a call.
func (page) Call() string { return envoy.HeaderCall }

func (p page) TimeoutSeconds() string { return seconds(p.Timeout.Seconds()) }
func (p page) IdleSeconds() string    { return seconds(p.Idle.Seconds()) }

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) }

// ListenTLS is the listener's certificate; nil: none.
func (p page) ListenTLS() any {
	if p.ListenCert == "" {
		return nil
	}
	return struct{ Cert, Key string }{p.ListenCert, p.ListenKey}
}

// ServerName is whom Signalbox's certificate is for.
func (p page) ServerName() string {
	if p.TLS.ServerName != "" {
		return p.TLS.ServerName
	}
	host, _ := address(p.Signalbox)
	return host
}

// SANType is what a server's name is, in a certificate.
func (p page) SANType() string {
	if _, err := netip.ParseAddr(p.ServerName()); err == nil {
		return "IP_ADDRESS"
	}
	return "DNS"
}

// CA is whose certificates are believed.
func (p page) CA() string {
	if p.TLS.CA != "" {
		return p.TLS.CA
	}
	return systemCA
}

// ClusterType is how Signalbox is found.
func (p page) ClusterType() string {
	host, _ := address(p.Signalbox)
	if _, err := netip.ParseAddr(host); err == nil {
		return "STATIC"
	}
	return "STRICT_DNS"
}

// URI is Signalbox for the HTTP variant. Envoy takes the address from the cluster.
func (p page) URI() string {
	if p.TLS.Enabled {
		return "https://" + p.Signalbox
	}
	return "http://" + p.Signalbox
}

// Forged are the headers that a caller may not bring: what the filters write for the
// routes, what they and the access log believe of Envoy, and what the router obeys. By
// name and not all of x-envoy-, because older Envoys know no beginnings of names here.
func (page) Forged() []string {
	return []string{envoy.HeaderDeployment, envoy.HeaderProfile, envoy.HeaderCall, "x-signalbox-gateway-token", "x-envoy-auth-partial-body",
		"x-envoy-max-retries", "x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-retriable-status-codes", "x-envoy-retriable-header-names",
		"x-envoy-hedge-on-per-try-timeout", "x-envoy-is-timeout-retry", "x-envoy-attempt-count",
		"x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-rq-timeout-alt-response",
		"x-envoy-upstream-stream-duration-ms", "x-envoy-expected-rq-timeout-ms", "x-envoy-upstream-alt-stat-name",
		"x-envoy-original-path", "x-envoy-original-host", "x-envoy-original-method", "x-envoy-decorator-operation", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node"}
}

// Hidden are the headers that no provider may see.
func (page) Hidden() []string {
	exact, _ := door.NotToProvider()
	return exact
}

// Answers reports whether what callers must not learn is taken out of answers here.
// ext_proc does it itself. Where the routes are somebody's own, so are the answers, and
// the access log, which reads what is left of a provider's rates, is all we see of them.
func (p page) Answers() bool { return p.whole && p.Mode == ExtAuthz }

// HiddenBack are the headers that no caller may see.
func (page) HiddenBack() []string {
	exact, _ := door.NotToCaller()
	return exact
}

// HiddenBackBy are the beginnings of the same. Our own is not among them: refusals pass
// here too.
func (page) HiddenBackBy() []string {
	_, prefixes := door.NotToCaller()
	return slices.DeleteFunc(prefixes, func(p string) bool { return strings.HasPrefix("x-signalbox-", p) })
}

// write fills a template in.
func write(name string, p page) ([]byte, error) {
	t := template.New("").Option("missingkey=error")
	t.Funcs(template.FuncMap{
		"q": quote, "sq": singly, "host": func(at string) string { h, _ := address(at); return h },
		"port": func(at string) (string, error) { _, port, err := net.SplitHostPort(at); return port, err },
		// part is a template at its depth: YAML's meaning hangs on it, and a part does not
		// know where it stands.
		"part": func(name string, depth int, data any) (string, error) {
			var b strings.Builder
			if err := t.ExecuteTemplate(&b, name, data); err != nil {
				return "", err
			}
			return strings.ReplaceAll(b.String(), "\n", "\n"+strings.Repeat(" ", depth)), nil
		},
	})
	if _, err := t.ParseFS(templates, "templates/*.yaml"); err != nil {
		return nil, fmt.Errorf("read the templates: %w", err)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, p); err != nil {
		return nil, fmt.Errorf("fill in %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// quote is a text as YAML reads it back: every JSON string is one of YAML's.
func quote(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

// singly is a text in single quotes, for what is full of double ones.
func singly(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
