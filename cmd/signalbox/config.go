package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/envoy/proc"
	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
	doorhttp "github.com/signalbox-dev/signalbox/adapters/http"
	"github.com/signalbox-dev/signalbox/adapters/http/proxy"
	"github.com/signalbox-dev/signalbox/decision"
)

// Config is signalbox.yaml: every key optional, every key also an environment
// variable, SIGNALBOX_ and its path in capitals. It is the one place that knows
// every room's settings.
type Config struct {
	DataDir       string            `yaml:"data_dir" help:"where the journal, the books and the analytics live"`
	ClusterSecret Secret            `yaml:"cluster_secret" help:"shared by all replicas; made at first start when embedded"`
	HTTP          Listener          `yaml:"http"`
	GRPC          Listener          `yaml:"grpc"`
	Admin         Listener          `yaml:"admin" help:"the admin API, when http is not loopback"`
	Ops           OpsListener       `yaml:"ops"`
	Journal       JournalConfig     `yaml:"journal"`
	Analytics     AnalyticsConfig   `yaml:"analytics"`
	Ledger        LedgerConfig      `yaml:"ledger"`
	Policy        PolicyConfig      `yaml:"policy"`
	Credentials   CredentialsConfig `yaml:"credentials"`
	Proxy         ProxyConfig       `yaml:"proxy" help:"calls of those who have no gateway, on the http listener"`
	Envoy         EnvoyConfig       `yaml:"envoy" help:"Envoys that are configured from here (signalbox envoy bootstrap)"`
	Limits        LimitsConfig      `yaml:"limits"`
	Log           LogConfig         `yaml:"log"`
}

// Secret is read from a file, or given by the environment; it is never printed.
type Secret struct {
	File  string `yaml:"file"`
	Value string `yaml:"-" env:"VALUE"`
}

// DSN is a database's address with the password in it.
type DSN string

// Listener is one address we answer on.
type Listener struct {
	Listen string    `yaml:"listen"`
	TLS    ServerTLS `yaml:"tls"`
}

// OpsListener is for probes and Prometheus.
type OpsListener struct {
	Listen string    `yaml:"listen"`
	TLS    ServerTLS `yaml:"tls"`
	Pprof  bool      `yaml:"pprof"`
}

// ServerTLS is a listener's certificate, and whose clients it takes.
type ServerTLS struct {
	Cert     string `yaml:"cert"`
	Key      string `yaml:"key"`
	ClientCA string `yaml:"client_ca"`
}

// ClientTLS is how we call brokers and databases.
type ClientTLS struct {
	Enabled bool   `yaml:"enabled"`
	CA      string `yaml:"ca"`
	Cert    string `yaml:"cert"`
	Key     string `yaml:"key"`
}

// SASL is how we log in to brokers.
type SASL struct {
	Mechanism string `yaml:"mechanism" help:"plain, scram-sha-256, scram-sha-512, oauthbearer"`
	User      string `yaml:"user"`
	Password  Secret `yaml:"password"`
}

// JournalConfig: no brokers, and the journal is embedded.
type JournalConfig struct {
	Brokers      []string  `yaml:"brokers"`
	TLS          ClientTLS `yaml:"tls"`
	SASL         SASL      `yaml:"sasl"`
	CreateTopics bool      `yaml:"create_topics"`
	Compression  string    `yaml:"compression" help:"zstd, gzip, none"`
	Sync         bool      `yaml:"sync" help:"fsync before a fact is acknowledged: survives power loss, costs a disk flush"`
	SpoolMax     Bytes     `yaml:"spool_max"`
}

// AnalyticsConfig: no server, and ClickHouse's engine is embedded.
type AnalyticsConfig struct {
	ClickHouse DSN    `yaml:"clickhouse" help:"clickhouse://user:password@host:9000/signalbox"`
	Engine     string `yaml:"engine" help:"libchdb.so; empty: beside the binary, then the user's cache"`
	Disabled   bool   `yaml:"disabled"`
}

