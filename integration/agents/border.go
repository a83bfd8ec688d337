package agents

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
)

// Border is a proxy that lets nothing through and remembers who was asked for. It
// stands where the internet would be.
type Border struct {
	server *httptest.Server

	mu    sync.Mutex
	asked []string
}

// NewBorder opens one. Close it.
func NewBorder() *Border {
	b := &Border{}
	b.server = httptest.NewServer(b)
	return b
}

// URL is the proxy's.
func (b *Border) URL() string { return b.server.URL }

// Close takes it away.
func (b *Border) Close() { b.server.Close() }

// ServeHTTP refuses.
func (b *Border) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.asked = append(b.asked, r.Method+" "+r.Host)
	b.mu.Unlock()
	http.Error(w, "there is nothing behind this proxy", http.StatusForbidden)
}

// Asked is whom the agents wanted to reach so far, each once.
func (b *Border) Asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := slices.Clone(b.asked)
	slices.Sort(asked)
	return slices.Compact(asked)
}
