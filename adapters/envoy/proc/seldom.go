package proc

import (
	"sync"
	"time"
)

// seldom lets a sentence through once a minute: what is wrong with a filter is wrong
// with each of its calls, and the metrics count them.
type seldom struct {
	now func() time.Time

	mu   sync.Mutex
	said map[string]time.Time
}

const (
	seldomly  = time.Minute
	sentences = 1024 // remembered; then all may be said again
)

// may reports whether this sentence may be said now.
func (s *seldom) may(sentence string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	if last, ok := s.said[sentence]; ok && at.Sub(last) < seldomly {
		return false
	}
	if s.said == nil || len(s.said) >= sentences {
		s.said = make(map[string]time.Time)
	}
	s.said[sentence] = at
	return true
}
