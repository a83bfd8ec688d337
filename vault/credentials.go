package vault

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxCredential is the longest credential, in bytes: signed tokens take a few
// thousand, and what is longer is another file.
const maxCredential = 64 << 10

// Credentials are the providers' credentials: one file each in a folder that is
// watched, or the environment's SIGNALBOX_CREDENTIAL_<NAME>. Where both have one
// the file is used: it is the one that can be rotated while we run. What is in
// use depends on what is there and on nothing before it, but for this: a file
// that cannot be read, or holds no credential, leaves the one before in use.
//
// It is safe for concurrent use.
type Credentials struct {
	dir string // "": no folder
	log *slog.Logger
	env map[string]Secret // by the variable's own part: AZURE_WEU; never changed
	// environs are what is wrong with the environment; never changed.
	environs []Problem

	current atomic.Pointer[credentials]

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a credential comes, changes or goes

	poll   time.Duration // how often the folder is read if nobody says that it changed
	settle time.Duration // how long it must have been left alone
}

// credentials are what is known at one moment; immutable.
type credentials struct {
	files    map[string]Secret
	problems []Problem
	changes  int64 // how often a credential came, changed or went since the start
}

// Problem is one thing wrong with a credential or its folder, in words that an
// operator can act on. It never says what a file holds.
type Problem struct {
	Where string // a file, the folder, or a variable
	What  string
	Want  string
	// Warning: nothing is missing, and yet it is hardly meant.
	Warning bool
}

func (p Problem) String() string { return p.Where + " " + p.What + "; " + p.Want }

// Status is what monitoring shows.
type Status struct {
	Files       int // credentials that come from files
	Environment int // variables, used or not
	Changes     int64
	Problems    []Problem
}

// OpenCredentials reads the folder once. A folder that is not there is empty, and
// one that cannot be read is an error: the process would run without any
// credential. A file that cannot be used is only a Problem: one broken file must
// not keep the others from being used.
func OpenCredentials(dir string, env []string, log *slog.Logger) (*Credentials, error) {
	c := &Credentials{log: log, poll: 5 * time.Second, settle: 100 * time.Millisecond, changed: make(chan struct{})}
	if dir != "" {
		c.dir = filepath.Clean(dir)
	}
	c.env, c.environs = environment(env)
	c.current.Store(&credentials{})
	seen := look{}
	if c.dir != "" {
		seen = readFolder(c.dir)
	}
	if seen.err != nil {
		return nil, fmt.Errorf("read the credentials: %s %s; %s", c.dir, folderTrouble(seen.err), wantFolder)
	}
	c.take(seen)
	return c, nil
}

// Credential is the secret of a name, as it is now. Whoever has one may go on
// using it: rotation changes what the next one gets.
func (c *Credentials) Credential(name string) (Secret, bool) {
	if s, ok := c.current.Load().files[name]; ok {
		return s, true
	}
	if len(c.env) == 0 || !credentialName(name) {
		return Secret{}, false
	}
	s, ok := c.env[variable(name)]
	return s, ok
}

// Changed is closed when a credential comes, changes or goes after this call: whoever
// asks before reading the credentials misses nothing.
func (c *Credentials) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Names are those for which there is a credential, sorted. One that only the
// environment has is named in lower case with underscores: the variable does not
// say what else it may have been.
func (c *Credentials) Names() []string {
	files := c.current.Load().files
	names := slices.Collect(maps.Keys(files))
	taken := map[string]bool{}
	for name := range files {
		taken[variable(name)] = true
	}
	for v := range c.env {
		if !taken[v] {
			names = append(names, strings.ToLower(v))
		}
	}
	slices.Sort(names)
	return names
}

// Problems are what is wrong now, what is broken before what is only odd.
func (c *Credentials) Problems() []Problem { return slices.Clone(c.current.Load().problems) }

// Status is what monitoring shows.
func (c *Credentials) Status() Status {
	now := c.current.Load()
	return Status{Files: len(now.files), Environment: len(c.env), Changes: now.changes, Problems: slices.Clone(now.problems)}
}

// take puts in force what was seen in the folder, and says what is new in it.
// Only OpenCredentials and Run call it, one after the other.
func (c *Credentials) take(seen look) {
	before := c.current.Load()
	now := &credentials{files: map[string]Secret{}, changes: before.changes, problems: slices.Clone(c.environs)}
	if seen.err != nil {
		now.files = before.files
		now.problems = append(now.problems, Problem{Where: c.dir, What: folderTrouble(seen.err) + ", and what was read before stays in use", Want: wantFolder})
	}
	maps.Copy(now.files, seen.good)
	for name, p := range seen.bad {
		if last, ok := before.files[name]; ok {
			now.files[name] = last
			p.What += ", and the credential before it stays in use"
		}
		now.problems = append(now.problems, p)
	}
	now.problems = append(append(now.problems, seen.odd...), c.shadowed(now.files)...)
	slices.SortFunc(now.problems, byWeight)
	changes := changesOf(before.files, now.files)
	now.changes += int64(len(changes))
	c.current.Store(now)
	if len(changes) > 0 {
		c.mu.Lock()
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
	c.say(changes, before.problems, now.problems)
}

// byWeight sorts what is broken before what is odd, and then by place.
func byWeight(a, b Problem) int {
	switch {
	case a.Warning != b.Warning && b.Warning:
		return -1
	case a.Warning != b.Warning:
		return 1
	}
	return strings.Compare(a.String(), b.String())
}

// shadowed are the variables that are not used because a file is.
func (c *Credentials) shadowed(files map[string]Secret) []Problem {
	var out []Problem
	for name := range files {
		if _, both := c.env[variable(name)]; both {
			out = append(out, Problem{Where: prefix + variable(name), Warning: true,
				What: "is not used while there is the file " + filepath.Join(c.dir, name) + ", and is used again when that is removed",
				Want: "keep one of them"})
		}
	}
	return out
}

// change is what became of one credential.
type change struct{ name, what string }

// What can become of a credential.
const (
	taken   = "credential taken"
	rotated = "credential rotated"
	removed = "credential removed"
)

func changesOf(before, now map[string]Secret) []change {
	var out []change
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if last, had := before[name]; !had {
			out = append(out, change{name, taken})
		} else if !last.Equal(now[name]) {
			out = append(out, change{name, rotated})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, kept := now[name]; !kept {
			out = append(out, change{name, removed})
		}
	}
	return out
}

// say logs each change and each new problem once, by names only, when they are
// in force.
func (c *Credentials) say(changes []change, before, now []Problem) {
	for _, ch := range changes {
		if ch.what != removed {
			c.log.Info(ch.what, "credential", ch.name)
			continue
		}
		_, other := c.env[variable(ch.name)]
		c.log.Warn(removed, "credential", ch.name, "environment_used", other)
	}
	for _, p := range now {
		if !slices.Contains(before, p) {
			c.log.Warn("credentials are not as they should be", "where", p.Where, "what", p.What, "do", p.Want)
		}
	}
}
