// Package agents runs the two coding agents that most people have, Claude Code and
// Codex, against Signalbox, as their users run them: the real programs, with the
// settings that docs/use/ tells, in a home of their own, headless. The provider
// behind Signalbox is simulated, and nothing else is reached: an agent that needs
// the internet for more than its model fails here.
//
// The programs are pinned, by content, in pins/, and are installed once into the
// user's cache. What cannot be installed is an error that names it.
//
// Start at agent.go, what running one is; install.go says where they come from.
package agents
