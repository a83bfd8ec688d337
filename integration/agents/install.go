package agents

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

//go:embed pins
var pins embed.FS

var pinned = []string{"package.json", "package-lock.json"}

// Kit is where the agents are installed: their native programs, which need no Node.
type Kit struct {
	Claude string
	Codex  string
}

// stamp is written last: a folder without it was left half made.
const stamp = "complete"

// Install puts the pinned agents into the user's cache, or finds them there, and
// says to say what it does. Of several at once, one works and the others wait.
func Install(ctx context.Context, say io.Writer) (*Kit, error) {
	kit, err := installed(ctx, say)
	if err != nil {
		return nil, fmt.Errorf("install the coding agents: %w", err)
	}
	return kit, nil
}

func installed(ctx context.Context, say io.Writer) (*Kit, error) {
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, stamp)); err == nil {
		if kit, err := find(ctx, dir); err == nil {
			return kit, nil
		}
	}
	if err := fetch(ctx, dir, say); err != nil {
		return nil, err
	}
	kit, err := find(ctx, dir)
	if err != nil {
		return nil, err
	}
	return kit, os.WriteFile(filepath.Join(dir, stamp), nil, 0o644)
}

// folder is the cache's, one for each state of the pins.
func folder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range pinned {
		raw, err := pins.ReadFile("pins/" + name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(raw), raw)
	}
	return filepath.Join(cache, "signalbox", "agents", hex.EncodeToString(sum.Sum(nil))[:16]), nil
}

func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// fetch lets npm choose the programs of this machine out of the pins. Their
// install scripts only put a launcher in place, which is not needed here.
func fetch(ctx context.Context, dir string, say io.Writer) error {
	if _, err := exec.LookPath("npm"); err != nil {
		return errors.New("npm is missing; install it, for instance by apt-get install npm")
	}
	for _, name := range pinned {
		raw, err := pins.ReadFile("pins/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintln(say, "agents: Claude Code and Codex (some 250 MB to fetch, once)")
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = dir
	var complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &complaints, &complaints
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(complaints.String())
		return fmt.Errorf("npm ci: %w\n%s", err, text[max(0, len(text)-4<<10):])
	}
	return nil
}

// find is the kit in a folder, if its programs run here.
func find(ctx context.Context, dir string) (*Kit, error) {
	modules := filepath.Join(dir, "node_modules")
	claude, err := program(ctx, filepath.Join(modules, "@anthropic-ai", "claude-code-*", "claude"))
	if err != nil {
		return nil, fmt.Errorf("find Claude Code: %w", err)
	}
	codex, err := program(ctx, filepath.Join(modules, "@openai", "codex-*", "vendor", "*", "bin", "codex"))
	if err != nil {
		return nil, fmt.Errorf("find Codex: %w", err)
	}
	return &Kit{Claude: claude, Codex: codex}, nil
}

// program is the one of several platforms' programs that starts. npm installs
// those of this machine's kind of processor and system, with either C library.
func program(ctx context.Context, pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	problem := errors.New("npm found no program for this machine")
	for _, path := range found {
		cmd := exec.CommandContext(ctx, path, "--version")
		cmd.Env = []string{"HOME=" + os.TempDir(), "PATH=" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil {
			problem = fmt.Errorf("%s --version: %w: %s", path, err, bytes.TrimSpace(out))
			continue
		}
		return path, nil
	}
	return "", problem
}
