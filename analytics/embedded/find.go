package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Version is the engine that this program is written against. Its C interface
// and its SQL differ between versions, so the version is part of the folder's
// name and an upgrade installs beside the old one.
const Version = "26.5.3"

// libraryName is the file that Find looks for.
const libraryName = "libchdb.so"

// MissingError says that there is no engine to run, and what to do.
type MissingError struct {
	Looked []string // where it was looked for
	Reason string   // instead, when no engine could run here
}

func (e *MissingError) Error() string {
	if e.Reason != "" {
		return "analytics has no engine: " + e.Reason
	}
	return fmt.Sprintf("analytics has no engine (no %s %s at %v); run: signalbox engine install", libraryName, Version, e.Looked)
}

// Find looks for the library: at the hint (a file, or a folder that holds it),
// beside the program, in the user's cache. A hint that is given is the only place:
// who names a file does not want another.
func Find(hint string) (string, error) {
	if reason := wrongPlatform(); reason != "" {
		return "", &MissingError{Reason: reason}
	}
	var looked []string
	if hint != "" {
		looked = []string{hint, filepath.Join(hint, libraryName)}
	} else {
		if exe, err := os.Executable(); err == nil {
			if real, err := filepath.EvalSymlinks(exe); err == nil {
				exe = real
			}
			looked = append(looked, filepath.Join(filepath.Dir(exe), "engine", Version, libraryName),
				filepath.Join(filepath.Dir(exe), libraryName))
		}
		if dir, err := CacheDir(); err == nil {
			looked = append(looked, filepath.Join(dir, libraryName))
		}
	}
	for _, path := range looked {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			abs, err := filepath.Abs(path)
			if err != nil {
				return "", fmt.Errorf("find the engine: %w", err)
			}
			return filepath.EvalSymlinks(abs)
		}
	}
	return "", &MissingError{Looked: looked}
}

// CacheDir is where Install puts the engine for this user, one folder a version.
func CacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	return filepath.Join(cache, "signalbox", "engine", Version), nil
}

// wrongPlatform is empty where the library can run.
func wrongPlatform() string {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Sprintf("the embedded engine runs on linux/amd64, not on %s/%s; set analytics.clickhouse to a ClickHouse server's address",
			runtime.GOOS, runtime.GOARCH)
	}
	return ""
}
