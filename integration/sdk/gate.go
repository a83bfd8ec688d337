package sdk

import (
	"net/http"
	"regexp"
	"sync"
)

// Gates hold a provider back: where a scene has one, nothing is written behind the
// first text of a stream until somebody opens it. So that a test can say "the first
// chunk was with the application while there was no second", with no clock.
type Gates struct {
	Provider http.Handler

	mu    sync.Mutex
	gates map[string]*Gate
}

// Gate is one scene's.
type Gate struct {
	open, reach     sync.Once
	opened, reached chan struct{}
}

// Open lets the provider go on, for good.
func (g *Gate) Open() { g.open.Do(func() { close(g.opened) }) }

// Reached reports whether a provider ever came to the gate. Where none did, its
// opening says nothing.
func (g *Gate) Reached() bool {
	select {
	case <-g.reached:
		return true
	default:
		return false
	}
}

// Close makes a scene's gate.
func (g *Gates) Close(scene string) *Gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gates == nil {
		g.gates = map[string]*Gate{}
	}
	gate := &Gate{opened: make(chan struct{}), reached: make(chan struct{})}
	g.gates[scene] = gate
	return gate
}

// ServeHTTP is the provider's, with the gate before its writer.
func (g *Gates) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	gate := g.gates[r.Header.Get(HeaderScene)]
	g.mu.Unlock()
	if gate != nil {
		w = &gatedWriter{ResponseWriter: w, gate: gate, gone: r.Context().Done()}
	}
	g.Provider.ServeHTTP(w, r)
}

// gatedWriter waits behind the flush that sends the first text.
type gatedWriter struct {
	http.ResponseWriter
	gate *Gate
	gone <-chan struct{}
	text bool
}

// texts are how each dialect's events begin to say something.
var texts = regexp.MustCompile(`"content":"[^"]|"text_delta"|"response\.output_text\.delta"`)

func (w *gatedWriter) Write(p []byte) (int, error) {
	w.text = w.text || texts.Match(p)
	return w.ResponseWriter.Write(p)
}

func (w *gatedWriter) FlushError() error {
	if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil || !w.text {
		return err
	}
	w.gate.reach.Do(func() { close(w.gate.reached) })
	select {
	case <-w.gate.opened:
	case <-w.gone:
	}
	return nil
}
