package pages

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/signalbox-dev/signalbox/integration/agents"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// Tools are the programs of this machine that stand for the reader's.
type Tools struct {
	Root     string // of the checkout
	Bin      string // signalbox
	Upstream string // integration/upstream/serve, built
	Python   string // with the SDKs
	Node     string
	Modules  string // node_modules with the SDKs
	Claude   string
	Codex    string
	Envoy    string
	Cache    string // the user's, where the engine lies
}

// Machine is a reader's: a clone of the project, a home, keys of providers, and
// providers that answer.
type Machine struct {
	Dir, Home string
	Provider  *upstream.Provider
	Border    *agents.Border // what stands where the internet would be

	tools    Tools
	scratch  string
	path     string
	replace  *strings.Replacer
	serve    starts
	simulate starts
	envoy    starts
	close    func()
}

// starts is a kind of line that starts a server.
type starts struct {
	what    string
	env     []string
	ready   string // answers 200 when it serves
	without string // as long as this stands in what it answers, a part is missing
	held    []net.Listener
}

// The credentials the reader has with the providers.
const (
	openaiKey    = "sk-proj-the-readers-own-0123456789"
	anthropicKey = "sk-ant-the-readers-own-0123456789"
	azureKey     = "the-readers-own-azure-key-0123456789"
)

const (
	serveLine    = "bin/signalbox serve"
	simulateLine = "go run ./integration/upstream/serve"
	simulated    = "bin/upstream" // what stands for it
	envoyLine    = "envoy -c "
)

// NewMachine sets one up in a folder. Close it.
func NewMachine(dir string, tools Tools) (*Machine, error) {
	m := &Machine{Dir: filepath.Join(dir, "signalbox"), Home: filepath.Join(dir, "home"), tools: tools, scratch: filepath.Join(dir, "terminal")}
	m.Provider = upstream.New(map[string]bool{"Bearer " + openaiKey: true, anthropicKey: true, azureKey: true})
	server := httptest.NewServer(m.Provider)
	m.Border = agents.NewBorder()
	m.close = func() {
		server.Close()
		m.Border.Close()
	}
	if err := m.furnish(); err != nil {
		m.Close()
		return nil, fmt.Errorf("set up a reader's machine: %w", err)
	}
	held, err := reserve(6)
	if err != nil {
		m.serve.held = held
		m.Close()
		return nil, fmt.Errorf("set up a reader's machine: %w", err)
	}
	at := make([]string, len(held))
	for i, l := range held {
		at[i] = l.Addr().String()
	}
	m.serve = starts{what: "signalbox", held: held[:3], ready: "http://" + at[2] + "/readyz", without: "analytics", env: []string{
		"XDG_CACHE_HOME=" + tools.Cache, "SIGNALBOX_HTTP_LISTEN=" + at[0], "SIGNALBOX_GRPC_LISTEN=" + at[1], "SIGNALBOX_OPS_LISTEN=" + at[2],
		// A busy machine must not look like a held budget.
		"SIGNALBOX_LEDGER_LEASE_WAIT=500ms",
	}}
	m.simulate = starts{what: "the simulated provider", held: held[3:4], ready: "http://" + at[3] + "/-/totals"}
	m.envoy = starts{what: "Envoy", held: held[4:], ready: "http://" + at[5] + "/ready"}
	m.replace = strings.NewReplacer(
		"localhost:8080", at[0], "127.0.0.1:8080", at[0], "127.0.0.1:9090", at[1], "localhost:9091", at[2], "127.0.0.1:9091", at[2], "127.0.0.1:9099", at[3],
		"localhost:10000", at[4], "127.0.0.1:10000", at[4], "127.0.0.1:9901", at[5],
		"https://api.openai.com", server.URL, "https://api.anthropic.com", server.URL, "https://contoso.openai.azure.com", server.URL,
		simulateLine, simulated, "=sk-ant-…", "="+anthropicKey, "=sk-…", "="+openaiKey)
	return m, nil
}

// Close takes the providers away.
func (m *Machine) Close() {
	m.serve.letGo()
	m.simulate.letGo()
	m.envoy.letGo()
	m.close()
}

// furnish makes the clone and what is on the reader's PATH.
func (m *Machine) furnish() error {
	programs := filepath.Join(filepath.Dir(m.Dir), "programs")
	for _, dir := range []string{filepath.Join(m.Dir, "bin"), m.Home, m.scratch, programs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	links := map[string]string{
		filepath.Join(m.Dir, serveLine[:len("bin/signalbox")]): m.tools.Bin,
		filepath.Join(m.Dir, simulated):                        m.tools.Upstream,
		filepath.Join(m.Dir, "deploy"):                         filepath.Join(m.tools.Root, "deploy"),
		filepath.Join(m.Dir, "node_modules"):                   m.tools.Modules,
		filepath.Join(programs, "node"):                        m.tools.Node,
		filepath.Join(programs, "claude"):                      m.tools.Claude,
		filepath.Join(programs, "codex"):                       m.tools.Codex,
		filepath.Join(programs, "envoy"):                       m.tools.Envoy,
	}
	for link, to := range links {
		if err := os.Symlink(to, link); err != nil {
			return err
		}
	}
	// A virtual environment finds its packages by where its interpreter lies, so
	// its folder is on the PATH instead of a link to it.
	m.path = strings.Join([]string{programs, filepath.Dir(m.tools.Python), "/usr/local/bin", "/usr/bin", "/bin"}, ":")
	return nil
}

// env is a reader's, and nothing of this process's: a base URL or a key that lies
// around must not be what makes a page work.
func (m *Machine) env() []string {
	return []string{
		"PATH=" + m.path, "HOME=" + m.Home, "LANG=C.UTF-8", "TERM=dumb", "PYTHONDONTWRITEBYTECODE=1",
		"SIGNALBOX_URL=http://" + m.here("127.0.0.1:8080"),
		// Coding agents ask for updates and report what they do, if they can.
		"HTTPS_PROXY=" + m.Border.URL(), "HTTP_PROXY=" + m.Border.URL(), "NO_PROXY=127.0.0.1,localhost",
		"OPENAI_API_KEY=" + openaiKey, "ANTHROPIC_API_KEY=" + anthropicKey, "AZURE_OPENAI_API_KEY=" + azureKey,
	}
}

// here is a page's text as it has to be on this machine, without what is done.
func (m *Machine) here(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !done.MatchString(line) {
			b.WriteString(line)
		}
	}
	return m.replace.Replace(b.String())
}

// done are the lines that this machine has behind it.
var done = regexp.MustCompile(`^(git clone |make build\s*$|pip install |npm install )`)

// serverIn says which server a piece of a block starts.
func (m *Machine) serverIn(piece string) *starts {
	switch {
	case serving.MatchString(piece):
		return &m.serve
	case strings.HasPrefix(piece, simulated):
		return &m.simulate
	case strings.HasPrefix(piece, envoyLine):
		return &m.envoy
	}
	return nil
}

func isServer(line string) bool {
	return serving.MatchString(line) && !strings.Contains(line, "--check") || strings.HasPrefix(line, simulated) || strings.HasPrefix(line, envoyLine)
}

// serving is the line that starts Signalbox, with what is set for it alone.
var serving = regexp.MustCompile(`^([A-Z_]+=\S* )*` + serveLine)
