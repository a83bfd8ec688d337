package embedded

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"sync"
)

// tail reads the child's standard error. The engine writes stack traces and, with
// them, statements and their values; only lines that are known to hold neither
// are kept or logged.
type tail struct {
	log *slog.Logger

	mu     sync.Mutex
	line   []byte
	lock   bool
	logged int
	last   string
}

const (
	maxLine   = 1024
	maxLogged = 50 // lines of one child
)

// safeLine matches what the engine says of its start and of its end.
var safeLine = regexp.MustCompile(`Cannot lock file|Another server instance|Received signal|Address not mapped|No space left on device|` +
	`Permission denied|Out of memory|^panic: |^fatal error: |^runtime: |^SIG[A-Z]+: `)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		piece := p
		if end >= 0 {
			piece = p[:end]
		}
		if room := maxLine - len(t.line); room > 0 {
			t.line = append(t.line, piece[:min(room, len(piece))]...)
		}
		if end < 0 {
			break
		}
		t.take(string(t.line))
		t.line = t.line[:0]
		p = p[end+1:]
	}
	return n, nil
}

func (t *tail) take(line string) {
	found := safeLine.FindString(line)
	if found == "" {
		return
	}
	if strings.Contains(line, "Cannot lock file") {
		t.lock = true
	}
	if i := strings.Index(line, "query:"); i >= 0 {
		line = line[:i]
	}
	line = line[:min(len(line), 200)]
	t.last = line
	if t.logged++; t.logged <= maxLogged {
		t.log.Warn("the analytics engine says", "line", line)
	}
}

func (t *tail) sawLock() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lock
}

// hint is the last telling line, to stand behind an error.
func (t *tail) hint() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == "" {
		return ""
	}
	return ": " + t.last
}
