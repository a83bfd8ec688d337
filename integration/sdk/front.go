package sdk

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// HeaderScene tells the provider, at the far end, whose call it is: a gateway
// passes on headers that it does not know.
const HeaderScene = "X-Scene"

// Front stands between an SDK and Signalbox. Each scene has a base URL of its own
// below it, so that the application needs to know nothing of the test: what the
// provider is told to do is put into the request here, every attempt is counted,
// and what was answered is kept.
type Front struct {
	proxy *httputil.ReverseProxy

	mu     sync.Mutex
	scenes map[string]*Scene
}

// Scene is one play of one row.
type Scene struct {
	Name string
	// Steer is added to the headers of each attempt.
	Steer map[string]string
	// Answered, if there is one, is called with the number of each attempt, from 1,
	// before the SDK gets its answer.
	Answered func(n, status int)

	mu       sync.Mutex
	attempts []*Attempt
}

// Attempt is one request of an SDK, and what it was answered.
type Attempt struct {
	Retry   string      // x-stainless-retry-count, as the SDK counts
	Path    string      // as Signalbox saw it
	Status  int         // 0: none came
	Header  http.Header // the answer's
	Body    []byte      // as far as it came, up to a bound
	Problem string      // the connection's
	At      time.Time   // when it was made
	Ended   time.Time   // when its answer began; zero: it did not
}

const keptBody = 1 << 20

// NewFront passes on to a Signalbox at target.
func NewFront(target *url.URL) *Front {
	f := &Front{scenes: map[string]*Scene{}}
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			// SetURL joins two paths; the SDK's own is the whole of it.
			r.Out.URL.Path, r.Out.URL.RawPath = r.In.URL.Path, r.In.URL.RawPath
		},
		FlushInterval: -1,                         // each chunk at once
		ErrorLog:      log.New(io.Discard, "", 0), // what breaks is kept with its attempt
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if a, ok := w.(*attemptWriter); ok {
				a.failed(err)
			}
			panic(http.ErrAbortHandler) // a broken connection stays one
		},
	}
	return f
}

// Open makes a scene; the base URL of its client is base + what it returns.
func (f *Front) Open(s *Scene) (path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scenes[s.Name] = s
	return "/s/" + s.Name
}

// ServeHTTP takes the scene out of the path, and passes the rest on.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/s/"), "/")
	f.mu.Lock()
	s := f.scenes[name]
	f.mu.Unlock()
	if s == nil {
		http.Error(w, fmt.Sprintf("the front knows no scene %q", name), http.StatusTeapot)
		return
	}
	// The body is read first: net/http closes an unread one when the answer begins,
	// and a transport that then still looks for its end gives up the connection, with
	// the answer on it.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out := r.Clone(r.Context())
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	out.URL.Path, out.URL.RawPath = "/"+rest, ""
	out.Header.Set(HeaderScene, name)
	for header, value := range s.Steer {
		out.Header.Set(header, value)
	}
	f.proxy.ServeHTTP(s.watch(w, out), out)
}

func (s *Scene) watch(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &Attempt{Retry: r.Header.Get("X-Stainless-Retry-Count"), Path: r.URL.Path, At: time.Now()}
	s.attempts = append(s.attempts, a)
	return &attemptWriter{ResponseWriter: w, scene: s, attempt: a, n: len(s.attempts)}
}

// Attempts are those so far.
func (s *Scene) Attempts() []Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Attempt, len(s.attempts))
	for i, a := range s.attempts {
		out[i] = *a
		out[i].Body = bytes.Clone(a.Body)
	}
	return out
}

// attemptWriter keeps what it passes on.
type attemptWriter struct {
	http.ResponseWriter
	scene   *Scene
	attempt *Attempt
	n       int
}

// Unwrap lets the proxy flush what is below.
func (w *attemptWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *attemptWriter) failed(err error) {
	w.scene.mu.Lock()
	defer w.scene.mu.Unlock()
	w.attempt.Problem = err.Error()
}

func (w *attemptWriter) WriteHeader(status int) {
	w.scene.mu.Lock()
	w.attempt.Status, w.attempt.Header, w.attempt.Ended = status, w.Header().Clone(), time.Now()
	w.scene.mu.Unlock()
	if w.scene.Answered != nil && status >= http.StatusOK {
		w.scene.Answered(w.n, status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *attemptWriter) Write(p []byte) (int, error) {
	w.scene.mu.Lock()
	if room := keptBody - len(w.attempt.Body); room > 0 {
		w.attempt.Body = append(w.attempt.Body, p[:min(room, len(p))]...)
	}
	w.scene.mu.Unlock()
	return w.ResponseWriter.Write(p)
}
