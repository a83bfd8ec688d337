package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// Mode is the filter that asks.
type Mode string

const (
	// ExtProc sees the request and the answer: it changes bodies, and reads usage.
	ExtProc Mode = "ext_proc"
	// ExtAuthz sees the request alone; usage comes from the access log.
	ExtAuthz Mode = "ext_authz"
	// ExtAuthzHTTP is ExtAuthz over HTTP, for Envoys that others configure.
	ExtAuthzHTTP Mode = "ext_authz-http"
)

// FailureMode is what becomes of a call that nobody decided.
type FailureMode string

const (
	// Closed: it gets 503 in its own dialect.
	Closed FailureMode = "closed"
	// Open: it goes on unmetered, without its caller's key, and the access log tells.
	Open FailureMode = "open"
)

// Options are what the templates are filled with. DefaultOptions fills what has a
// default; the zero value is not usable.
type Options struct {
	Mode        Mode
	FailureMode FailureMode

	Signalbox string // host:port of the grpc listener; of http for ExtAuthzHTTP
	Log       string // ExtAuthzHTTP: host:port of the grpc listener, for the access log
	TLS       TLS    // how Envoy reaches it
	Plaintext bool   // somebody has said that the way there is safe without TLS

	// Envoy proves itself by a token unless TLS.Cert does. TokenFile wins.
	TokenEnv  string // variable of Envoy's environment
	TokenFile string // file on Envoy's machine

	Version string // of the Envoy that reads it, as 1.40; older ones get fewer fields

	Body    int64         // the largest body sent for judgement, in bytes
	Timeout time.Duration // of one question
	Idle    time.Duration // between two bytes of an answer

	// For Bootstrap alone.
	Listen      string // where callers come in
	ListenCert  string // its certificate and key; "": no TLS
	ListenKey   string
	Admin       string // Envoy's own admin
	Node        string // node.id
	NodeCluster string
}

// TLS is how Envoy reaches Signalbox, by files on Envoy's machine. Enabled without
// CA trusts the system's authorities.
type TLS struct {
	Enabled    bool
	CA         string
	Cert       string // with Key: Envoy's own, which names the gateway
	Key        string
	ServerName string // "": the host of Signalbox
}

// systemCA is where Envoy's own images, and Debian, keep the authorities they trust.
const systemCA = "/etc/ssl/certs/ca-certificates.crt"

// newest is the Envoy that Bootstrap's routes need; oldest is the first whose
// ext_authz has the fields that Filter prints.
const (
	newest = "1.40"
	oldest = "1.30"
)

// leastTimeout is above what the service takes for any one answer before it gives up
// by itself, and tells the caller in their own dialect.
const leastTimeout = 4 * time.Second

// since is the first Envoy with what a template asks for.
var since = map[string]string{
	"ext_proc":   "1.36", // status_on_error: an error is 503, not 500
	"body limit": "1.40", // request_body_buffer_limit, as these filters mind it
	"injector":   "1.36", // of the clusters; tried from there on
	"usage":      "1.38", // sse_to_metadata
	"file":       "1.40", // earlier, a token's file may not end in a newline
}

// DefaultOptions are those that every flag of the command begins with.
func DefaultOptions() Options {
	return Options{
		Mode: ExtProc, FailureMode: Closed, Signalbox: "127.0.0.1:9090", Log: "127.0.0.1:9090", TokenEnv: "SIGNALBOX_GATEWAY_TOKEN", Version: newest,
		Body: door.DefaultBody, Timeout: 5 * time.Second, Idle: 5 * time.Minute,
		Listen: "127.0.0.1:10000", Admin: "127.0.0.1:9901", Node: "signalbox-envoy", NodeCluster: "signalbox",
	}
}

