// Package folder makes a folder one process's. It locks with flock, so the lock
// ends with the process however it ends, and nobody has to clean up after a
// kill -9. It refuses to wait: two programs on one folder is a mistake to report.
package folder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockName is the file that is locked. Its text is for people: whom to look for.
const lockName = "lock"

// Lock is a folder that is held. Only Release gives it back.
type Lock struct{ file *os.File }

// Hold makes the folder, if it is not there, and locks it for this process.
func Hold(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock folder %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("folder %s is in use by another signalbox%s: stop it, or give this one a folder of its own", dir, holder(f))
		}
		return nil, fmt.Errorf("lock folder %s: %w", dir, err)
	}
	// The holder's name is a courtesy; the lock does not depend on it.
	_ = f.Truncate(0)
	_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	return &Lock{file: f}, nil
}

// Release lets others hold the folder. The file stays: removing it would let two
// processes lock two files of one name.
func (l *Lock) Release() error { return l.file.Close() }

func holder(f *os.File) string {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}
