// Package sdk holds the official SDKs of OpenAI and Anthropic, in Python, Node and
// Go, to what Signalbox promises their users: an application changes its base URL
// and its key, and nothing else.
//
// Each language has one small program, in drivers/, that does what an application
// does with its SDK and says what came of it, one JSON object a line. The table of
// what they are asked, and of what must come back, is written once, in the tests
// beside this file, and played with all six. Between an SDK and Signalbox stands a
// Front, which counts the attempts and keeps what was answered.
//
// The SDKs are pinned, by content, in pins/, and are installed once into the
// user's cache. What cannot be installed is an error that names it: nothing here
// is left out because a machine is bare.
//
// Start at install.go, then driver.go (how the programs are spoken to) and
// front.go.
package sdk
