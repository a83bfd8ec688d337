package watch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// maxFolders bounds how many folders are asked for events; what is in the others
	// is found by polling.
	maxFolders = 1000
	// maxRounds bounds how often a reading is put off: a folder that never rests must
	// still be read.
	maxRounds = 20
)

// Folder is a folder to be watched.
type Folder struct {
	Dir string // it need not be there yet; "" is none
	// Deep: the folders in it as well. Hidden ones are left out: editors and
	// Kubernetes keep there what is meant for nobody else.
	Deep   bool
	Poll   time.Duration // how often it is read if no event tells of a change
	Settle time.Duration // how long it must be left alone before it is read
	Log    *slog.Logger
}

// Rest waits until the folder has been left alone for a while, and watches it
// anew; then it may be read once more. False: we are stopping.
type Rest func() bool

// Run calls look at the start, and whenever the folder may have changed since,
// until ctx ends. What changes while look reads is told of afterwards. Programs
// that save a file by moving the old one away leave a gap, and polling may look
// right into it: a look that misses something can rest and read again. Without a
// folder there is nothing to look at.
func (f Folder) Run(ctx context.Context, look func(Rest)) {
	if f.Dir == "" {
		<-ctx.Done()
		return
	}
	f.Dir = filepath.Clean(f.Dir)
	w := &watcher{Folder: f}
	defer w.close()
	w.run(ctx, look)
}

// watcher notices that the folder has changed. Events make it quick and polling
// makes it sure: events are missing on network file systems, in some containers,
// for what a link in the folder leads to, and when what is above it is replaced.
type watcher struct {
	Folder
	events *fsnotify.Watcher // nil where there are none
	said   bool              // that events fail
}

func (w *watcher) run(ctx context.Context, look func(Rest)) {
	again := func() bool {
		if !w.rest(ctx) {
			return false
		}
		w.renew() // what was missing may have been the folder, and is there now
		return true
	}
	poll := time.NewTicker(w.Poll)
	defer poll.Stop()
	for {
		w.renew() // before reading, each time, so that what changes from here on is an event
		look(again)
		if !w.wait(ctx, poll.C) || !w.rest(ctx) {
			return
		}
	}
}

// wait returns when the folder may have changed. False: the context ended.
func (w *watcher) wait(ctx context.Context, poll <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-poll:
			return true
		case e := <-w.changed():
			if w.concerns(e) {
				return true
			}
		case err := <-w.failed():
			// Too many events at once, as a rule: which were lost is not known, and
			// reading the folder finds what they were about.
			w.complain(err)
			w.close()
			return true
		}
	}
}

// rest waits until the folder has been left alone for a while, so that half a copy
// is not taken for the whole. False: the context ended.
func (w *watcher) rest(ctx context.Context) bool {
	quiet := time.NewTimer(w.Settle)
	defer quiet.Stop()
	for round := 1; ; {
		select {
		case <-ctx.Done():
			return false
		case <-quiet.C:
			return true
		case e := <-w.changed():
			if !w.concerns(e) {
				continue
			}
			if round == maxRounds {
				return true
			}
			round++
			quiet.Reset(w.Settle)
		}
	}
}

// renew asks for events of the folder, and of the one around it, which has those
// of a folder that comes, goes or is swapped. Asking again is needed for what was
// replaced or is new, and harmless otherwise.
func (w *watcher) renew() {
	if w.events == nil {
		events, err := fsnotify.NewWatcher()
		if err != nil {
			w.complain(err)
			return
		}
		w.events = events
	}
	_ = w.events.Add(filepath.Dir(w.Dir)) // a help only: we may be kept from reading it
	w.add(w.Dir)
	if w.Deep {
		w.addFolders()
	}
}

// addFolders asks for events of the folders in the folder. It follows a link in
// the folder's own place and none further in, as those who read it do.
func (w *watcher) addFolders() {
	count := 0
	_ = fs.WalkDir(os.DirFS(w.Dir), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // it went while we walked, or look will say why it cannot be read
		case !entry.IsDir() || path == ".":
			return nil
		case strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case count == maxFolders:
			return fs.SkipAll
		}
		count++
		w.add(filepath.Join(w.Dir, filepath.FromSlash(path)))
		return nil
	})
}

func (w *watcher) add(dir string) {
	if err := w.events.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.complain(err)
	}
}

// concerns reports whether an event is about the folder or what is in it; the
// folder around it may be a busy place.
func (w *watcher) concerns(e fsnotify.Event) bool {
	from, err := filepath.Rel(w.Dir, e.Name)
	return err != nil || filepath.IsLocal(from)
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

// complain says once that events fail, and not each time they are asked for.
func (w *watcher) complain(err error) {
	if !w.said {
		w.Log.Warn("watching a folder fails at times; it is read at intervals too", "dir", w.Dir, "every", w.Poll, "error", err)
	}
	w.said = true
}

func (w *watcher) close() {
	if w.events != nil {
		_ = w.events.Close() // nothing is lost: we only ever read from it
		w.events = nil
	}
}
