package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
)

// What an operator can get wrong, and the sentence that says so, with its place.
func TestConfigProblems(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		env  []string
		want []string
	}{
		"an unknown key":         {file: "htp: {listen: 127.0.0.1:1}\n", want: []string{`signalbox.yaml:1:1: unknown key "htp"; want one of data_dir, cluster_secret, http`}},
		"an unknown key deeper":  {file: "ledger:\n  lease_wayt: 50ms\n", want: []string{`signalbox.yaml:2:3: unknown key "ledger.lease_wayt"; want one of lease_wait`}},
		"a key twice":            {file: "data_dir: a\ndata_dir: b\n", want: []string{"data_dir"}},
		"a duration":             {file: "ledger: {hold_ttl: 15 minutes}\n", want: []string{`signalbox.yaml:1:20: ledger.hold_ttl: "15 minutes" is not a duration`}},
		"a size":                 {file: "limits: {body: 8MB}\n", want: []string{`limits.body: "8MB" is not a size`, "8MiB"}},
		"a list that is a word":  {file: "journal: {brokers: kafka:9092}\n", want: []string{"journal.brokers: want a list"}},
		"a map that is a list":   {file: "http: [a]\n", want: []string{"http: want keys and values"}},
		"a boolean":              {file: "journal: {sync: maybe}\n", want: []string{`journal.sync: "maybe"; want true or false`}},
		"two documents":          {file: "data_dir: a\n---\ndata_dir: b\n", want: []string{"more than one document"}},
		"not YAML":               {file: "data_dir: [\n", want: []string{"signalbox.yaml"}},
		"an address":             {file: "http: {listen: localhost}\n", want: []string{`http.listen: "localhost" is not an address`}},
		"half a certificate":     {file: "http: {tls: {cert: a.pem}}\n", want: []string{"http.tls: cert and key go together"}},
		"a failure mode":         {file: "ledger: {failure_mode: ajar}\n", want: []string{`ledger.failure_mode: "ajar"; want lease, closed or open`}},
		"brokers without secret": {file: "journal: {brokers: [\"k:9092\"]}\n", want: []string{"cluster_secret.file"}},
		"several at once":        {file: "http: {listen: x}\nledger: {failure_mode: ajar}\n", want: []string{"http.listen", "ledger.failure_mode"}},
		"a number":               {file: "limits: {streams: many}\n", want: []string{`signalbox.yaml:1:19: limits.streams: "many" is not a whole number`}},
		"no calls at once":       {file: "limits: {streams: 0}\n", want: []string{"limits.streams: want between 1 and 1000000", "proxy.drains"}},
		"room for one body":      {file: "limits: {body: 8MiB, bodies: 8MiB}\n", want: []string{"limits.bodies: want at least twice limits.body, which is 8388608"}},
		"more drains than calls": {file: "limits: {streams: 10}\nproxy: {drains: 11}\n", want: []string{"proxy.drains: want between 0"}},
		"no time to connect":     {file: "proxy: {connect_timeout: 0s}\n", want: []string{"proxy.connect_timeout: must be longer than 0, such as 60s"}},
		"no time to think":       {file: "proxy: {first_byte_timeout: 0s, idle_timeout: 0s, caller_timeout: 0s}\n", want: []string{"proxy.first_byte_timeout", "proxy.idle_timeout", "proxy.caller_timeout"}},
		"the proxy by words":     {file: "proxy: maybe\n", want: []string{"proxy: want keys and values"}},
		"a number's environment": {env: []string{"SIGNALBOX_PROXY_DRAINS=-1"}, want: []string{"proxy.drains"}},
		"the environment":        {env: []string{"SIGNALBOX_LEDGER_HOLD_TTL=soon"}, want: []string{"SIGNALBOX_LEDGER_HOLD_TTL", "not a duration"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := LoadConfig(write(t, c.file), c.env)
			if err == nil {
				t.Fatal("taken as good")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "signalbox.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// The contract's own example, with the environment over it.
func TestConfigOverlay(t *testing.T) {
	file := write(t, `data_dir: ./signalbox-data
http: {listen: "127.0.0.1:8080"}
grpc: {listen: "127.0.0.1:9090"}
ops: {listen: "127.0.0.1:9091"}
journal: {brokers: [], create_topics: true}
analytics: {clickhouse: "", engine: ""}
ledger: {lease_wait: 50ms, hold_wait: 0s, hold_ttl: 15m, failure_mode: lease}
policy: {dir: ""}
credentials: {dir: ./secrets}
proxy: {enabled: true, connect_timeout: 10s, first_byte_timeout: 10m, idle_timeout: 5m, caller_timeout: 60s, drains: 256}
limits: {body: 8MiB, bodies: 1GiB, streams: 10000}
`)
	c, err := LoadConfig(file, []string{"SIGNALBOX_HTTP_LISTEN=127.0.0.1:18080", "SIGNALBOX_LEDGER_FAILURE_MODE=closed",
		"SIGNALBOX_ANALYTICS_CLICKHOUSE=clickhouse://u:hush@h:9000/x", "SIGNALBOX_JOURNAL_BROKERS=", "UNRELATED=1",
		"SIGNALBOX_PROXY_ENABLED=false", "SIGNALBOX_LIMITS_STREAMS=7000"})
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP.Listen != "127.0.0.1:18080" || c.Ledger.FailureMode != string(decision.FailClosed) || time.Duration(c.Ledger.HoldTTL) != 15*time.Minute || !c.Embedded() ||
		c.Proxy.Enabled || c.Limits.Streams != 7000 || c.Proxy.Drains != 256 {
		t.Errorf("%+v", c)
	}
	printed := effective(reflect.ValueOf(c), "")
	if strings.Contains(printed, "hush") || !strings.Contains(printed, "clickhouse: (hidden)") || !strings.Contains(printed, "listen: 127.0.0.1:18080") {
		t.Errorf("effective configuration:\n%s", printed)
	}
}

// What --check prints can be given back as a file: it is the configuration.
func TestDefaultsValidate(t *testing.T) {
	c, err := LoadConfig("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, DefaultConfig()) {
		t.Errorf("%+v", c)
	}
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "0.0.0.0:1": false, ":1": false, "10.0.0.1:1": false, "nonsense": false} {
		if loopback(addr) != want {
			t.Errorf("loopback(%q) is %v", addr, !want)
		}
	}
}

// Readiness tells what stops decisions from what is only missing.
func TestReadiness(t *testing.T) {
	r := newReadiness()
	if len(r.Stopped()) != 1 {
		t.Errorf("before it started: %v", r.Stopped())
	}
	r.started()
	full := ""
	r.watch(true, func() string { return full })
	r.watch(false, func() string { return "analytics: not here" })
	if len(r.Stopped()) != 0 || len(r.Degraded()) != 1 {
		t.Errorf("up: %v %v", r.Stopped(), r.Degraded())
	}
	full = "spool: full"
	r.broken("analytics", os.ErrClosed)
	r.broken("ledger", os.ErrClosed)
	if got := r.Stopped(); len(got) != 2 || !strings.Contains(got[0], "ledger") {
		t.Errorf("broken: %v", got)
	}
	r.draining()
	if got := strings.Join(r.Stopped(), "\n"); !strings.Contains(got, "draining") {
		t.Errorf("draining: %v", got)
	}
}
