package vault

import (
	"context"

	"github.com/signalbox-dev/signalbox/watch"
)

// Run takes up changes of the folder until ctx ends. Without a folder there is
// nothing to do. It is called once.
func (c *Credentials) Run(ctx context.Context) error {
	folder := watch.Folder{Dir: c.dir, Poll: c.poll, Settle: c.settle, Log: c.log}
	folder.Run(ctx, c.look) // first at what changed since OpenCredentials
	return nil
}

// look reads the folder and puts in force what it finds. A credential that is
// missing is looked for once more after a while: it may be about to be saved.
func (c *Credentials) look(rest watch.Rest) {
	seen := readFolder(c.dir)
	if seen.missing(c.current.Load().files) {
		if !rest() {
			return
		}
		seen = readFolder(c.dir)
	}
	c.take(seen)
}
