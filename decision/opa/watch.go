package opa

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Run keeps the policy up with its folder until the context ends. A change that
// does not compile is logged once, shown by Status, and changes nothing: the
// policy that worked stays in force. Without a folder there is nothing to do.
func (p *Policy) Run(ctx context.Context) error {
	if p.cfg.Dir == "" {
		<-ctx.Done()
		return nil
	}
	w := &watcher{policy: p, dir: p.cfg.Dir, log: p.cfg.Log}
	defer w.close()
	w.watch()
	w.seen = p.current.Load().sum
	w.reload(ctx) // what changed between Load and the first event
	return w.run(ctx)
}

// watcher notices that the folder has changed. Events make it quick and polling
// makes it sure: events are missing on network file systems, in some containers,
// and when the folder itself is replaced.
type watcher struct {
	policy *Policy
	dir    string
	log    *slog.Logger
	events *fsnotify.Watcher // nil where there are none
	seen   string            // the newest content that was compiled or refused
}

func (w *watcher) run(ctx context.Context) error {
	poll := time.NewTicker(w.policy.cfg.Poll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
		case <-w.changed():
		case err := <-w.failed():
			w.log.Warn("watching the policy folder failed; it is read at intervals instead", "dir", w.dir, "error", err)
			w.close()
			continue
		}
		if !w.settle(ctx) {
			return nil
		}
		w.reload(ctx)
	}
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

// settle waits until the folder has been left alone for a while, so that half a
// copy is not taken for a policy. It gives up waiting after twenty rounds: a
// folder that never rests must still be read. False: the context ended.
func (w *watcher) settle(ctx context.Context) bool {
	const rounds = 20
	for range rounds {
		quiet := time.NewTimer(w.policy.cfg.Settle)
		select {
		case <-ctx.Done():
			quiet.Stop()
			return false
		case <-w.changed():
			quiet.Stop()
		case <-quiet.C:
			return true
		}
	}
	return true
}

// reload compiles the folder if its content is new. One that cannot be read is
// told apart by the reason.
func (w *watcher) reload(ctx context.Context) {
	own, err := ownSource(w.dir)
	content := "unreadable"
	if err != nil {
		content += err.Error()
	} else {
		content = own.sum
	}
	if content == w.seen {
		return
	}
	w.seen = content
	w.watch() // new folders, or the same path on another disk
	w.policy.take(ctx, own, err)
}

// take puts the folder's policy in force, or says why not.
func (p *Policy) take(ctx context.Context, own *source, err error) {
	var next *rules
	if err == nil {
		next, err = compile(ctx, p.cfg, own)
	}
	if ctx.Err() != nil {
		return // we are stopping, and that is not the policy's fault
	}
	p.note(err)
	if err != nil {
		p.cfg.Log.Error("policy not taken; the one in force stays", "revision", p.Revision(), "error", err)
		return
	}
	before := p.current.Swap(next)
	p.cfg.Log.Info("policy taken", "revision", next.revision, "before", before.revision, "dir", next.from)
}

func (p *Policy) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastError, p.failedAt = err, time.Time{}
	if err != nil {
		p.failedAt = p.cfg.Now()
	}
}

// watch asks for events of the folder and the folders in it. What cannot be
// watched is polled.
func (w *watcher) watch() {
	if w.events == nil {
		events, err := fsnotify.NewWatcher()
		if err != nil {
			w.log.Warn("no events for the policy folder; it is read at intervals", "dir", w.dir, "error", err)
			return
		}
		w.events = events
	}
	count := 0
	err := filepath.WalkDir(w.dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir():
			return nil
		case path != w.dir && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case count == sourceFiles:
			return fs.SkipAll
		}
		count++
		return w.events.Add(path) // adding twice is once
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.log.Warn("the policy folder is watched in part; the rest is read at intervals", "dir", w.dir, "error", err)
	}
}

func (w *watcher) close() {
	if w.events != nil {
		_ = w.events.Close() // nothing is lost: we only ever read from it
		w.events = nil
	}
}
