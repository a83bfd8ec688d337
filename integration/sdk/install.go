package sdk

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

//go:embed pins
var pins embed.FS

// Kit is where the SDKs of Python and Node are installed.
type Kit struct {
	Python  string // the interpreter of a virtual environment that has the SDKs
	Node    string
	Modules string // node_modules
}

// stamp is written last: a folder without it was left half made.
const stamp = "complete"

// Install puts the pinned SDKs into the user's cache, or finds them there, and
// says to say what it does. Of several at once, one works and the others wait.
func Install(ctx context.Context, say io.Writer) (*Kit, error) {
	dir, err := folder()
	if err != nil {
		return nil, fmt.Errorf("install the SDKs: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("install the SDKs: %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, fmt.Errorf("install the SDKs: %w", err)
	}
	defer unlock()
	if kit, ok := find(ctx, dir); ok {
		return kit, nil
	}
	if err := install(ctx, dir, say); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, stamp), nil, 0o644); err != nil {
		return nil, fmt.Errorf("install the SDKs: %w", err)
	}
	kit, ok := find(ctx, dir)
	if !ok {
		return nil, fmt.Errorf("install the SDKs: they are in %s and cannot be run from there", dir)
	}
	return kit, nil
}

// folder is the cache's, one for each state of the pins.
func folder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	err = fs.WalkDir(pins, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := pins.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n", path, len(raw))
		sum.Write(raw)
		return err
	})
	return filepath.Join(cache, "signalbox", "sdk", hex.EncodeToString(sum.Sum(nil))[:16]), err
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

// find is the kit in a folder, if it is whole and can still be run: a virtual
// environment points at an interpreter that may have been taken away.
func find(ctx context.Context, dir string) (*Kit, bool) {
	if _, err := os.Stat(filepath.Join(dir, stamp)); err != nil {
		return nil, false
	}
	kit := &Kit{Python: filepath.Join(dir, "venv", "bin", "python"), Modules: filepath.Join(dir, "node_modules")}
	if _, err := output(ctx, "", kit.Python, "-c", "import openai, anthropic"); err != nil {
		return nil, false
	}
	node, err := findNode(ctx, kit.Modules)
	kit.Node = node
	return kit, err == nil
}

// install makes everything anew.
func install(ctx context.Context, dir string, say io.Writer) error {
	for _, name := range []string{"requirements.txt", "package.json", "package-lock.json"} {
		raw, err := pins.ReadFile("pins/" + name)
		if err != nil {
			return fmt.Errorf("install the SDKs: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			return fmt.Errorf("install the SDKs: %w", err)
		}
	}
	if err := installPython(ctx, dir, say); err != nil {
		return fmt.Errorf("install the Python SDKs: %w", err)
	}
	if err := installNode(ctx, dir, say); err != nil {
		return fmt.Errorf("install the Node SDKs: %w", err)
	}
	return nil
}