// LedgerConfig is how money is held.
type LedgerConfig struct {
	LeaseWait   Duration `yaml:"lease_wait"`
	HoldWait    Duration `yaml:"hold_wait"`
	HoldTTL     Duration `yaml:"hold_ttl"`
	FailureMode string   `yaml:"failure_mode" help:"lease, closed, open"`
}

// PolicyConfig: no folder, and the default policy decides.
type PolicyConfig struct {
	Dir string `yaml:"dir"`
}

// CredentialsConfig is where providers' credentials lie, one file each.
type CredentialsConfig struct {
	Dir string `yaml:"dir"`
}

// ProxyConfig is how calls are sent to providers. Off, every path that is not our
// own is 404.
type ProxyConfig struct {
	Enabled          bool     `yaml:"enabled"`
	ConnectTimeout   Duration `yaml:"connect_timeout" help:"until a connection to a provider stands, TLS included"`
	FirstByteTimeout Duration `yaml:"first_byte_timeout" help:"from a try's beginning until the provider's headers"`
	IdleTimeout      Duration `yaml:"idle_timeout" help:"between two bytes of a provider's answer"`
	CallerTimeout    Duration `yaml:"caller_timeout" help:"until a caller has taken what was written"`
	Drains           int      `yaml:"drains" help:"calls at once that are read on after their caller has gone (on_abort: drain)"`
}

// EnvoyConfig is how Envoys reach providers.
type EnvoyConfig struct {
	TrustedCA        string   `yaml:"trusted_ca" help:"file on the Envoys' machines: who may sign providers' certificates, where a provider has no ca_file"`
	Fallback         []string `yaml:"fallback" help:"deployments of calls that nobody decided, where the filter's failure mode is open: the first of each dialect; none: 503"`
	ConnectTimeout   Duration `yaml:"connect_timeout" help:"until a connection to a provider stands, TLS included"`
	FirstByteTimeout Duration `yaml:"first_byte_timeout" help:"from a request's end until the provider's headers"`
	TryTimeout       Duration `yaml:"try_timeout" help:"the same for one try, where the hold pays for another after it"`
}

// LimitsConfig bounds what callers can make us hold.
type LimitsConfig struct {
	Body    Bytes `yaml:"body"`
	Bodies  Bytes `yaml:"bodies" help:"all bodies in memory at once; what is above waits"`
	Streams int   `yaml:"streams" help:"calls at once through the proxy, and as many through Envoys; what is above is turned away"`
}

// LogConfig is slog's.
type LogConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format" help:"text or json"`
}

// DefaultConfig is what serve does with no file.
func DefaultConfig() Config {
	calls, egress := proxy.DefaultLimits(), xds.DefaultOptions()
	return Config{
		DataDir:     "./signalbox-data",
		HTTP:        Listener{Listen: "127.0.0.1:8080"},
		GRPC:        Listener{Listen: "127.0.0.1:9090"},
		Ops:         OpsListener{Listen: "127.0.0.1:9091"},
		Journal:     JournalConfig{CreateTopics: true, Compression: "zstd", SpoolMax: 1 << 30},
		Ledger:      LedgerConfig{LeaseWait: Duration(50 * time.Millisecond), HoldTTL: Duration(15 * time.Minute), FailureMode: string(decision.FailLease)},
		Credentials: CredentialsConfig{Dir: "./secrets"},
		Proxy: ProxyConfig{Enabled: true, ConnectTimeout: Duration(calls.Connect), FirstByteTimeout: Duration(calls.FirstByte),
			IdleTimeout: Duration(calls.Idle), CallerTimeout: Duration(calls.Write), Drains: calls.Drains},
		Envoy: EnvoyConfig{TrustedCA: egress.TrustedCA, ConnectTimeout: Duration(egress.Connect), FirstByteTimeout: Duration(egress.FirstByte),
			TryTimeout: Duration(proc.DefaultLimits().Try)},
		Limits: LimitsConfig{Body: Bytes(calls.Body), Bodies: doorhttp.DefaultInFlight, Streams: calls.Streams},
		Log:    LogConfig{Level: "info", Format: "text"},
	}
}

// Embedded reports whether the journal is our own.
func (c *Config) Embedded() bool { return len(c.Journal.Brokers) == 0 }

