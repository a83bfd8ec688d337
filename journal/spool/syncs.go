package spool

import "sync"

// syncs lets many writers share one fsync. Whoever gets the lock syncs for all
// that have written by then; those who waited for the lock meanwhile find their
// mark passed and leave. Without it each Put would wait for a sync of its own.
type syncs struct {
	mu   sync.Mutex
	mark int64 // everything up to here is on the platter
}

// wait returns when mark is on the platter.
func (s *syncs) wait(mark int64, sync func() (int64, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mark >= mark {
		return nil
	}
	reached, err := sync()
	if err != nil {
		return err
	}
	s.mark = reached
	return nil
}
