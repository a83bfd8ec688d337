package rig

import (
	"bytes"
	"strings"
	"sync"
)

// Ending keeps the last 64 KiB of what a process prints.
type Ending struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (e *Ending) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.buf.Write(p)
	if over := e.buf.Len() - 64<<10; over > 0 {
		e.buf.Next(over)
	}
	return len(p), nil
}

func (e *Ending) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.TrimSpace(e.buf.String())
}