// path is a place in the data folder.
func (c *Config) path(parts ...string) string {
	return filepath.Join(append([]string{c.DataDir}, parts...)...)
}

// LoadConfig reads the file, if one is named, and the environment over it.
func LoadConfig(file string, env []string) (Config, error) {
	c := DefaultConfig()
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("read the configuration: %w", err)
		}
		if err := decodeStrict(file, data, &c); err != nil {
			return c, err
		}
	}
	if err := overlayEnv(env, &c); err != nil {
		return c, err
	}
	return c, c.Validate()
}

// Validate says what is wrong with the whole of it at once.
func (c *Config) Validate() error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for name, l := range map[string]string{"http.listen": c.HTTP.Listen, "grpc.listen": c.GRPC.Listen, "ops.listen": c.Ops.Listen, "admin.listen": c.Admin.Listen} {
		if _, _, err := net.SplitHostPort(l); err != nil && !(l == "" && name == "admin.listen") {
			wrong("%s: %q is not an address; want host:port, such as 127.0.0.1:8080", name, l)
		}
	}
	for name, t := range map[string]ServerTLS{"http.tls": c.HTTP.TLS, "grpc.tls": c.GRPC.TLS, "ops.tls": c.Ops.TLS, "admin.tls": c.Admin.TLS} {
		if (t.Cert == "") != (t.Key == "") {
			wrong("%s: cert and key go together", name)
		}
		if t.ClientCA != "" && t.Cert == "" {
			wrong("%s: client_ca needs cert and key", name)
		}
	}
	switch decision.FailureMode(c.Ledger.FailureMode) {
	case decision.FailLease, decision.FailClosed, decision.FailOpen:
	default:
		wrong("ledger.failure_mode: %q; want lease, closed or open", c.Ledger.FailureMode)
	}
	if c.Ledger.HoldTTL <= 0 {
		wrong("ledger.hold_ttl: must be longer than 0, such as 15m")
	}
	switch c.Journal.Compression {
	case "zstd", "gzip", "none":
	default:
		wrong("journal.compression: %q; want zstd, gzip or none", c.Journal.Compression)
	}
	if !c.Embedded() && c.ClusterSecret.File == "" && c.ClusterSecret.Value == "" {
		wrong("cluster_secret.file: brokers are shared by replicas, which must share a secret; name its file")
	}
	c.validateCalls(wrong)
	if _, err := logLevel(c.Log.Level); err != nil {
		problems = append(problems, err)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		wrong("log.format: %q; want text or json", c.Log.Format)
	}
	return errors.Join(problems...)
}

// validateCalls is about what calls may take.
func (c *Config) validateCalls(wrong func(format string, args ...any)) {
	if c.Limits.Body < 1<<10 || c.Limits.Body > 64<<20 {
		wrong("limits.body: want between 1KiB and 64MiB")
	}
	if c.Limits.Bodies < 2*c.Limits.Body {
		wrong("limits.bodies: want at least twice limits.body, which is %d; less would let one call at a time in", c.Limits.Body)
	}
	if c.Limits.Streams < 1 || c.Limits.Streams > 1_000_000 {
		wrong("limits.streams: want between 1 and 1000000")
	}
	if c.Proxy.Drains < 0 || c.Proxy.Drains > c.Limits.Streams {
		wrong("proxy.drains: want between 0, which charges as on_abort: ceiling does, and limits.streams")
	}
	for name, d := range map[string]Duration{"proxy.connect_timeout": c.Proxy.ConnectTimeout, "proxy.first_byte_timeout": c.Proxy.FirstByteTimeout,
		"proxy.idle_timeout": c.Proxy.IdleTimeout, "proxy.caller_timeout": c.Proxy.CallerTimeout,
		"envoy.connect_timeout": c.Envoy.ConnectTimeout, "envoy.first_byte_timeout": c.Envoy.FirstByteTimeout, "envoy.try_timeout": c.Envoy.TryTimeout} {
		if d <= 0 {
			wrong("%s: must be longer than 0, such as 60s", name)
		}
	}
}

// loopback reports whether only this machine can reach an address.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
