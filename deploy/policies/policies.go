// Package policies carries the policy that Signalbox decides by when it is told
// nothing else, so that the binary needs no files beside it.
//
// Read default/verdict.rego first: it is the whole policy, and the one that a
// policy of your own adds to or replaces (docs/write-a-policy.md). Nothing is
// compiled or judged here; decision/opa does that.
package policies

import (
	"embed"
	"io/fs"
)

//go:embed default
var files embed.FS

// Default is the folder of the default policy, tests included.
func Default() (fs.FS, error) { return fs.Sub(files, "default") }
