package door

import (
	"sync"
	"time"
)

// Seldom lets a sentence through once a minute: during an outage every call has the
// same to say, and the metrics count them. Its zero value is good once Now is set.
type Seldom struct {
	Now func() time.Time

	mu   sync.Mutex
	said map[string]time.Time
}

const (
	seldomly  = time.Minute
	sentences = 1024 // remembered; then all may be said again
)

// May reports whether this sentence may be said now.
func (s *Seldom) May(sentence string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.Now()
	if last, ok := s.said[sentence]; ok && at.Sub(last) < seldomly {
		return false
	}
	if s.said == nil || len(s.said) >= sentences {
		s.said = make(map[string]time.Time)
	}
	s.said[sentence] = at
	return true
}
