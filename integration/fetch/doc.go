// Package fetch puts pinned things of other people into the user's cache, once, for
// the tests that need them: SDKs, coding agents, an Envoy. Each is a Thing; what is
// installed follows from its pins alone, which say its content, and a change of the
// pins is another folder.
//
// It refuses to leave anything out because a machine is bare: what cannot be
// installed is an error that names it, and how to get it.
//
// Open thing.go first; machine.go has what installing needs of the machine.
package fetch
