package agents

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

// Kit is where the agents are installed: their native programs, which need no Node.
type Kit struct {
	Claude string
	Codex  string
}

// Install puts the pinned agents into the user's cache, or finds them there, and
// says to say what it does.
func Install(ctx context.Context, say io.Writer) (*Kit, error) {
	return fetch.Thing[*Kit]{Name: "agents", Pins: pins, Make: install, Find: find}.Install(ctx, say)
}

// install lets npm choose the programs of this machine out of the pins. The install
// scripts that do not run only put a launcher in place, which is not needed here.
func install(ctx context.Context, dir string, say io.Writer) error {
	fmt.Fprintln(say, "agents: Claude Code and Codex (some 250 MB to fetch, once)")
	return fetch.NPM(ctx, dir, say)
}

// find is the kit in a folder, if its programs run here. npm installs those of this
// machine's kind of processor and system, with either C library.
func find(ctx context.Context, dir string) (*Kit, error) {
	modules := filepath.Join(dir, "node_modules")
	claude, err := fetch.FirstThatRuns(ctx, filepath.Join(modules, "@anthropic-ai", "claude-code-*", "claude"))
	if err != nil {
		return nil, fmt.Errorf("find Claude Code: %w", err)
	}
	codex, err := fetch.FirstThatRuns(ctx, filepath.Join(modules, "@openai", "codex-*", "vendor", "*", "bin", "codex"))
	if err != nil {
		return nil, fmt.Errorf("find Codex: %w", err)
	}
	return &Kit{Claude: claude, Codex: codex}, nil
}
