package sdk

import (
	"context"
	"embed"
	"fmt"
	"io"
	"path/filepath"

	"github.com/signalbox-dev/signalbox/integration/fetch"
)

//go:embed pins
var pins embed.FS

// Kit is where the SDKs of Python and Node are installed.
type Kit struct {
	Python  string // the interpreter of a virtual environment that has the SDKs
	Node    string
	Modules string // node_modules
}

// Install puts the pinned SDKs into the user's cache, or finds them there, and
// says to say what it does.
func Install(ctx context.Context, say io.Writer) (*Kit, error) {
	return fetch.Thing[*Kit]{Name: "sdk", Pins: pins, Make: install, Find: find}.Install(ctx, say)
}

// find is the kit in a folder, if the SDKs can be loaded there.
func find(ctx context.Context, dir string) (*Kit, error) {
	kit := &Kit{Python: filepath.Join(dir, fetch.Venv, "bin", "python"), Modules: filepath.Join(dir, "node_modules")}
	if _, err := fetch.Output(ctx, "", kit.Python, "-c", "import openai, anthropic"); err != nil {
		return nil, err
	}
	node, err := findNode(ctx, kit.Modules)
	kit.Node = node
	return kit, err
}

func install(ctx context.Context, dir string, say io.Writer) error {
	fmt.Fprintln(say, "sdk: a virtual environment with the Python SDKs of OpenAI and Anthropic")
	if err := fetch.Pip(ctx, dir, say); err != nil {
		return fmt.Errorf("the Python SDKs: %w", err)
	}
	if err := installNode(ctx, dir, say); err != nil {
		return fmt.Errorf("the Node SDKs: %w", err)
	}
	return nil
}
