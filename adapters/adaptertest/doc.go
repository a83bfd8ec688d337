// Package adaptertest is what every door must do: the same calls through it
// bring the same question to the decision and the same answer back.
//
// A door's own tests say how its bytes look; Run says what they mean. Open
// conformance.go first, then stories.go for the calls.
package adaptertest
