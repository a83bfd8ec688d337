//go:build !linux

package embedded

import "context"

// Serve is the child's main; the engine's library is for Linux on amd64.
func Serve(context.Context, []string) error { return &MissingError{Reason: wrongPlatform()} }
