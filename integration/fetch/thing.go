package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// Thing is what can be installed. K is how it is used once it is there.
type Thing[K any] struct {
	// Name is its folder's, and who says what is done.
	Name string
	// Pins are the files that say what is installed. Their content names the folder,
	// and they lie in it, under their base names, when Make is called.
	Pins fs.FS
	// Make installs it into a folder, anew, over whatever may lie there.
	Make func(ctx context.Context, dir string, say io.Writer) error
	// Find is the thing in a folder, if it is whole and can be run there.
	Find func(ctx context.Context, dir string) (K, error)
}

// stamp is written last: a folder without it was left half made.
const stamp = "complete"

// Install puts the thing into the user's cache, or finds it there, and says to say
// what it does. Of several at once, one works and the others wait.
func (t Thing[K]) Install(ctx context.Context, say io.Writer) (K, error) {
	k, err := t.install(ctx, say)
	if err != nil {
		return k, fmt.Errorf("install %s: %w", t.Name, err)
	}
	return k, nil
}

func (t Thing[K]) install(ctx context.Context, say io.Writer) (none K, err error) {
	dir, err := t.folder()
	if err != nil {
		return none, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return none, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return none, err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, stamp)); err == nil {
		// What was whole may have broken since: a virtual environment points at an
		// interpreter that can be taken away.
		if k, err := t.Find(ctx, dir); err == nil {
			return k, nil
		}
	}
	if err := t.layPins(dir); err != nil {
		return none, err
	}
	if err := t.Make(ctx, dir, say); err != nil {
		return none, err
	}
	k, err := t.Find(ctx, dir)
	if err != nil {
		return none, fmt.Errorf("it is in %s and cannot be run from there: %w", dir, err)
	}
	return k, os.WriteFile(filepath.Join(dir, stamp), nil, 0o644)
}

// folder is the cache's, one for each state of the pins.
func (t Thing[K]) folder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	err = t.eachPin(func(name string, raw []byte) error {
		fmt.Fprintf(sum, "%s %d\n%s", name, len(raw), raw)
		return nil
	})
	return filepath.Join(cache, "signalbox", t.Name, hex.EncodeToString(sum.Sum(nil))[:16]), err
}

func (t Thing[K]) layPins(dir string) error {
	return t.eachPin(func(name string, raw []byte) error {
		return os.WriteFile(filepath.Join(dir, path.Base(name)), raw, 0o644)
	})
}

func (t Thing[K]) eachPin(visit func(name string, raw []byte) error) error {
	return fs.WalkDir(t.Pins, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(t.Pins, name)
		if err != nil {
			return err
		}
		return visit(name, raw)
	})
}

// lock is the kernel's, so that it ends with whoever holds it, however they end.
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
