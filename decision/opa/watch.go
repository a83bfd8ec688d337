package opa

import (
	"context"
	"time"

	"github.com/signalbox-dev/signalbox/watch"
)

// Run keeps the policy up with its folder until the context ends. A change that
// does not compile is logged once, shown by Status, and changes nothing: the
// policy that worked stays in force. Without a folder there is nothing to do.
func (p *Policy) Run(ctx context.Context) error {
	folder := watch.Folder{Dir: p.cfg.Dir, Deep: true, Poll: p.cfg.Poll, Settle: p.cfg.Settle, Log: p.cfg.Log}
	seen := p.current.Load().sum                                     // the newest content that was compiled or refused
	folder.Run(ctx, func(watch.Rest) { seen = p.reload(ctx, seen) }) // first what changed since Load
	return nil
}

// reload compiles the folder if its content is not what was seen before, and gives
// what it sees. A folder that cannot be read is told apart by the reason.
func (p *Policy) reload(ctx context.Context, seen string) string {
	own, err := ownSource(p.cfg.Dir)
	content := "unreadable"
	if err != nil {
		content += err.Error()
	} else {
		content = own.sum
	}
	if content != seen {
		p.take(ctx, own, err)
	}
	return content
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
