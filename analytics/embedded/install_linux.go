package embedded

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// source is where the engine comes from: a package of the npm registry, because
// that is where its makers publish the library, and npm knows the user's mirrors
// and proxies. npm checks what it downloads against the registry; the digest here
// says that it is the very file this program was tested with.
type source struct {
	npm     string
	spec    string
	digest  string // base64 of the tarball's SHA-512, as npm's integrity has it
	tarball int64  // bytes, for the progress
	member  string // of the tarball
	library int64  // bytes
}

func published() source {
	return source{
		npm:     "npm",
		spec:    "@chdb/lib-linux-x64-gnu@" + Version,
		digest:  "fPrLmRt5Moor9yGz4mazbrNje4t7X9KB2mTGkXFWRxRBs2iKy8yh6jx11xsa0Qr3iDFMU/yHqd+bVdYJXu3QaQ==",
		tarball: 166572008,
		member:  "package/" + libraryName,
		library: 559_044_752,
	}
}

// Install fetches the engine into dir (empty: CacheDir) and returns its path. It
// does nothing where the engine is, and of several at once one works and the
// others wait for it. progress may be nil; it is called with bytes done of all.
func Install(ctx context.Context, dir string, progress func(done, total int64)) (string, error) {
	if reason := wrongPlatform(); reason != "" {
		return "", &MissingError{Reason: reason}
	}
	return published().install(ctx, dir, progress)
}

func (s source) install(ctx context.Context, dir string, progress func(done, total int64)) (string, error) {
	if dir == "" {
		cache, err := CacheDir()
		if err != nil {
			return "", err
		}
		dir = cache
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	path := filepath.Join(dir, libraryName)
	if s.installed(path) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("install the engine: %w", err)
	}
	unlock, err := lockFolder(ctx, dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if s.installed(path) {
		return path, nil // by the one who had the lock
	}
	if err := s.space(dir); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(dir, "install-")
	if err != nil {
		return "", fmt.Errorf("install the engine: %w", err)
	}
	defer os.RemoveAll(work)
	tarball, err := s.fetch(ctx, work, progress)
	if err != nil {
		return "", err
	}
	if err := s.unpack(ctx, tarball, filepath.Join(work, libraryName), progress); err != nil {
		return "", fmt.Errorf("unpack the engine: %w", err)
	}
	if err := os.Rename(filepath.Join(work, libraryName), path); err != nil {
		return "", fmt.Errorf("install the engine: %w", err)
	}
	progress(s.tarball+s.library, s.tarball+s.library)
	return path, nil
}

// installed trusts the size: the file comes to its name in one step, whole.
func (s source) installed(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == s.library
}

// space refuses early what would fail late: the tarball stands on the disk twice,
// in npm's cache and as npm's result, beside the library.
func (s source) space(dir string) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return fmt.Errorf("look at the space in %s: %w", dir, err)
	}
	free := int64(stat.Bavail) * stat.Bsize
	if need := s.library + 2*s.tarball; free < need {
		return fmt.Errorf("the engine needs %d MB in %s and there are %d MB free", need>>20, dir, free>>20)
	}
	return nil
}

// progressEvery is how often a download is looked at.
const progressEvery = 200 * time.Millisecond

// fetch lets npm download the tarball and checks it. npm's cache is a folder of
// ours, to see how far it is and to leave nothing behind.
func (s source) fetch(ctx context.Context, work string, progress func(done, total int64)) (string, error) {
	npm, err := exec.LookPath(s.npm)
	if err != nil {
		return "", fmt.Errorf("npm is not installed, and the engine comes as an npm package: install Node.js, or unpack %s of %s yourself and name it as analytics.engine", libraryName, s.spec)
	}
	cache := filepath.Join(work, "cache")
	cmd := exec.CommandContext(ctx, npm, "pack", s.spec, "--pack-destination", work, "--cache", cache,
		"--ignore-scripts", "--silent", "--loglevel", "error", "--no-update-notifier")
	cmd.Dir = work
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &limited{w: &stderr, left: 16 << 10}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start npm: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			progress(min(sizeOf(cache), s.tarball), s.tarball+s.library)
			continue
		case err = <-done:
		}
		break
	}
	if ctx.Err() != nil {
		return "", fmt.Errorf("download the engine: %w", ctx.Err())
	}
	if err != nil {
		return "", npmError(err, stderr.String())
	}
	found, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("npm pack left %d tarballs, want 1", len(found))
	}
	return found[0], s.verify(found[0])
}

// npmError puts npm's many lines into one.
func npmError(err error, stderr string) error {
	for _, known := range []struct{ sign, means string }{
		{"ENOSPC", "there is no space left on the disk"},
		{"EINTEGRITY", "what arrived is not what the registry promised; try again"},
		{"E404", "the registry has no such package"},
		{"ENOTFOUND", "the registry's name cannot be resolved; is this machine offline?"},
		{"EAI_AGAIN", "the registry's name cannot be resolved; is this machine offline?"},
		{"ECONNREFUSED", "the registry cannot be reached; is this machine offline?"},
		{"ETIMEDOUT", "the registry does not answer; is this machine offline?"},
		{"ENETUNREACH", "the registry cannot be reached; is this machine offline?"},
	} {
		if strings.Contains(stderr, known.sign) {
			return fmt.Errorf("npm cannot download the engine: %s (%s)", known.means, known.sign)
		}
	}
	lines := strings.Fields(strings.ReplaceAll(stderr, "npm error", ""))
	text := strings.Join(lines, " ")
	return fmt.Errorf("npm cannot download the engine: %w: %s", err, text[:min(len(text), 300)])
}

func (s source) verify(tarball string) error {
	f, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("check the engine: %w", err)
	}
	defer f.Close()
	h := sha512.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("check the engine: %w", err)
	}
	if got := base64.StdEncoding.EncodeToString(h.Sum(nil)); got != s.digest {
		return fmt.Errorf("what npm downloaded for %s is not the file this program knows: SHA-512 is %s, want %s", s.spec, got, s.digest)
	}
	return nil
}

// unpack takes the library out of the tarball.
func (s source) unpack(ctx context.Context, tarball, to string, progress func(done, total int64)) error {
	f, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	members := tar.NewReader(zipped)
	for {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the package holds no %s", s.member)
		}
		if err != nil {
			return err
		}
		if header.Name == s.member {
			break
		}
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer out.Close()
	var written int64
	for buffer := make([]byte, 1<<20); ; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{out}, io.LimitReader(members, 16<<20), buffer)
		written += n
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		progress(s.tarball+written, s.tarball+s.library)
	}
	if written != s.library {
		return fmt.Errorf("%s has %d bytes, want %d", s.member, written, s.library)
	}
	return out.Sync()
}

// lockEvery is how often a lock that another process has is tried.
const lockEvery = 200 * time.Millisecond

// lockFolder waits for the folder's lock.
func lockFolder(ctx context.Context, dir string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("install the engine: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("wait for another install in %s: %w", dir, ctx.Err())
		case <-time.After(lockEvery):
		}
	}
}

// sizeOf is how much a folder holds.
func sizeOf(dir string) int64 {
	var size int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size
}

// limited keeps the first bytes of what is written and drops the rest.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	keep := min(len(p), l.left)
	l.left -= keep
	if _, err := l.w.Write(p[:keep]); err != nil {
		return 0, err
	}
	return len(p), nil
}