// validate says what is wrong with the whole of it at once.
func (o *Options) validate(whole bool) error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	o.validateAsked(wrong)
	o.validateWay(wrong)
	if whole {
		o.validateWhole(wrong)
	}
	for name, text := range map[string]string{"tls-ca": o.TLS.CA, "tls-cert": o.TLS.Cert, "tls-key": o.TLS.Key, "tls-server-name": o.TLS.ServerName,
		"token-env": o.TokenEnv, "token-file": o.TokenFile, "listen-cert": o.ListenCert, "listen-key": o.ListenKey, "node": o.Node, "node-cluster": o.NodeCluster} {
		// They are written into YAML, and the variable's name into a format of Envoy's.
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '%' || r == '"' || r == '\\' }) {
			wrong("%s: %q has a character that cannot stand in Envoy's configuration", name, text)
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

// validateAsked is about the question.
func (o *Options) validateAsked(wrong func(format string, args ...any)) {
	if !slices.Contains([]Mode{ExtProc, ExtAuthz, ExtAuthzHTTP}, o.Mode) {
		wrong("mode: %q; want ext_proc, ext_authz or ext_authz-http", o.Mode)
	}
	if o.FailureMode != Closed && o.FailureMode != Open {
		wrong("failure-mode: %q; want closed or open", o.FailureMode)
	}
	if o.Body < 1<<10 || o.Body > 64<<20 {
		wrong("body: want between 1KiB and 64MiB, as limits.body of the service")
	}
	if o.Timeout < leastTimeout || o.Timeout > time.Minute {
		wrong("timeout: want between %v and 1m; the service may take 3s to decide, and an Envoy that has turned away earlier leaves money held", leastTimeout)
	}
	if o.Idle < time.Second || o.Idle > 24*time.Hour {
		wrong("idle-timeout: want between 1s and 24h")
	}
	switch {
	case !version(o.Version):
		wrong("envoy-version: %q; want a version such as %s", o.Version, newest)
	case !o.has(oldest):
		wrong("envoy-version: %s is too old; ext_authz needs %s", o.Version, oldest)
	case o.Mode == ExtProc && !o.has(since["ext_proc"]):
		wrong("envoy-version: ext_proc needs %s, where its errors can be told to be 503; with %s, use --mode ext_authz", since["ext_proc"], o.Version)
	}
}

// validateWay is about the way to Signalbox.
func (o *Options) validateWay(wrong func(format string, args ...any)) {
	host, ok := address(o.Signalbox)
	if !ok {
		wrong("signalbox: %q is not an address; want host:port, such as 127.0.0.1:9090", o.Signalbox)
		return
	}
	logs, ok := address(o.Log)
	if o.Mode != ExtAuthzHTTP {
		logs = host
	} else if !ok {
		wrong("log: %q is not an address; want host:port, such as 127.0.0.1:9090", o.Log)
	}
	if (o.TLS.Cert == "") != (o.TLS.Key == "") {
		wrong("tls-cert and tls-key go together")
	}
	if !o.TLS.Enabled && (o.TLS.CA != "" || o.TLS.Cert != "" || o.TLS.ServerName != "") {
		wrong("tls: a certificate, an authority or a server's name is given, and TLS is not asked for")
	}
	if !o.TLS.Enabled && !o.Plaintext && !(loopback(host) && loopback(logs)) {
		wrong("signalbox: %s is another machine: prompts, callers' keys and, by xds, providers' credentials would cross the network in the clear; use --tls, or --plaintext where a mesh encrypts the way", o.Signalbox)
	}
	if o.TokenFile == "" && o.TokenEnv == "" && o.TLS.Cert == "" {
		wrong("token: Envoy must prove which gateway it is: by --token-env, --token-file or --tls-cert")
	}
	if o.TokenFile != "" && version(o.Version) && !o.has(since["file"]) {
		wrong("token-file: needs Envoy %s; use --token-env", since["file"])
	}
}

// validateWhole is about what a snippet leaves to others.
func (o *Options) validateWhole(wrong func(format string, args ...any)) {
	for name, at := range map[string]string{"listen": o.Listen, "admin": o.Admin} {
		if _, ok := address(at); !ok {
			wrong("%s: %q is not an address; want host:port, such as 127.0.0.1:10000", name, at)
		}
	}
	if o.Mode == ExtAuthzHTTP {
		wrong("mode: ext_authz-http is for an Envoy of somebody's own; here it would only be slower than ext_authz")
	}
	if version(o.Version) && !o.has(newest) {
		wrong("envoy-version: a whole Envoy needs %s, the first that goes from provider to provider in an order of its own for each call", newest)
	}
	if (o.ListenCert == "") != (o.ListenKey == "") {
		wrong("listen-cert and listen-key go together")
	}
	if o.Node == "" || o.NodeCluster == "" {
		wrong("node: want a name; xds knows an Envoy by it")
	}
}

// has reports whether the Envoy is at least of this version.
func (o *Options) has(least string) bool { return compare(o.Version, least) >= 0 }

func version(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return false
	}
	return !slices.ContainsFunc(parts, func(p string) bool { n, err := strconv.Atoi(p); return err != nil || n < 0 })
}

// compare orders versions by their first two numbers.
func compare(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range 2 {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m - n
		}
	}
	return 0
}

// address is the host of host:port.
func address(s string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || n == 0 || host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"\\%/#{}[]", r) }) {
		return "", false
	}
	return host, true
}

// loopback reports whether a host can only be Envoy's own machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
