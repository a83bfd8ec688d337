package vault

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Run takes up changes of the folder until ctx ends. Without a folder there is
// nothing to do. It is called once.
func (c *Credentials) Run(ctx context.Context) error {
	if c.dir == "" {
		<-ctx.Done()
		return nil
	}
	w := &watcher{c: c}
	w.rest = w.quiet
	defer w.close()
	w.look(ctx) // what changed between OpenCredentials and the first event
	return w.run(ctx)
}

// watcher notices that the folder has changed. Events make it quick and polling
// makes it sure: events are missing on network file systems, in some containers,
// for what a link in the folder leads to, and when the folder itself is replaced.
type watcher struct {
	c       *Credentials
	events  *fsnotify.Watcher // nil where there are none
	without bool              // that there are none was said
	rest    func(context.Context) bool
}

func (w *watcher) run(ctx context.Context) error {
	poll := time.NewTicker(w.c.poll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
		case e := <-w.changed():
			if !w.concerns(e) {
				continue
			}
		case err := <-w.failed():
			// Too many events at once, as a rule: which were lost is not known, and
			// reading the folder finds what they were about.
			w.complain(err)
			w.close()
		}
		if !w.rest(ctx) {
			return nil
		}
		w.look(ctx)
	}
}

// look reads the folder and puts in force what it finds. A credential that is
// missing is looked for once more after a while: programs that save a file by
// moving the old one away leave a gap, and polling may look right into it.
func (w *watcher) look(ctx context.Context) {
	w.watch() // before reading, each time, so that what changes from here on is an event
	seen := readFolder(w.c.dir)
	if seen.missing(w.c.current.Load().files) {
		if !w.rest(ctx) {
			return
		}
		w.watch() // what was missing may have been the folder, and is there now
		seen = readFolder(w.c.dir)
	}
	w.c.take(seen)
}

// quiet waits until the folder has been left alone for a while, so that half a
// file is not taken for a credential. It gives up waiting after twenty rounds: a
// folder that never rests must still be read. False: the context ended.
func (w *watcher) quiet(ctx context.Context) bool {
	const rounds = 20
	for range rounds {
		enough := time.NewTimer(w.c.settle)
		select {
		case <-ctx.Done():
			enough.Stop()
			return false
		case <-w.changed():
			enough.Stop()
		case <-enough.C:
			return true
		}
	}
	return true
}

// watch asks for events of the folder, and of the one around it, which has those
// of a folder that comes, goes or is swapped. What cannot be watched is polled.
// Asking again is needed for a folder that was replaced, and harmless otherwise.
func (w *watcher) watch() {
	if w.events == nil {
		events, err := fsnotify.NewWatcher()
		if err != nil {
			w.complain(err)
			return
		}
		w.events = events
	}
	_ = w.events.Add(filepath.Dir(w.c.dir)) // a help only
	_ = w.events.Add(w.c.dir)               // what keeps it from being read is said by look
}

// concerns reports whether an event is about the folder or what is in it; the
// folder around it may be a busy place.
func (w *watcher) concerns(e fsnotify.Event) bool {
	at := filepath.Clean(e.Name)
	return at == w.c.dir || filepath.Dir(at) == w.c.dir
}

// changed and failed are nil channels, which never deliver, where there are no events.
func (w *watcher) changed() <-chan fsnotify.Event {
	if w.events == nil {
		return nil
	}
	return w.events.Events
}

func (w *watcher) failed() <-chan error {
	if w.events == nil {
		return nil
	}
	return w.events.Errors
}

func (w *watcher) complain(err error) {
	if !w.without {
		w.c.log.Warn("watching the credentials fails at times; they are read at intervals too", "dir", w.c.dir, "every", w.c.poll, "error", err)
	}
	w.without = true
}

func (w *watcher) close() {
	if w.events != nil {
		_ = w.events.Close() // nothing is lost: we only ever read from it
		w.events = nil
	}
}
