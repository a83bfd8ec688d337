//go:build !linux

package embedded

import "context"

// Serve is the child's main; the engine's library is for Linux on amd64.
func Serve(context.Context, []string) error { return &MissingError{Reason: wrongPlatform()} }

// Install fetches the engine; there is none for this platform.
func Install(context.Context, string, func(done, total int64)) (string, error) {
	return "", &MissingError{Reason: wrongPlatform()}
}
